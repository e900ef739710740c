"""What watches or corrects a result against the scan: guard, DC preservation, data consistency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.arrays import Array
from medidiff.diffusion.process import Process
from medidiff.diffusion.samplers import Denoised

HALF_VALUE_LPCM = 0.3
"""Where the guard's Gaussian low-pass falls to a half: structures of about 1 cm and larger pass."""
FLAG_SIGMAS = 4.0


@dataclass(frozen=True, eq=False)
class Guard:
    """Report of the low-frequency check.

    Attributes:
        difference: LP(y - out), ``[..., y, x]``.
        limit: what it may be, `FLAG_SIGMAS` times the low-passed noise SD.
        flagged: bool, True where the difference exceeds the limit.
    """

    difference: NDArray[np.floating]
    limit: NDArray[np.floating] | float
    flagged: NDArray[np.bool_]

    @property
    def fraction(self) -> float:
        """Share of flagged pixels."""
        return float(self.flagged.mean())


def guard(
    y: NDArray[np.floating],
    out: NDArray[np.floating],
    t_y: float,
    spectrum: NDArray[np.floating],
    pixel_mm: float,
    relative_sd: NDArray[np.floating] | float = 1.0,
) -> Guard:
    """Flags places where the low frequencies of the scan changed more than its noise explains.

    Reports only, changes nothing. sigma_LP^2 = t_y^2 mean(S |LP|^2) over frequencies.

    Args:
        y: scan, ``[..., y, x]``.
        out: result, same shape and unit.
        t_y: noise SD of the scan.
        spectrum: noise power on the `numpy.fft.fft2` grid of a slice, any scale.
        pixel_mm: pixel size in mm.
        relative_sd: local SD relative to t_y.
    """
    difference = low_pass(y - out, pixel_mm)
    fy, fx = (np.fft.fftfreq(n, pixel_mm / 10.0) for n in spectrum.shape)
    gain = np.exp(-np.log(2.0) * (fy[:, None] ** 2 + fx**2) / HALF_VALUE_LPCM**2)
    share = float((spectrum * gain**2).sum() / spectrum.sum())
    limit = FLAG_SIGMAS * t_y * float(np.sqrt(share)) * relative_sd
    return Guard(difference, limit, np.abs(difference) > limit)


def preserve_dc(y: NDArray[np.floating], out: NDArray[np.floating], pixel_mm: float) -> NDArray[np.floating]:
    """Returns out + LP(y - out): the scan's low frequencies, the result's high ones."""
    return np.asarray(out + low_pass(y - out, pixel_mm))


def low_pass(image: NDArray[np.floating], pixel_mm: float) -> NDArray[np.floating]:
    """Gaussian low-pass of each slice, half value at 0.3 lp/cm.

    Wraps around at the borders: what is filtered here is a residual, and mirroring coloured noise would
    break its anticorrelation and raise its low frequencies there.
    """
    from scipy.ndimage import gaussian_filter

    # exp(-2 pi^2 sd^2 f^2) = 1/2 at f = HALF_VALUE_LPCM
    sd_cm = np.sqrt(np.log(2.0) / 2.0) / (np.pi * HALF_VALUE_LPCM)
    return np.asarray(gaussian_filter(image, sd_cm * 10.0 / pixel_mm, axes=(-2, -1), mode="wrap"))


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
