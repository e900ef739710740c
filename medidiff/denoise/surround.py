"""Surround: where a slice shows no image, and what the network sees there instead.

A network takes padding, which has no noise, for a sign that there is none beside it: on a body cut off by
the field of view it left a rim of thirty pixels noisy. So the scan goes on beyond its edge as its own
mirror image. Masked MR was in the training as it is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medidiff.intensity import Intensity
from medidiff.noise.fill import border_fill
from medidiff.volume import BoolArray, FloatArray, Volume

MAX_BELOW = 1.8
"""Network units (900 HU) below the model's range from which on a value is padding, declared or not."""

KEPT = 4
"""Slices whose masks are kept: one and its neighbours are asked for in turn."""


class Surround:
    """The pixels of a volume that show no image: padding, NaN, values far below, and fill.

    Args:
        volume: the scan.
        intensity: of the model.
    """

    def __init__(self, volume: Volume, intensity: Intensity) -> None:
        self.volume, self.intensity = volume, intensity
        self.of_slice = lru_cache(KEPT)(self._of_slice)
        self._mask: BoolArray | None = None
        self._mirror: tuple[NDArray[np.intp], ...] = ()

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
        if self._mask is None or not np.array_equal(outside, self._mask):
            self._mask, self._mirror = outside, mirror(outside)
        found = image.copy()
        found[outside] = image[self._mirror]
        return found


def mirror(outside: BoolArray) -> tuple[NDArray[np.intp], ...]:
    """For each pixel outside of the image the one as far inside, beyond the nearest of the image.

    Args:
        outside: ``[y, x]``, not everywhere.

    Returns:
        Rows and columns, one for each True of `outside`; that nearest one where the mirrored is no image.
    """
    nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
    here = np.stack(np.nonzero(outside))
    edge = np.stack([axis[outside] for axis in nearest])
    there = 2 * edge - here
    within = np.all((there >= 0) & (there < np.array(outside.shape)[:, None]), axis=0)
    there = np.where(within, there, edge)
    there = np.where(outside[tuple(there)], edge, there)
    return tuple(there.astype(np.intp))
