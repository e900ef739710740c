"""Fill: the one value around the image where a scan was masked, cropped to a circle or resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medidiff.volume import BoolArray

ALIKE = 0.05
"""Share of neighbours on the frame that have one value; where there is less, noise reaches the frame."""

BLOCK_PX = 5
"""Side of the blocks of one value that fill is made of."""

LEAST_SHARE = 0.005
"""Share of a slice from which one value counts as fill."""

RIM_PX = 2
"""Width of its rim, where the steps of a slanted edge hold no block; farther out values repeat by chance."""

DARK = 0.1
"""Share of the 99th percentile of an MR image below which it is dark."""

ISLAND_PX = 30
"""Pixels below which what fill surrounds is no image: specks of clipped air."""


def border_fill(image: NDArray[np.float32], known: BoolArray | None = None) -> BoolArray | None:
    """Pixels of one exact value that fill the slice from its frame inwards.

    Noise does not repeat a value over five by five pixels, neither half clipped air nor the integers of a
    dark magnitude background: what does, over a wide region that begins at the frame, is no image.

    Args:
        image: float32 ``[y, x]``, real-world values.
        known: True where it is known already that there is no image; None for nowhere.

    Returns:
        bool ``[y, x]``; None where there is no such region.
    """
    frame = _frame(np.ones(image.shape, np.bool_) if known is None else ~known)
    values = _frame(image)
    alike = (values[1:] == values[:-1]) & frame[1:] & frame[:-1]
    if np.count_nonzero(alike) <= ALIKE * len(values):
        return None
    found, counts = np.unique(values[1:][alike], return_counts=True)
    equal = image == found[np.argmax(counts)]
    blocks = ndimage.maximum_filter(ndimage.minimum_filter(equal.astype(np.uint8), BLOCK_PX), BLOCK_PX)
    region = _from_frame(blocks)
    if np.count_nonzero(region) < LEAST_SHARE * region.size:
        return None
    region = ndimage.binary_dilation(region, iterations=RIM_PX) & equal
    rest = ndimage.label(~region)[0]
    small = np.bincount(rest.ravel()) < ISLAND_PX
    small[0] = False
    return np.asarray(region | small[rest], np.bool_)


def holes(image: NDArray[np.float32], around: BoolArray) -> BoolArray | None:
    """What a mask left out inside of a magnitude image: pixels of the value around it, the lowest of all.

    Where noise reaches that value, as in air and dark tissue, it reaches the next ones more often: holes are
    told by outnumbering all other dark pixels.

    Args:
        image: float32 ``[y, x]``, magnitudes.
        around: True where there is fill (`border_fill`).

    Returns:
        bool ``[y, x]``; None where there are none.
    """
    value = np.median(image[around])
    equal, inside = image == value, ~around
    left = image[inside & ~equal]
    if left.size == 0 or left.min() < value:
        return None
    dark = value + DARK * (np.percentile(left, 99) - value)
    found = equal & inside
    return found if np.count_nonzero(found) > np.count_nonzero(left < dark) else None


def _from_frame(mask: NDArray[np.uint8]) -> BoolArray:
    """The parts of a mask that reach the frame."""
    labels, count = ndimage.label(mask)
    reach = np.zeros(count + 1, np.bool_)
    reach[_frame(labels)] = True
    reach[0] = False
    return np.asarray(reach[labels], np.bool_)


def _frame(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """The pixels of the frame, side by side."""
    return np.concatenate([image[0], image[1:, -1], image[-1, -2::-1], image[-2:0:-1, 0]])
