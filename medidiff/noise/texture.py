"""Texture: the mean frequency of CT noise, and how far an MR image was interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.noise.spectrum import radial_frequency
from medidiff.volume import BoolArray, FloatArray

PATCH_PX, STRIDE_PX = 32, 6
FLAT_SHARE = 0.1
MIN_PATCHES = 8
MANY_PATCHES, MANY_MIXED = 20, 90
"""Patches wholly in tissue, or at least for three fifths, from which some are flat for sure."""

STRUCTURE_LP_CM = 1.2  # below this, tissue structure outweighs the noise even in flat patches

EDGE_DROP = 1.2  # nepers of power by which a band edge exceeds the usual fall of the spectrum


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
    if first >= bins:  # pixels of 4 mm and more show no noise above the structure
        return None
    profile[:first] = profile[first] * radius[:first] / radius[first]
    total = float((profile * radius).sum())
    return float((profile * radius**2).sum()) / total if total > 0 else None


def has_flat_patches(mask: BoolArray) -> bool:
    """Whether a slice holds so much tissue that the flattest of its patches show noise and not structure.

    In a small crop all patches hold edges, and `kernel_frequency` reads that of the anatomy, half as high.

    Args:
        mask: bool ``[y, x]``, homogeneous tissue.
    """
    if min(mask.shape) < PATCH_PX:
        return False
    cover = _windows(mask).mean(axis=(2, 3))
    whole, mixed = (int(np.count_nonzero(cover > least)) for least in (0.9, 0.6))
    return whole >= MANY_PATCHES or mixed >= MANY_MIXED


def interpolation_factor(stack: FloatArray) -> tuple[float, float]:
    """Zero-filling of an MR image along ``(y, x)``: image matrix over the part of k-space that holds signal.

    The mean power spectrum along each axis falls steeply at the edge of the acquired box; the steepest fall
    over 0.06 cycles/px is that edge if it exceeds the usual fall of the spectrum by a factor of 3.3.

    Args:
        stack: float32 ``[z, y, x]``, a few slices are enough.

    Returns:
        Factors of 1 (no edge found) to 2.5.
    """
    from scipy import fft

    height, width = stack.shape[1:]
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    power = np.zeros((height, width))
    for plane in stack:
        power += np.abs(fft.fft2((plane - plane.mean()) * window)) ** 2
    return _band_edge(power.mean(axis=1)), _band_edge(power.mean(axis=0))


def _band_edge(power: NDArray[np.float64]) -> float:
    """Interpolation factor from the power along one axis, in FFT order."""
    from scipy import ndimage

    n = len(power)
    if n < 32:
        return 1.0
    f = np.arange(1, n // 2) / n
    smooth = ndimage.gaussian_filter1d(np.log(power[1 : n // 2] + 1e-30), 0.008 * n)
    grid = np.linspace(0.05, 0.49, 221)
    log = np.interp(grid, f, smooth)
    half = 15  # 0.03 cycles/px
    fall, centre = log[: -2 * half] - log[2 * half :], grid[half:-half]
    usual = float(np.median(fall[(centre > 0.12) & (centre < 0.22)]))
    searched = centre >= 0.2
    k = int(np.argmax(np.where(searched, fall, -np.inf)))
    return float(0.5 / centre[k]) if fall[k] - usual > EDGE_DROP else 1.0


def _patch_power(image: FloatArray, mask: BoolArray) -> FloatArray | None:
    """Hann periodograms ``[n, 32, 17]`` of the patches that lie in the mask, or None."""
    from scipy import fft, ndimage

    if min(image.shape) < PATCH_PX:
        return None
    residual = image - ndimage.gaussian_filter(image, 4.0)
    patches, cover = _windows(residual), _windows(mask).mean(axis=(2, 3))
    inside = cover > 0.9
    if np.count_nonzero(inside) < MANY_PATCHES:
        inside = cover > 0.6
    if np.count_nonzero(inside) < MIN_PATCHES:
        return None
    chosen = patches[inside]
    window = np.outer(np.hanning(PATCH_PX), np.hanning(PATCH_PX)).astype(np.float32)
    centred = (chosen - chosen.mean(axis=(1, 2), keepdims=True)) * window
    return np.asarray(np.abs(fft.rfft2(centred)) ** 2, dtype=np.float32)


def _windows(image: NDArray[Any]) -> NDArray[Any]:
    """The patches of an image as a view, ``[rows, columns, 32, 32]``."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX))
    return windows[::STRIDE_PX, ::STRIDE_PX]
