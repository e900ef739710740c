"""Spread: the answer at low SNR, and the variance of an answer that is not the posterior mean."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.volume import FloatArray

LOW_SNR, FULL_SNR = 2.0, GAUSSIAN_SNR
"""MR: below the first the multi-step state is no magnitude image of its level (Rician floor), above the
second it is as good as Gaussian; between, the answer goes over from the mean to the sampler's."""

SMOOTH_PX = 5
"""Side of the square over which the square of one difference, or of a few, becomes a variance."""


def trusted(mean: FloatArray, sigma: FloatArray | float, modality: str) -> FloatArray | np.float32:
    """Share of the sampler's answer in the final one, the mean's is the rest; 1 for CT.

    Args:
        mean: D ``[y, x]``, network units.
        sigma: local noise SD, network units.
        modality: ``"ct"`` or ``"mr"``.
    """
    if modality != "mr":
        return np.float32(1.0)
    snr = mean / np.asarray(sigma, np.float32)
    return np.asarray(np.clip((snr - LOW_SNR) / (FULL_SNR - LOW_SNR), 0.0, 1.0), np.float32)


def about_the_truth(image: FloatArray, mean: FloatArray, variance: FloatArray | None) -> FloatArray | None:
    """Variance of an answer about the truth, E|a - x|^2 = |a - D|^2 + v, the first term as a local mean.

    Args:
        image: the answer a ``[y, x]``, a function of the scan.
        mean: D.
        variance: v of D, or None.
    """
    if variance is None:
        return None
    apart = ndimage.uniform_filter((image - mean) ** 2, SMOOTH_PX)
    return np.asarray(variance + apart, np.float32)


def of_draws(
    spread: FloatArray, draws: int, share: FloatArray | np.float32, variance: FloatArray | None
) -> FloatArray:
    """Variance of the mean of M draws about the truth: that of the posterior, and of the mean 1/M of it.

    The variance of so few draws scatters, by half of it with eight, and intervals made of it pixel by pixel
    cover too little: its local mean counts. Where draws hold only a share of their own deviation from the
    mean, v stands for the rest.

    Args:
        spread: variance of the draws as they are ``[y, x]``, share^2 times that of full draws.
        draws: M.
        share: `trusted`.
        variance: v of the mean, or None.
    """
    stated = np.float32(1.0 + 1.0 / draws) * ndimage.uniform_filter(spread, SMOOTH_PX)
    if variance is None:
        return np.asarray(stated, np.float32)
    return np.asarray(stated + (np.float32(1.0) - share**2) * variance, np.float32)
