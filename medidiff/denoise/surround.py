"""Surround: where a slice shows no image, and what the network sees there instead.

A network takes padding, which has no noise, for a sign that there is none beside it: on a body cut off by
the field of view it left a rim of thirty pixels noisy. So the scan goes on beyond its edge as its own
mirror image. Masked MR was in the training as it is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medidiff.intensity import Intensity
from medidiff.noise.fill import border_fill, holes
from medidiff.volume import BoolArray, FloatArray, Volume

MAX_BELOW = 1.8
"""Network units (900 HU) below the model's range from which on a value is padding, declared or not."""

KEPT = 4
"""Slices whose masks are kept: one and its neighbours are asked for in turn."""

Places = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""


class Surround:
    """The pixels of a volume that show no image: padding, NaN, values far below, and fill.

    Args:
        volume: the scan.
        intensity: of the model.
    """

    def __init__(self, volume: Volume, intensity: Intensity) -> None:
        self.volume, self.intensity = volume, intensity
        self.of_slice = lru_cache(KEPT)(self._of_slice)
        self._shown = lru_cache(KEPT)(self._shown_of)
        self._last: tuple[BoolArray, Places] | None = None

    def _of_slice(self, k: int) -> BoolArray | None:
        """True where slice k shows no image ``[y, x]``; None where all of it does."""
        image, padding = self.volume.array[k], self.volume.padding
        lowest = self.intensity.low - MAX_BELOW * self.intensity.scale
        outside = ~(image >= lowest) | np.isposinf(image)
        if padding is not None:
            outside |= padding[k]
        fill = border_fill(image, outside)
        if fill is not None:
            outside |= fill
            if self.intensity.kind == "mr" and (inner := holes(image, fill)) is not None:
                outside |= inner
        return outside if outside.any() else None

    def continued(self, k: int, image: FloatArray) -> FloatArray:
        """Slice k with its mirror image where it shows none (CT); MR as it is.

        Args:
            k: index of the slice.
            image: the slice ``[y, x]``, network units.
        """
        outside = self.of_slice(k) if self.intensity.kind == "ct" else None
        if outside is None or outside.all():
            return image
        found = image.copy()
        found[outside] = image[self._shown(k)]
        return found

    def _shown_of(self, k: int) -> Places:
        """What slice k shows where it has no image; most scans have one mask for all slices."""
        outside = self.of_slice(k)
        assert outside is not None
        if self._last is None or not np.array_equal(outside, self._last[0]):
            self._last = outside, mirror(outside)
        return self._last[1]


def mirror(outside: BoolArray) -> Places:
    """For each pixel outside of the image the one that it shows: the image reflected at its edges.

    Along each row the nearest run of image goes on as its mirror image, back and forth; then whole rows do
    where a row has no image. (Reflected along the nearest normal instead, noise around a small body would be
    stretched into coarse structure.)

    Args:
        outside: ``[y, x]``, not everywhere.

    Returns:
        Rows and columns, one for each True of `outside`.
    """
    image = np.asarray(~outside, np.bool_)
    rows, columns = _reflected(np.any(image, axis=1)[None])[0], _reflected(image)
    y, x = np.nonzero(outside)
    return rows[y], columns[rows[y], x]


def _reflected(image: BoolArray) -> NDArray[np.intp]:
    """Index along the last axis that each pixel shows: its own in the image, else one of the nearest run."""
    width = image.shape[1]
    at = np.broadcast_to(np.arange(width, dtype=np.int32), image.shape)
    before = np.maximum.accumulate(np.where(image, at, -1), axis=1)
    after = np.minimum.accumulate(np.where(image, at, width)[:, ::-1], axis=1)[:, ::-1]
    first = np.maximum.accumulate(np.where(image, 0, at + 1), axis=1)
    last = np.minimum.accumulate(np.where(image, width - 1, at - 1)[:, ::-1], axis=1)[:, ::-1]
    left = (before >= 0) & ((after == width) | (at - before <= after - at))
    edge = np.clip(np.where(left, before, after), 0, width - 1)
    other = np.where(left, np.take_along_axis(first, edge, axis=1), np.take_along_axis(last, edge, axis=1))
    length = np.abs(edge - other) + 1
    step = (np.abs(at - edge) - 1) % (2 * length)
    step = np.minimum(step, 2 * length - 1 - step)
    return np.asarray(np.where(image, at, np.where(left, edge - step, edge + step)), np.intp)
