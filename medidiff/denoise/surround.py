"""Surround: where a slice shows no image, and what the network sees there instead.

A network takes padding, which has no noise, for a sign that there is none beside it: on a body cut off by
the field of view it left a rim of thirty pixels noisy. So the scan goes on beyond its edge as its own
mirror image. Masked MR was in the training as it is.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from medidiff.denoise.context import MAX_STEP
from medidiff.intensity import Intensity
from medidiff.noise.fill import border_fill, holes
from medidiff.volume import BoolArray, FloatArray, Volume

MAX_BELOW = 1.8
"""Network units (900 HU) below the model's range from which on a value is padding, declared or not."""

KEPT = 2 * MAX_STEP + 1
"""Slices whose masks are kept: one and its neighbours, so many slices away, are asked for in turn."""

Places = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""


class Surround:
    """The pixels of a volume that show no image: padding, NaN, values far below, and fill.

    Args:
        volume: the scan.
        intensity: of the model.
    """

    def __init__(self, volume: Volume, intensity: Intensity) -> None:
        self.intensity = intensity
        # No method of this object is kept in it: that circle would hold the volume, which may lie in a large
        # file, until Python looks for circles.
        self._outside = lru_cache(KEPT)(partial(_outside, volume, intensity))
        self._mirrors: deque[tuple[BoolArray, Places]] = deque(maxlen=KEPT)

    def of_slice(self, k: int) -> BoolArray | None:
        """True where slice k shows no image ``[y, x]``; None where all of it does."""
        return self._outside(k)

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
        found[outside] = image[self._shown(outside)]
        return found

    def _shown(self, outside: BoolArray) -> Places:
        """What a slice shows where it has no image; most scans have one mask for all slices."""
        for known, places in self._mirrors:
            if known is outside or np.array_equal(known, outside):
                return places
        self._mirrors.append((outside, mirror(outside)))
        return self._mirrors[-1][1]


def _outside(volume: Volume, intensity: Intensity, k: int) -> BoolArray | None:
    """See `Surround.of_slice`."""
    image = volume.array[k]
    outside = ~(image >= intensity.low - MAX_BELOW * intensity.scale) | np.isposinf(image)
    if volume.padding is not None:
        outside |= volume.padding[k]
    fill = border_fill(image, outside)
    if fill is not None:
        outside |= fill
        if intensity.kind == "mr" and (inner := holes(image, fill)) is not None:
            outside |= inner
    return outside if outside.any() else None


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
