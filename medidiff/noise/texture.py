"""What the noise looks like: its mean frequency (CT) and the interpolation of the image (MR)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medidiff.noise.spectrum import radial_frequency

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

PATCH_PX, STRIDE_PX = 32, 6
FLAT_SHARE = 0.1
MIN_PATCHES = 8
STRUCTURE_LP_CM = 1.2  # below this, tissue structure outweighs the noise even in flat patches


def kernel_frequency(image: FloatArray, pixel_mm: float, mask: BoolArray) -> float | None:
    """Mean frequency of the noise power spectrum, sum S f^2 / sum S f, of one slice.

    The spectrum is that of the flattest Hann patches: those with the least power below 1.2 lp/cm. Below
    that frequency it is replaced by the ramp that filtered back-projection gives CT noise, so that neither
    structure nor the choice of patches enters.

    Args:
        image: float32 ``[y, x]``.
        pixel_mm: pixel size in mm.
        mask: bool ``[y, x]``, homogeneous tissue.

    Returns:
        lp/cm; None where there are too few flat patches.
    """
    power = _patch_power(image, mask)
    if power is None:
        return None
    bin_width = 10 / (pixel_mm * PATCH_PX)
    f = radial_frequency((PATCH_PX, PATCH_PX), pixel_mm)
    structure = (f > 0) & (f < max(STRUCTURE_LP_CM, 1.5 * bin_width))
    order = np.argsort(power[:, structure].mean(axis=1))
    flat = power[order[: max(int(FLAT_SHARE * len(power)), MIN_PATCHES)]].mean(axis=0)
    twice = np.full(f.shape, 2.0)
    twice[:, [0, -1]] = 1.0  # the half plane of a real transform holds these columns once
    ring = np.rint(f / bin_width).astype(np.intp).ravel()
    bins = PATCH_PX // 2 + 1
    profile = np.bincount(ring, (flat * twice).ravel())[:bins] / np.bincount(ring, twice.ravel())[:bins]
    radius = np.arange(bins) * bin_width
    first = max(int(np.ceil(STRUCTURE_LP_CM / bin_width)), 2)
    profile[:first] = profile[first] * radius[:first] / radius[first]
    total = float((profile * radius).sum())
    return float((profile * radius**2).sum()) / total if total > 0 else None


def _patch_power(image: FloatArray, mask: BoolArray) -> FloatArray | None:
    """Hann periodograms ``[n, 32, 17]`` of the patches that lie in the mask, or None."""
    from scipy import fft, ndimage

    if min(image.shape) < PATCH_PX:
        return None
    residual = image - ndimage.gaussian_filter(image, 4.0)
    patches, covers = (
        np.lib.stride_tricks.sliding_window_view(a, (PATCH_PX, PATCH_PX))[::STRIDE_PX, ::STRIDE_PX]
        for a in (residual, mask)
    )
    cover = covers.mean(axis=(2, 3))
    inside = cover > 0.9
    if np.count_nonzero(inside) < 20:
        inside = cover > 0.6
    if np.count_nonzero(inside) < MIN_PATCHES:
        return None
    chosen = patches[inside]
    window = np.hanning(PATCH_PX)[:, None] * np.hanning(PATCH_PX)[None, :]
    centred = (chosen - chosen.mean(axis=(1, 2), keepdims=True)) * window
    return np.asarray(np.abs(fft.rfft2(centred)) ** 2, dtype=np.float32)
