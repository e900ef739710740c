"""BM3D and BM4D. The packages are not free software: they are compared with, never depended on.

BM3D (Dabov et al. 2007; coloured noise: Mäkinen et al. 2020) is run blind, with the true level as white
noise, and with the true power spectrum. BM4D (Maggioni et al. 2013) gets a slab of slices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medidiff.noise.spectrum import Spectrum
from medidiff.volume import FloatArray
from peers.given import Given


def bm3d_blind(given: Given) -> Iterator[FloatArray]:
    """BM3D with the level that scikit-image's wavelet estimate finds, which takes the noise for white."""
    import bm3d as library
    from skimage.restoration import estimate_sigma

    sigma = float(estimate_sigma(given.image))
    yield library.bm3d(given.image, sigma_psd=max(sigma, 1e-6))


def bm3d_white(given: Given) -> Iterator[FloatArray]:
    """BM3D with the true level, as white noise."""
    import bm3d as library

    yield library.bm3d(given.image, sigma_psd=given.sigma)


def bm3d_psd(given: Given) -> Iterator[FloatArray]:
    """BM3D with the true radial power spectrum at the true level."""
    import bm3d as library

    if given.spectrum is None:
        raise ValueError("the true power spectrum is not known")
    power = plane_spectrum(given.spectrum, given.image.shape, given.pixel_mm, given.sigma)
    yield library.bm3d(given.image, sigma_psd=power)


def bm4d(given: Given) -> Iterator[FloatArray]:
    """BM4D on the slab with the true level, white noise; its answer to the slice in question."""
    if len(given.slab) == 1:
        return
    for answer in bm4d_whole(given):
        yield answer[given.centre]


def bm4d_whole(given: Given) -> Iterator[FloatArray]:
    """BM4D with the true level, white noise; its answer to the whole slab ``[z, y, x]``."""
    import bm4d as library

    answer = library.bm4d(given.slab.transpose(1, 2, 0), given.sigma)
    yield np.ascontiguousarray(np.asarray(answer, np.float32).transpose(2, 0, 1))


def plane_spectrum(
    spectrum: Spectrum, shape: tuple[int, ...], pixel_mm: float, sigma: float
) -> NDArray[np.float64]:
    """Expected |FFT|^2 of the noise, the form in which the bm3d package takes a power spectrum.

    Args:
        spectrum: radial shape; its level does not matter.
        shape: ``(y, x)``.
        pixel_mm: pixel size in mm.
        sigma: SD of the noise, so that the mean of the result is sigma^2 times the number of pixels.
    """
    fy = np.fft.fftfreq(shape[0], pixel_mm / 10.0)[:, None]
    fx = np.fft.fftfreq(shape[1], pixel_mm / 10.0)[None, :]
    power = np.asarray(spectrum(np.hypot(fy, fx)), np.float64)
    return np.asarray(power * sigma**2 * power.size**2 / max(float(power.sum()), 1e-30))
