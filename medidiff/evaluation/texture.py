"""Texture before and after: NPS of a scan, of its result and of what was removed, without a reference.

Only noise should enter an NPS, and without a truth there is none that is free of anatomy. The flattest
patches of the series stand for it, less their second-order trend (ICRU Report 87). The structure that they
still have adds power below `STRUCTURE_LP_CM`, before and after alike, so that mean frequencies are compared
above it; the NPS of the difference has none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medidiff.evaluation.nps import PATCH_PX, NoisePower, nps
from medidiff.noise.texture import STRUCTURE_LP_CM
from medidiff.volume import BoolArray, FloatArray

STRIDE_PX = PATCH_PX // 2
KEPT, KEPT_PER_SLICE = 64, 4
"""Flattest patches of the series, and of one slice, that are used."""


@dataclass(eq=False)
class TextureSum:
    """Takes slices one at a time and keeps the flattest patches.

    Attributes:
        pixel_mm: pixel size in mm, one number or ``(row, column)``.
        unit: the scan's unit.
    """

    pixel_mm: float | tuple[float, float]
    unit: str
    _found: list[tuple[float, FloatArray, FloatArray]] = field(default_factory=list)

    def add(self, before: FloatArray, after: FloatArray, gradient: FloatArray, inside: BoolArray) -> None:
        """One slice.

        Args:
            before: the scan ``[y, x]``.
            after: the result.
            gradient: gradient of the smoothed result, which says what is flat.
            inside: pixels of the body.
        """
        if min(inside.shape) < PATCH_PX:
            return
        covers, steep, first, second = (
            np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX))[::STRIDE_PX, ::STRIDE_PX]
            for image in (inside, np.square(gradient), before, after)
        )
        whole = np.asarray(covers.all((2, 3)))
        mean = np.where(whole, steep.mean((2, 3)), np.inf)
        for n in np.argsort(mean, axis=None)[:KEPT_PER_SLICE]:
            at = np.unravel_index(n, mean.shape)
            if whole[at]:
                self._found.append((float(mean[at]), first[at].copy(), second[at].copy()))
        self._found = sorted(self._found, key=lambda patch: patch[0])[:KEPT]

    def result(self) -> tuple[NoisePower | None, NoisePower | None, NoisePower | None]:
        """NPS before, after and of the difference, averaged over the patches kept; None without any."""
        if not self._found:
            return None, None, None
        _, before, after = (np.stack(part) for part in zip(*self._found, strict=True))
        stacks = _detrended(before), _detrended(after), _detrended(before - after)
        return (
            nps(stacks[0], None, self.pixel_mm, self.unit),
            nps(stacks[1], None, self.pixel_mm, self.unit),
            nps(stacks[2], None, self.pixel_mm, self.unit),
        )


def noise_shift(before: NoisePower, after: NoisePower) -> float | None:
    """Relative change of the mean frequency of the NPS above `STRUCTURE_LP_CM`; None without power there."""
    first, second = noise_frequency(before), noise_frequency(after)
    return None if first is None or second is None else second / first - 1.0


def noise_frequency(spectrum: NoisePower) -> float | None:
    """sum S f^2 / sum S f above `STRUCTURE_LP_CM`, in lp/cm; None without power there."""
    f, power = np.asarray(spectrum.f), np.asarray(spectrum.power)
    ring = np.where(f > STRUCTURE_LP_CM, power * f, 0.0)
    return float((ring * f).sum() / ring.sum()) if ring.sum() > 0 else None


def _detrended(patches: FloatArray) -> FloatArray:
    """Patches ``[n, 64, 64]`` less their least-squares second-order polynomial."""
    u = np.linspace(-1.0, 1.0, PATCH_PX)
    y, x = np.meshgrid(u, u, indexing="ij")
    basis: NDArray[np.float64] = np.stack([x**i * y**j for i in range(3) for j in range(3 - i)])
    orthonormal, _ = np.linalg.qr(basis.reshape(len(basis), -1).T)
    flat = patches.reshape(len(patches), -1)
    return np.asarray((flat - flat @ orthonormal @ orthonormal.T).reshape(patches.shape), np.float32)
