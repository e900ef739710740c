"""Floor: mean and variance of magnitude MR noise where the signal is low, and the signal under them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

GAUSSIAN_SNR = 4.0
"""Signal over noise above which a magnitude is as good as signal plus Gaussian noise."""


def rician_mean(signal: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """E[m] of a Rician magnitude: sigma sqrt(pi/2) L_{1/2}(-A^2 / (2 sigma^2)) (Rice 1944)."""
    x = (np.asarray(signal, dtype=np.float64) / sigma) ** 2 / 4  # half the Laguerre argument
    laguerre = (1 + 2 * x) * special.ive(0, x) + 2 * x * special.ive(1, x)
    return np.asarray(sigma * np.sqrt(np.pi / 2) * laguerre)


def beyond_rician(sigma: ArrayLike, coils: int) -> NDArray[np.float32]:
    """2 (L - 1) sigma^2: what the floor of a root sum of squares of L channels has beyond Rician noise.

    E[m^2] = A^2 + 2 L sigma^2. Of a noncentral chi image with signal A, the image with Rician noise that is
    nearest (equal second moment, and equal SD well above the floor) has the signal
    sqrt(A^2 + 2 (L - 1) sigma^2).

    Args:
        sigma: noise SD per channel, a number or a map.
        coils: L; 1 is Rician noise and gives 0.
    """
    return np.asarray(2 * (coils - 1) * np.asarray(sigma, np.float32) ** 2, np.float32)


def without_floor(
    image: NDArray[np.float32], variance: NDArray[np.float32] | None, floor: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A = sqrt(max(D^2 - floor, 0)) and its variance.

    By error propagation SD(A) = D SD(D) / A; where A vanishes A^2 has the SD 2 D SD(D) and A about 0.7 of the
    root of it, so that D SD(D) / max(A, sqrt(2 D SD(D))) has both limits.

    Args:
        image: D.
        variance: of D, or None.
        floor: as `beyond_rician` gives it.
    """
    held = np.maximum(image, 0.0)
    square = np.maximum(held**2 - np.asarray(floor, np.float32), 0.0)
    found = np.sqrt(square).astype(np.float32)
    if variance is None:
        return found, None
    spread = held * np.sqrt(variance)
    return found, (spread**2 / np.maximum(np.maximum(square, 2.0 * spread), 1e-12)).astype(np.float32)


def koay_xi(theta: ArrayLike) -> NDArray[np.float64]:
    """Var[m] / sigma^2 of a Rician magnitude at SNR theta = A / sigma (Koay and Basser 2006, eq. 11).

    Runs from 2 - pi/2 (Rayleigh) to 1 (Gaussian).
    """
    t2 = np.asarray(theta, dtype=np.float64) ** 2
    bessel = (2 + t2) * special.ive(0, t2 / 4) + t2 * special.ive(1, t2 / 4)
    return np.asarray(2 + t2 - np.pi / 8 * bessel**2)
