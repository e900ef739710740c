"""Context: which neighbour slices may help, given that overlapping slices share noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medidiff import scratch
from medidiff.volume import BoolArray, FloatArray, spread

SHARED_NOISE = 0.4
"""Correlation of the noise of two slices above which the second brings too little that is new. Abutting
slices of a helical scan reach 0.3, slices that overlap by half 0.5."""

SHARED_MR = 0.55
"""The same for MR. Slices zero-filled by two reach 0.6, linearly interpolated ones 0.7; fine anatomy alone,
which takes part there, 0.44 in 3D scans of 1 mm."""

MAX_STEP = 4

PAIRS = 7
"""Pairs of slices, spread over the scan, whose noise is compared for each step."""

Outside = Callable[[int], BoolArray | None]
"""Pixels of a slice ``[y, x]`` that show no image; None for none."""


def independent_step(slices: FloatArray, outside: Outside | None = None) -> int:
    """How many slices on a neighbour's noise is its own.

    Overlapping reconstructions share raw data: their noise is correlated, and a network that takes
    neighbours for independent looks would keep that noise. Fine detail of flat tissue tells: its correlation
    between slices is that of the noise.

    Args:
        slices: ``[z, y, x]`` HU.
        outside: tells the pixels of a slice without image.

    Returns:
        1 to `MAX_STEP`; 1 where there is too little flat tissue to tell.
    """
    from medidiff.noise import ct
    from medidiff.noise.estimate_ct import clean_hu

    count = len(slices)
    if count < 3:
        return 1
    centres = [int(k) for k in spread(count - 1, PAIRS)]
    details: dict[int, tuple[FloatArray, NDArray[np.bool_]]] = {}

    def detail(k: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        if k not in details:
            from scipy import ndimage

            hu = clean_hu(slices[k])
            residual = hu - ndimage.gaussian_filter(hu, 2.0)
            sd = np.sqrt(np.maximum(ndimage.uniform_filter(residual * residual, 9), 0.0))
            flat = ct.soft_tissue(hu)
            if outside is not None and (mask := outside(k)) is not None:
                flat &= ~mask
            if flat.any():
                flat &= sd < 1.2 * np.percentile(sd[flat], 30)
            details[k] = residual, flat
            scratch.release(slices)
        return details[k]

    def correlation(k: int, other: int) -> float | None:
        (a, flat_a), (b, flat_b) = detail(k), detail(other)
        both = flat_a & flat_b
        if both.sum() < 200 or a[both].std() == 0 or b[both].std() == 0:
            return None
        return float(np.corrcoef(a[both], b[both])[0, 1])

    return _first(count, SHARED_NOISE, lambda step: [k for k in centres if k + step < count], correlation)


def interpolated_step(
    slices: FloatArray, outside: Outside | None = None, adjacent: BoolArray | None = None
) -> int:
    """The same for MR, where slices share noise because the scanner interpolated between those it acquired.

    Args:
        slices: ``[z, y, x]`` magnitudes.
        outside: tells the pixels of a slice without image.
        adjacent: as in `neighbours`; across a gap, as between time points of one slice, nothing is shared.

    Returns:
        1 to `MAX_STEP`; 1 where there is too little flat tissue to tell.
    """
    from medidiff.noise.shared import shared_noise

    def shown(k: int) -> FloatArray:
        image = np.nan_to_num(slices[k], nan=0.0, posinf=0.0, neginf=0.0)
        mask = outside(k) if outside is not None else None
        return image if mask is None else np.where(mask, np.float32(0.0), image)

    count = len(slices)
    if count < 3:
        return 1

    def pairs(step: int) -> list[int]:
        near = [k for k in range(count - step) if adjacent is None or adjacent[k : k + step].all()]
        return [near[i] for i in spread(len(near), PAIRS)] if near else []

    def correlation(k: int, other: int) -> float | None:
        found = shared_noise(shown(k), shown(other))
        scratch.release(slices)
        return found

    return _first(count, SHARED_MR, pairs, correlation)


def _first(
    count: int,
    limit: float,
    pairs: Callable[[int], Sequence[int]],
    correlation: Callable[[int, int], float | None],
) -> int:
    """The first step at which slices share less of their noise than `limit`, or of which nothing is known.

    Args:
        count: number of slices.
        limit: correlation.
        pairs: gives for a step the first slice of each pair that is compared.
        correlation: of the noise of two slices; None where it cannot be told.
    """
    for step in range(1, min(MAX_STEP, count - 1) + 1):
        found = [c for k in pairs(step) if (c := correlation(k, k + step)) is not None]
        if not found or np.median(found) < limit:
            return step
    return MAX_STEP


def neighbours(k: int, step: int, count: int, adjacent: BoolArray | None) -> tuple[int | None, int | None]:
    """Indices of the previous and next slice that may serve as context for slice k.

    Args:
        k: slice.
        step: distance of the neighbours in slices.
        count: number of slices.
        adjacent: bool ``[count - 1]``, False across a gap.
    """

    def reach(to: int) -> int | None:
        if not 0 <= to < count:
            return None
        low, high = min(k, to), max(k, to)
        return to if adjacent is None or bool(adjacent[low:high].all()) else None

    return reach(k - step), reach(k + step)
