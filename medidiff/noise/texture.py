"""What the noise looks like: mean frequency (CT), interpolation of the image (MR), local SD map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medidiff.noise.estimate_ct import GRID_PX, quiet_sd, weighted_median
from medidiff.noise.spectrum import radial_frequency

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

PATCH_PX, STRIDE_PX = 32, 6
FLAT_SHARE = 0.1
MIN_PATCHES = 8
STRUCTURE_LP_CM = 1.2  # below this, tissue structure outweighs the noise even in flat patches

MAP_SMOOTHING_PX = 12.0
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


def interpolation_factor(stack: FloatArray) -> tuple[float, float]:
    """Zero-filling of an MR image along ``(y, x)``: image matrix over the part of k-space with energy.

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


def local_sd_map(image: FloatArray, mask: BoolArray) -> FloatArray:
    """Relative noise map m(u) = sigma(u) / sigma of one slice, smooth over 12 px, median 1 in the mask.

    From the quietest fifth of each neighbourhood, so that edges and vessels do not pass for noise; outside
    the mask the map is continued from the nearest tissue.

    Args:
        image: float32 ``[y, x]``; for CT from `estimate_ct.clean_hu`.
        mask: bool ``[y, x]``, tissue: `estimate_ct.soft_tissue` or `estimate_mr.foreground`.

    Returns:
        float32 ``[y, x]``, within [0.25, 4]; ones where the mask is empty.
    """
    from scipy import ndimage

    quiet, samples = quiet_sd(image, mask)
    level = weighted_median(quiet[samples > 0], samples[samples > 0]) if (samples > 0).any() else 0.0
    if level <= 0:
        return np.ones(image.shape, dtype=np.float32)
    log = np.where(samples > 0, np.log(np.clip(quiet / level, 0.1, 10)), 0)
    weight = samples / samples.max()
    total = np.full(log.shape, 1e-6)
    value = np.zeros(log.shape)
    # Each wider kernel counts only where the narrower ones see next to no tissue.
    for wider, trust in ((1, 1.0), (4, 1e-2), (16, 1e-4)):
        width = wider * MAP_SMOOTHING_PX / GRID_PX
        value += trust * ndimage.gaussian_filter(weight * log, width)
        total += trust * ndimage.gaussian_filter(weight, width)
    y, x = (np.arange(n) / GRID_PX for n in image.shape)
    fine = ndimage.map_coordinates(value / total, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
    return np.asarray(np.exp(np.clip(fine, np.log(0.25), np.log(4.0))), dtype=np.float32)


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
