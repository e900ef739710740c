"""Blind noise level of magnitude MR slices, from tissue.

The flattest 8x8 patches of the foreground, judged by their low DCT coefficients and measured by the others
(after Ponomarenko et al. 2007), with the Rician correction of Koay and Basser 2006 at the patch's own SNR. It
holds for masked, defaced and vendor-filtered background and for interpolated images, whose noise fills only
part of the spectrum. What the flattest patches still hold of structure is told by the less flat ones
(`flatness`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from medidiff.noise.floor import koay_xi
from medidiff.volume import BoolArray, FloatArray

PATCH_PX = 8
FLAT_SHARE, COARSE_SHARE = 0.02, 0.2
FEWEST_FLAT, FEWEST_PATCHES = 100, 120
ROUNDS = 5  # of the Rician correction, which converges in two or three

RADIUS = np.hypot(*np.mgrid[:PATCH_PX, :PATCH_PX])  # DCT index: 2 PATCH_PX times the frequency in cycles/px
JUDGED = (RADIUS > 0) & (RADIUS <= 3.0)
# MR noise is white inside the acquired box, so that the coefficients next to the judged ones stand for them
# (and for the mean); they lie in the box up to an interpolation by two.
REPLACED = RADIUS <= 3.0
PLATEAU = (RADIUS > 3.0) & (RADIUS <= 3.7)


@dataclass(frozen=True, eq=False)
class TissueNoise:
    """Noise of one slice from its flattest patches.

    Attributes:
        sigma: SD per channel.
        n_pixels: pixels of the foreground that were searched.
        snr: median signal of the patches used over sigma.
        spectrum: DCT power ``[8, 8]`` of the patches used.
        coarse: that of the flattest fifth of all patches.
    """

    sigma: float
    n_pixels: int
    snr: float
    spectrum: NDArray[np.float64]
    coarse: NDArray[np.float64]

    @property
    def structure(self) -> float:
        """Level of the flattest fifth over `sigma`; above about 1.5 the slice has hardly a flat patch."""
        return level_of(self.coarse) / self.sigma

    def whiteness(self, zero_fill: tuple[float, float]) -> float:
        """High over middle frequencies inside the acquired box: near 1 for noise, below 0.2 for texture.

        Args:
            zero_fill: image matrix over acquired matrix along ``(y, x)``.
        """
        v, u = np.mgrid[:PATCH_PX, :PATCH_PX]
        edge_v, edge_u = (0.85 * PATCH_PX / z for z in zero_fill)
        high = (v < edge_v) & (u < edge_u) & (RADIUS > 3.7)
        middle = float(self.spectrum[PLATEAU].mean())
        return float(self.spectrum[high].mean()) / middle if high.any() and middle > 0 else 1.0


def tissue_noise(image: FloatArray, padding: BoolArray | None = None) -> TissueNoise | None:
    """Noise level of the foreground of one slice; None where it has too few patches.

    Args:
        image: float32 ``[y, x]``, magnitude, finite.
        padding: bool ``[y, x]``, True where there is no image.
    """
    inside = foreground(image, padding)
    for stride in (2, 1):
        found = patches(image, inside, stride)
        if len(found) >= FEWEST_PATCHES:
            break
    else:
        return None
    mean = found.mean(axis=(1, 2), dtype=np.float64)
    power = fft.dctn(found, axes=(1, 2), norm="ortho").astype(np.float32) ** 2
    judged = power[:, JUDGED].mean(axis=1)
    sigma = float(np.sqrt(np.quantile(judged, 0.05)))
    if sigma <= 0:
        return None
    for _ in range(ROUNDS):
        xi = rician_share(mean / sigma)
        # Dark patches carry little of the noise and, with many coils, another share than `xi`.
        bright = mean > 3 * sigma
        usable = bright if bright.mean() > 0.3 else np.ones_like(bright)
        order = np.flatnonzero(usable)[np.argsort((judged / xi)[usable])]
        flat = order[: max(int(FLAT_SHARE * len(order)), min(FEWEST_FLAT, len(order)))]
        sigma = level_of((power[flat] / xi[flat, None, None]).mean(axis=0, dtype=np.float64))
        if sigma <= 0:
            return None
    coarse = order[: max(int(COARSE_SHARE * len(order)), len(flat))]
    return TissueNoise(
        sigma=sigma,
        n_pixels=int(np.count_nonzero(inside)),
        snr=float(np.median(mean[flat])) / sigma,
        spectrum=(power[flat] / xi[flat, None, None]).mean(axis=0, dtype=np.float64),
        coarse=(power[coarse] / xi[coarse, None, None]).mean(axis=0, dtype=np.float64),
    )


def foreground(image: FloatArray, padding: BoolArray | None = None) -> BoolArray:
    """Object pixels at least 4 px inside: 2 px Gaussian above 0.7 of its Otsu threshold."""
    smooth = ndimage.gaussian_filter(image, 2.0)
    mask = smooth > 0.7 * otsu(smooth)
    if padding is not None:
        mask &= ~padding
    eroded: BoolArray = ndimage.binary_erosion(mask, iterations=4)
    return eroded


def otsu(values: FloatArray) -> float:
    """Threshold that splits the values into two classes of largest separation (Otsu 1979)."""
    top = float(np.percentile(values, 99.9))
    counts, edges = np.histogram(values, bins=256, range=(float(values.min()), max(top, 1e-12)))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    return float(centres[int(np.nanargmax(np.where(np.isfinite(between), between, -1)))])


def rician_share(mean_over_sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Var[m] / sigma^2 at a given E[m] / sigma: `koay_xi` at the SNR that has this mean."""
    mean, xi = _rician_table()
    return np.interp(mean_over_sigma, mean, xi)


@lru_cache(maxsize=1)
def _rician_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    theta = np.linspace(0, 20, 2001)
    xi = koay_xi(theta)
    return np.sqrt(theta**2 + 2 - xi), xi  # E[m]^2 = E[m^2] - Var[m]


def patches(image: FloatArray, inside: BoolArray, stride: int) -> FloatArray:
    """All 8x8 patches whose centre lies in the eroded foreground, ``[n, 8, 8]``."""
    if min(image.shape) < PATCH_PX:
        return np.zeros((0, PATCH_PX, PATCH_PX), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX))[::stride, ::stride]
    half = PATCH_PX // 2
    centre = inside[half:, half:][::stride, ::stride][: windows.shape[0], : windows.shape[1]]
    return np.asarray(windows[centre], dtype=np.float32)


def level_of(spectrum: NDArray[np.float64]) -> float:
    """SD of the noise from the mean DCT power ``[8, 8]`` of flat patches."""
    replaced = np.where(REPLACED, spectrum[PLATEAU].mean(), spectrum)
    return float(np.sqrt(max(float(replaced.mean()), 0.0)))
