"""Noise like a scan's own: MR noise with the measured spectrum of the scan it is added to.

The noise of clinical scans has been through windows, interpolation and filters that nobody wrote down. A
network that never sees such noise inserted takes it for structure, because all its targets have it. Where
inserted noise has the spectrum of the target's own, the target can be corrected (`NoisyTarget`):

    x* = x_F - (sigma_F / sigma_ins)^2 (y - x_F),    E[x* | y] = E[x | y]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from medidiff.noise.estimate_mr import PATCH_PX, PLATEAU, REPLACED, tissue_noise
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.training.mr_stacks import foreground
from medidiff.training.patches import SimulatedSlice, neighbour_level
from medidiff.volume import FloatArray

LOOKED_AT = 12
"""Slices of a stack whose flattest patches give its spectrum."""

TISSUE_PX = 2.0
"""SD of the smoothing that tells tissue from air."""


def own_spectrum(slices: FloatArray) -> NDArray[np.float64] | None:
    """DCT power ``[8, 8]`` of the noise of a stack, mean 1; None where no slice has flat tissue.

    Args:
        slices: float32 ``[z, y, x]``.
    """
    some = slices[:: max(1, len(slices) // LOOKED_AT)]
    found = [t.spectrum / t.sigma**2 for t in map(tissue_noise, some) if t is not None]
    if not found:
        return None
    power = np.mean(found, axis=0)
    # The lowest coefficients chose the patches; those next to them stand for them, as in the estimate.
    power = np.where(REPLACED, power[PLATEAU].mean(), power)
    return np.asarray(power / power.mean(), np.float64)


def colour(power: NDArray[np.float64], shape: tuple[int, ...]) -> FloatArray:
    """Amplitude of noise ``[y, x]`` with a DCT power, in the order of the transform; root mean square 1.

    Args:
        power: ``[8, 8]``; coefficient k of an axis is at k / 16 cycles a pixel.
        shape: ``(y, x)``.
    """
    v, u = (np.abs(fft.fftfreq(n)) * 2 * PATCH_PX for n in shape)
    at = np.meshgrid(v, u, indexing="ij")
    dense = ndimage.map_coordinates(power, at, order=1, mode="nearest")
    return _unit(np.sqrt(np.maximum(dense, 0.0)))


def binned_colour(amplitude: FloatArray) -> FloatArray:
    """Amplitude of the same noise binned two by two: attenuated by the mean, folded by the coarser grid."""
    height, width = (n - n % 2 for n in amplitude.shape)
    v, u = (np.cos(np.pi * fft.fftfreq(n)) ** 2 for n in amplitude.shape)
    power = (amplitude**2 * np.outer(v, u))[:height, :width]
    return _unit(np.sqrt(power.reshape(2, height // 2, 2, width // 2).sum((0, 2))))


def simulate_own(
    clean: FloatArray,
    sigma_f: float,
    inserted: float,
    amplitude: FloatArray,
    texture: float,
    pixel_mm: float,
    rng: np.random.Generator,
) -> SimulatedSlice:
    """Adds noise like a slice's own to it and its neighbours, and corrects the target for its own.

    Args:
        clean: ``[3, h, w]`` previous, centre, next, in units of the foreground p99.
        sigma_f: noise SD that they have.
        inserted: noise SD to add, at least `sigma_f`.
        amplitude: of the noise, from `colour`.
        texture: zero-fill factor that the network is told.
        pixel_mm: pixel size.
        rng: source of randomness.
    """
    sigma = float(np.hypot(inserted, sigma_f))
    neighbour_sigma = neighbour_level(sigma, rng)
    beside = float(np.sqrt(max(neighbour_sigma**2 - sigma_f**2, 0.0)))
    noisy = np.stack(
        [_magnitude(p, s, amplitude, rng) for p, s in zip(clean, (beside, inserted, beside), strict=True)]
    )
    x = clean[1]
    ratio = (sigma_f / inserted) ** 2
    # Nearer to the noise a magnitude is no signal plus noise, and there is no such correction.
    tissue = (ndimage.gaussian_filter(x, TISSUE_PX) > GAUSSIAN_SNR * sigma).astype(np.float32)
    ones = np.ones_like(x)
    return SimulatedSlice(
        state=noisy[1],
        previous=noisy[0],
        following=noisy[2],
        target=x - np.float32(ratio) * tissue * (noisy[1] - x),
        sigma=sigma,
        neighbour_sigma=neighbour_sigma,
        relative_sd=ones,
        excess=np.float32(sigma_f**2 * (1.0 + ratio)) * tissue,
        # There the target has its noise for truth; slices with other noise teach the network about air.
        weight=tissue,
        worth=foreground(x),
        texture=texture,
        pixel_mm=pixel_mm,
        modality="mr",
        reference=clean,
        reference_sigma=sigma_f,
    )


def _magnitude(
    plane: FloatArray, sigma: float, amplitude: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Rician magnitude of a slice with coloured noise."""
    white = rng.standard_normal((*plane.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise = fft.ifft2(fft.fft2(white) * amplitude)
    return np.asarray(np.abs(plane + np.float32(sigma) * noise), np.float32)


def _unit(amplitude: NDArray[np.float64]) -> FloatArray:
    return np.asarray(amplitude / np.sqrt(np.mean(amplitude**2)), np.float32)
