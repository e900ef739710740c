"""Guidance: data consistency, which pulls the estimate of a network that has not seen the scan towards it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.arrays import Array
from medidiff.diffusion.process import Process
from medidiff.diffusion.samplers import Denoised


def guided(
    denoised: Denoised,
    y: NDArray[np.floating],
    process: Process,
    noise_power: NDArray[np.floating],
    error_power: Callable[[float], NDArray[np.floating]],
    gain: float = 1.0,
    *,
    scale_to_variance: bool = False,
) -> Denoised:
    """Data consistency: D + g F^-1[ V_t / (V_t + t_y^2 S) F(y - D) ] around a network that has not used y.

    Exact for Gaussian x: combines the state's estimate and the scan by their precisions.

    Args:
        denoised: the network.
        y: scan, ``[y, x]``.
        process: must not use the scan otherwise.
        noise_power: t_y^2 S, noise power of the scan on the `numpy.fft.fft2` grid.
        error_power: V_t, power of the error of D at noise level t, same grid and scale.
        gain: g, 0 (off) to 1.
        scale_to_variance: scale V_t so that its mean is that of the network's own variance; `error_power`
            then gives the shape alone.

    Returns:
        The estimate, and the network's variance times what the consistent estimate has left of V_t.

    Raises:
        ValueError: the process uses the scan already; counting it twice makes the answer too noisy.
    """
    if process.sees_scan:
        raise ValueError(f"{type(process).__name__} uses the scan already: data consistency counts it twice")

    def consistent(x: Array, t: float) -> tuple[Array, Array | None]:
        x0_hat, v = denoised(x, t)
        power = error_power(t)
        if v is not None and scale_to_variance:
            power = power * (np.mean(v) / np.mean(power))
        share = gain * power / (power + noise_power)
        corrected = x0_hat + np.fft.ifft2(share * np.fft.fft2(y - x0_hat)).real.astype(y.dtype)
        if v is not None:
            # The error is (1 - share) of the network's and share of the scan's noise.
            left = np.mean((1.0 - share) ** 2 * power + share**2 * noise_power) / np.mean(power)
            v = v * left.astype(y.dtype)
        return corrected, v

    return consistent
