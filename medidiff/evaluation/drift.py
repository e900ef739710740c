"""Drift: did the mean change where tissue is uniform? Needs no reference.

Noise has no mean, so that taking it away must not move the mean of uniform tissue. For MR it may where tissue
is dark: the mean of Rician noise is above 0, and a denoiser that knows it takes it off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import BoolArray, FloatArray

BLOCK_PX = 16
"""Errors are taken as independent between blocks of this side, not between pixels."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """Mean of result - scan in uniform tissue of one kind.

    Attributes:
        name: what the bin stands for.
        low: lower edge, in the scan's unit; the smoothed scan decides.
        high: upper edge.
        mean: mean change; None where there is no such tissue.
        error: standard error of the mean, from blocks of 16x16 pixels; None with fewer than two.
        pixels: number of pixels.
    """

    name: str
    low: float
    high: float
    mean: float | None
    error: float | None
    pixels: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class DriftSum:
    """Takes slices one at a time.

    Args:
        names: of the bins.
        edges: of the bins, one more than names, ascending.
    """

    def __init__(self, names: tuple[str, ...], edges: tuple[float, ...]) -> None:
        self.names, self.edges = names, edges
        # Per bin, sums over blocks with sum of change s and n pixels: s, n, s^2, s n, n^2, and the blocks.
        self._sums = np.zeros((len(names), 6))

    def add(self, smooth: FloatArray, change: FloatArray, uniform: BoolArray) -> None:
        """One slice.

        Args:
            smooth: the smoothed scan ``[y, x]``, which says what tissue a pixel is.
            change: result - scan ``[y, x]``.
            uniform: where tissue is uniform ``[y, x]``.
        """
        kind = np.digitize(smooth, self.edges) - 1
        for i in range(len(self.names)):
            mine = uniform & (kind == i)
            n = _blocks(mine)
            s = _blocks(np.where(mine, change, 0.0))[n > 0]
            n = n[n > 0]
            self._sums[i] += [s.sum(), n.sum(), (s * s).sum(), (s * n).sum(), (n * n).sum(), n.size]

    def result(self) -> tuple[Drift, ...]:
        """Mean and standard error (of a ratio of block sums) in every bin."""
        found = []
        for i, name in enumerate(self.names):
            s, n, ss, sn, nn, blocks = self._sums[i]
            mean = s / n if n else None
            error = None
            if mean is not None and blocks > 1:
                square = max(ss - 2 * mean * sn + mean**2 * nn, 0.0)
                error = float(np.sqrt(square * blocks / (blocks - 1)) / n)
            low, high = self.edges[i], self.edges[i + 1]
            found.append(Drift(name, low, high, None if mean is None else float(mean), error, int(n)))
        return tuple(found)


def _blocks(image: NDArray[Any]) -> Floats:
    """Sums over blocks of 16x16 pixels, the last ones smaller, as a flat array."""
    rows, columns = (np.arange(0, n, BLOCK_PX) for n in image.shape)
    return np.add.reduceat(np.add.reduceat(image.astype(np.float64), rows, 0), columns, 1).ravel()
