"""Samples: patches with everything the loss needs, in network units."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray


@dataclass(frozen=True)
class Samples:
    """A set of n training patches of p by p pixels, all float32.

    Attributes:
        planes: ``[n, p, p, 4]`` network input: c_in x_t, c_in previous, c_in next, ln m.
        condition: ``[n, K]`` conditioning vector.
        state: ``[n, p, p]`` x_t in network units.
        target: ``[n, p, p]`` x, or the corrected noisy target x*, in network units.
        sigma: ``[n]`` true noise SD.
        sigma_told: ``[n]`` noise SD the network is told (jittered); all coefficients use it.
        excess: ``[n, p, p]`` noise variance of `target`.
        weight: ``[n, p, p]`` tissue weight.
    """

    planes: FloatArray
    condition: FloatArray
    state: FloatArray
    target: FloatArray
    sigma: FloatArray
    sigma_told: FloatArray
    excess: FloatArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.planes)

    def take(self, index: NDArray[np.intp] | slice) -> Samples:
        """A subset."""
        return Samples(*(getattr(self, f.name)[index] for f in fields(self)))

    def arrays(self) -> tuple[FloatArray, ...]:
        """The arrays in the order of the attributes."""
        return tuple(getattr(self, f.name) for f in fields(self))


def concatenate(parts: list[Samples]) -> Samples:
    """Joins sets of patches."""
    return Samples(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)))
