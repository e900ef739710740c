"""Region: the pixels that figures are computed over, other than all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medidiff import scratch
from medidiff.errors import PixelError
from medidiff.volume import BODY_HU, BoolArray, FloatArray, Volume, spread

BODY_OTSU = 0.5
"""Share of the Otsu threshold of a smoothed MR volume above which a pixel belongs to the body."""
SMOOTHING_PX = 2.0
COARSE = 4
"""The body is found on every fourth row and column, which is enough for its outline and far faster."""
SECOND = 0.25
"""Regions of at least this share of the largest count too: two legs, two arms beside the trunk."""
OTSU_SLICES = 20


@dataclass(frozen=True, eq=False)
class Region:
    """Which pixels count.

    Attributes:
        inside: bool ``[z, y, x]``.
        text: the region for people; printed with every figure that was computed over it.
    """

    inside: BoolArray
    text: str

    def __and__(self, other: Region) -> Region:
        """The pixels of both."""
        return Region(self.inside & other.inside, f"{self.text} and {other.text}")


def region_of(mask: Volume, name: str) -> Region:
    """The region of a mask image on the grid of the scan: every pixel that is not 0.

    Args:
        mask: the mask as it was read.
        name: what it is called in the protocol.

    Raises:
        PixelError: nothing is marked.
    """
    inside = np.isfinite(mask.array) & (mask.array != 0)
    if not inside.any():
        raise PixelError("The mask marks no pixel")
    return Region(inside, f"mask {name}")


def body(volume: Volume) -> Region:
    """The body: what is connected above a threshold, holes filled slice by slice.

    CT: 2 px Gaussian above -500 HU, so that lung and bowel gas inside the body count (as holes) and the air
    around it does not. Anything else: 2 px Gaussian above half the Otsu threshold of the volume. Of the
    regions connected in 3-D on every fourth row and column, after an opening that cuts the table off, the
    largest is taken, and any other of at least a quarter of its size.

    Raises:
        PixelError: nothing is above the threshold.
    """
    from scipy import ndimage

    hu = volume.unit == "HU"
    threshold = BODY_HU if hu else BODY_OTSU * _otsu(volume)
    coarse = np.stack([_smooth(volume, k)[::COARSE, ::COARSE] > threshold for k in range(len(volume.array))])
    plane = ndimage.generate_binary_structure(2, 1)
    opened = ndimage.binary_opening(coarse, plane[None])
    label, count = ndimage.label(opened if opened.any() else coarse)
    if not count:
        raise PixelError("No body is found: nothing is above the threshold", received=f"{threshold:.4g}")
    sizes = np.bincount(label.ravel())[1:]
    kept = np.isin(label, 1 + np.flatnonzero(sizes >= SECOND * sizes.max()))
    inside = np.zeros(volume.array.shape, np.bool_)
    height, width = volume.array.shape[1:]
    for k, found in enumerate(kept):
        filled = ndimage.binary_fill_holes((ndimage.binary_dilation(found, plane) & coarse[k]) | found)
        inside[k] = filled.repeat(COARSE, 0).repeat(COARSE, 1)[:height, :width]
    if volume.padding is not None:
        inside &= ~volume.padding
    level = f"{BODY_HU:g} HU" if hu else "half the Otsu threshold"
    return Region(inside, f"body (largest connected region above {level})")


def _smooth(volume: Volume, k: int) -> FloatArray:
    """Slice k after a 2 px Gaussian, air (or 0) where there is no image."""
    from scipy import ndimage

    empty = -1024.0 if volume.unit == "HU" else 0.0
    image = np.nan_to_num(volume.array[k], nan=empty, posinf=empty, neginf=empty)
    if volume.padding is not None:
        image[volume.padding[k]] = empty
    scratch.release(volume.array)
    return np.asarray(ndimage.gaussian_filter(image, SMOOTHING_PX), np.float32)


def _otsu(volume: Volume) -> float:
    """Otsu threshold of some smoothed slices."""
    from medidiff.noise.estimate_mr import otsu

    shown = spread(len(volume.array), OTSU_SLICES)
    return otsu(np.stack([_smooth(volume, int(k))[::COARSE, ::COARSE] for k in shown]))
