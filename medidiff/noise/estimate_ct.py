"""Blind noise level of CT slices.

Two estimators share one idea: structure raises the local SD, so that noise alone is left where it is low.

`global_noise_level` is the published GNL (Christianson et al. 2015, AJR 205:W93): the mode of the local SD
in soft tissue. It is exact where flat tissue dominates, and reads up to four times too high on chest or
thigh slices with noise below 15 HU. `quiet_level` keeps less structure: a narrower high-pass, and the low
quintile of the local SD in each neighbourhood, both of which take a share of the noise that depends on its
colour alone and is put back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medidiff.volume import HU_RANGE, SOFT_TISSUE_HU, BoolArray, FloatArray

EROSIONS = 4
MIN_PIXELS = 200

QUIET_QUANTILE = 0.2
NEIGHBOURHOOD_PX, SUBSAMPLE_PX, GRID_PX = 48, 4, 8
WHOLE = (NEIGHBOURHOOD_PX // SUBSAMPLE_PX) ** 2  # samples of a neighbourhood
# `quiet_level` of unit noise against the mean frequency of its NPS in cycles/px. Made by simulation over
# the kernel family of `spectrum.draw_kernel` (scatter 0.5 %); a test makes it anew.
COLOUR = np.array([0.10, 0.116, 0.17, 0.185, 0.232, 0.258, 0.284, 0.311, 0.343, 0.374, 0.40])
SHARE = np.array([0.29, 0.357, 0.571, 0.617, 0.726, 0.771, 0.810, 0.840, 0.864, 0.881, 0.89])


def global_noise_level(slice_hu: FloatArray, padding: BoolArray | None = None) -> tuple[float, int]:
    """GNL of one slice: mode of the 9x9 SD of the image less its 4 px Gaussian, in soft tissue.

    Args:
        slice_hu: float32 ``[y, x]`` in HU.
        padding: bool ``[y, x]``, True where there is no image.

    Returns:
        ``(sigma in HU, number of pixels used)``; sigma is NaN where fewer than 200 pixels qualify.
    """
    image = clean_hu(slice_hu, padding)
    mask = soft_tissue(image, padding)
    n = int(np.count_nonzero(mask))
    return (_mask_mode(image, mask) if n >= MIN_PIXELS else float("nan")), n


def _mask_mode(image: FloatArray, mask: BoolArray) -> float:
    """The GNL inside a given mask, in HU."""
    return histogram_mode(local_sd(image, high_pass_px=4.0, window_px=9)[mask], min_bin=0.5)


def quiet_level(image: FloatArray, mask: BoolArray) -> float:
    """SD of the quietest fifth of each neighbourhood, median over the mask; `noise_share` of the noise SD.

    Args:
        image: float32 ``[y, x]`` from `clean_hu`.
        mask: bool ``[y, x]`` from `soft_tissue`.

    Returns:
        SD in HU; NaN where the mask has fewer than 200 pixels.
    """
    if np.count_nonzero(mask) < MIN_PIXELS:
        return float("nan")
    quiet, samples = quiet_sd(image, mask)
    full = samples >= min(WHOLE // 4, int(samples.max()))
    return weighted_median(quiet[full], samples[full])


def noise_share(colour: float) -> float:
    """What `quiet_level` reads of noise of SD 1 whose spectrum has mean frequency `colour` in cycles/px."""
    return float(np.interp(colour, COLOUR, SHARE))


def quiet_sd(image: FloatArray, mask: BoolArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Low quintile of the local SD over 48 px neighbourhoods on a grid of 8 px.

    Returns:
        ``(quintiles, masked samples)`` on the grid; the quintile is infinite where no sample is masked.
    """
    sd = np.where(mask, local_sd(image, high_pass_px=1.5, window_px=7), np.float32(np.inf))
    size, step = NEIGHBOURHOOD_PX // SUBSAMPLE_PX, GRID_PX // SUBSAMPLE_PX
    padded = np.pad(sd[::SUBSAMPLE_PX, ::SUBSAMPLE_PX], size // 2, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::step, ::step]
    ordered = np.sort(windows.reshape(*windows.shape[:2], WHOLE), axis=2)
    samples = np.count_nonzero(np.isfinite(ordered), axis=2)
    rank = (QUIET_QUANTILE * samples).astype(np.intp)
    return np.take_along_axis(ordered, rank[..., None], axis=2)[..., 0], samples


def clean_hu(slice_hu: FloatArray, padding: BoolArray | None = None) -> FloatArray:
    """HU clipped to [-1024, 3071], air where there is no image."""
    image = np.nan_to_num(slice_hu, nan=HU_RANGE[0], posinf=HU_RANGE[1], neginf=HU_RANGE[0])
    image = np.clip(image, *HU_RANGE).astype(np.float32)
    if padding is not None:
        image[padding] = HU_RANGE[0]
    return image


def soft_tissue(image: FloatArray, padding: BoolArray | None = None) -> BoolArray:
    """Pixels well inside soft tissue: 2 px Gaussian within (-100, 150) HU, eroded 4 times.

    Very strong coarse noise drives the smoothed HU out of the window everywhere and nothing is left. Then,
    and only where most of the tissue still lies in the window, the mask is taken at 5 px.
    """
    near = _in_window(image, 2.0)
    mask: BoolArray = ndimage.binary_erosion(near, iterations=EROSIONS)
    if np.count_nonzero(mask) < MIN_PIXELS:
        wide = ndimage.binary_erosion(_in_window(image, 5.0), iterations=EROSIONS)
        if np.count_nonzero(wide) >= MIN_PIXELS and near[wide].mean() > 0.5:
            mask = wide
    if padding is not None and padding.any():
        mask &= ~ndimage.binary_dilation(padding, iterations=EROSIONS)
    return mask


def _in_window(image: FloatArray, smoothing_px: float) -> BoolArray:
    smooth = ndimage.gaussian_filter(image, smoothing_px)
    return np.asarray((smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1]))


def local_sd(image: FloatArray, high_pass_px: float, window_px: int) -> FloatArray:
    """SD in square windows of the image less its Gaussian, float32 ``[y, x]``."""
    residual = (image - ndimage.gaussian_filter(image, high_pass_px)).astype(np.float64)
    mean = ndimage.uniform_filter(residual, window_px)
    power = ndimage.uniform_filter(residual * residual, window_px)
    return np.asarray(np.sqrt(np.maximum(power - mean * mean, 0)), dtype=np.float32)


def histogram_mode(values: FloatArray, min_bin: float = 0.0) -> float:
    """Mode of positive values: bins of max(min_bin, median / 30) up to p99, smoothed by 1.5 bins."""
    width = max(min_bin, float(np.median(values)) / 30)
    if width <= 0:
        return 0.0
    bins = max(int(np.ceil(float(np.percentile(values, 99)) / width)), 3)
    counts, edges = np.histogram(values, bins=bins, range=(0, bins * width))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 1.5, mode="constant")
    return float(edges[int(np.argmax(smooth))] + width / 2)


def weighted_median(values: NDArray[np.floating], weights: NDArray[np.generic]) -> float:
    """The value that halves the total weight."""
    order = np.argsort(values)
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
