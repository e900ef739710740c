"""Stored values of derived slices: in the scale of the source where they fit; a map has its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ... import scratch
from ...volume import Volume
from . import pixels

if TYPE_CHECKING:
    from .reader import StoredSlice

LEVELS = 32767
"""Largest stored value of a signed 16-bit image."""


@dataclass(frozen=True)
class Image:
    """Stored values of a derived slice and how to read them.

    Attributes:
        encoded: stored values, scale and clipped count.
        bits: Bits Stored.
        rescale: True where Rescale Slope and Intercept are written.
        rescaled: True where the scale is not that of the source.
        size: of a map: root mean square of the whole map, for its display window.
    """

    encoded: pixels.Encoded
    bits: int
    rescale: bool
    rescaled: bool = False
    size: float = 0.0


@dataclass(frozen=True)
class Range:
    """What all slices of a map share, so that they are stored and shown alike.

    Attributes:
        peak: largest absolute value outside the padding.
        size: root mean square there.
    """

    peak: float
    size: float

    @classmethod
    def of(cls, volume: Volume) -> Range:
        """The range of a map."""
        peak = total = 0.0
        count = 0
        for k, image in enumerate(volume.array):
            inside = image if volume.padding is None else image[~volume.padding[k]]
            peak = max(peak, float(np.max(np.abs(inside), initial=0.0)))
            total += float(np.square(inside, dtype=np.float64).sum())
            count += inside.size
            scratch.release(volume.array)
        return cls(peak, float(np.sqrt(total / max(count, 1))))


def encode(
    real: NDArray[np.float32],
    part: StoredSlice,
    pair: tuple[float, float] | None,
    shared: Range | None,
    *,
    copy: bool = False,
) -> Image:
    """Stored values of one slice, on the source's rescale where that can hold them (PS3.3 C.11.1).

    Args:
        real: new values ``[y, x]``.
        part: the slice as it is stored in the source.
        pair: its rescale slope and intercept, None where it has none.
        shared: range of a map; None where the image is no map.
        copy: the values are meant to be those of the source: whole words come back, not only stored bits.
    """
    source, stored, keep = part.dataset, part.values, part.outside
    if shared is not None:
        return replace(_encode_map(np.where(keep, 0, real), shared.peak, pair is not None), size=shared.size)
    slope, intercept = pair or (1.0, 0.0)
    bounds = pixels.limits(source)
    bits = int(source.BitsStored)
    image = pixels.quantise(real, stored, slope, intercept, keep=keep, bounds=bounds, padding=part.padding)
    if image.clipped and pair is not None and part.padding is None:
        slope, intercept = _wider_scale(real, slope, intercept, bounds, pet=source.get("Modality") == "PT")
        if (slope, intercept) != pair:
            changed = _encode_scaled(real, stored, slope, intercept, bounds)
            return Image(changed, bits, rescale=True, rescaled=True)
    if part.words is not stored:
        whole = keep | (image.stored == stored) if copy else keep
        image = replace(image, stored=np.where(whole, part.words, image.stored))
    return Image(image, bits, rescale=pair is not None)


def _wider_scale(
    real: NDArray[np.float32], slope: float, intercept: float, bounds: tuple[int, int], *, pet: bool
) -> tuple[float, float]:
    """A scale that holds all values.

    PET: intercept 0 (C.8.9.4), slope from the largest value. Otherwise the slope stays and the intercept
    moves by whole steps where the range fits, so that no unchanged value is rounded again; where it does
    not fit, the scale of the source stays and values are clipped like the scanner's.
    """
    low, high = float(real.min()), float(real.max())
    if pet:
        needed = max(high / bounds[1], low / bounds[0] if bounds[0] and low < 0 else 0.0)
        return (as_ds(needed * (1 + 1e-7)), 0.0) if needed > 0 else (slope, intercept)
    ends = sorted(((low - intercept) / slope, (high - intercept) / slope))
    if np.ceil(ends[1]) - np.floor(ends[0]) > bounds[1] - bounds[0]:
        return slope, intercept
    shift = min(np.floor(ends[0]) - bounds[0], 0) or max(np.ceil(ends[1]) - bounds[1], 0)
    return slope, as_ds(intercept + shift * slope)


def _encode_scaled(
    real: NDArray[np.float32],
    stored: pixels.IntArray,
    slope: float,
    intercept: float,
    bounds: tuple[int, int],
) -> pixels.Encoded:
    number = np.rint((real.astype(np.float64) - intercept) / slope)
    clipped = int(np.count_nonzero((number < bounds[0]) | (number > bounds[1])))
    return pixels.Encoded(np.clip(number, *bounds).astype(stored.dtype), slope, intercept, clipped)


def _encode_map(real: NDArray[np.float32], peak: float, has_pair: bool) -> Image:
    """A signed 16-bit map with intercept 0 and the finest power of ten as slope that holds `peak`."""
    slope = 10.0 ** np.ceil(np.log10(peak / LEVELS)) if peak > 0 else 1.0
    if not has_pair and 1000 <= peak <= LEVELS:  # MR images have no rescale of their own (C.8.3.1)
        return Image(pixels.Encoded(np.rint(real).astype(np.int16), 1.0, 0.0), 16, rescale=False)
    slope = as_ds(slope)
    stored = np.clip(np.rint(real.astype(np.float64) / slope), -LEVELS, LEVELS).astype(np.int16)
    return Image(pixels.Encoded(stored, slope, 0.0), 16, rescale=True)


def map_window(image: Image, suffix: str) -> tuple[float, float] | None:
    """Centre and width of the display window of a map, the same for all its slices.

    A residual is shown over three root mean squares to either side of 0, an uncertainty from 0 to three.

    Returns:
        None where the width would be less than 1, the least that a linear window can have (PS3.3
        C.11.2.1.2.1): a viewer then takes the range of the values.
    """
    low, high = (0.0 if suffix == "uncertainty" else -3.0 * image.size), 3.0 * image.size
    return (as_ds((low + high) / 2), as_ds(high - low)) if high - low >= 1 else None


def as_ds(value: float) -> float:
    """The number that a DS of 16 characters can hold (PS3.5 6.2): that one must scale the pixels."""
    from pydicom.valuerep import format_number_as_ds

    return float(format_number_as_ds(float(value)))
