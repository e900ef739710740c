"""Blind noise level of a volume: `estimate` looks at the modality and combines the slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff import scratch
from medidiff.errors import NoiseLevelError
from medidiff.noise import air, estimate_ct, estimate_mr, fill, flatness, texture
from medidiff.noise.estimate_ct import weighted_median
from medidiff.volume import BoolArray, FloatArray, Volume, spread

MAX_SLICES = 40  # looked at, evenly spread; the others are interpolated
# The kernel is the same in the whole series, and structure can only lower the estimate of its frequency.
KERNEL_QUANTILE = 0.65
TYPICAL_COLOUR = 0.25  # cycles/px: of body kernels at the usual pixel sizes 0.2 to 0.33

FEW_FLAT_PATCHES, TEXTURE, LOW_SNR = 1.5, 0.2, 2.0
"""MR: above the first `TissueNoise.structure`, below the second `TissueNoise.whiteness` and below the third
SNR the flattest patches hold structure or too little signal: a Rayleigh background tells the level better."""

MOST_G = 4.0
"""MR: largest g-factor. A level of tissue farther above that of the air is of structure, as of bright vessels
that pass for the whole foreground."""


@dataclass(frozen=True, eq=False)
class NoiseEstimate:
    """Noise level of a volume.

    Attributes:
        sigma: noise SD, in `unit`; for MR that of the real channel.
        per_slice: float32 ``[z]``, the same for each slice; slices without an estimate of their own are
            interpolated.
        method: how it was found, for people.
        n_pixels: pixels that the estimate rests on.
        unit: ``"HU"`` or ``"a.u."``.
        kernel_frequency: mean frequency of the noise in lp/cm (CT), or image matrix over acquired matrix
            (MR, geometric mean of both axes); None if unknown.
    """

    sigma: float
    per_slice: FloatArray
    method: str
    n_pixels: int
    unit: str
    kernel_frequency: float | None


def estimate(volume: Volume) -> NoiseEstimate:
    """Estimates the noise level of a volume.

    Args:
        volume: CT in HU, or any magnitude image (MR or unknown modality).

    Raises:
        NoiseLevelError: too little homogeneous tissue, or a modality without a noise model (PET).
    """
    if volume.modality == "PT":
        raise NoiseLevelError(
            "The noise of PET is not modelled, so that its level cannot be estimated",
            received=f"modality {volume.modality}",
            hint="Pass --sigma VALUE.",
        )
    shown = spread(len(volume.array), MAX_SLICES)
    return (_ct if volume.modality == "CT" else _mr)(volume, shown)


def _ct(volume: Volume, shown: NDArray[np.intp]) -> NoiseEstimate:
    levels, pixels, frequencies, flat = [], [], [], False
    for k in shown:
        image, mask = _soft_tissue(volume, int(k))
        pixels.append(int(np.count_nonzero(mask)))
        levels.append(estimate_ct.quiet_level(image, mask))
        frequency = texture.kernel_frequency(image, volume.pixel_mm, mask)
        if frequency is not None and pixels[-1] >= estimate_ct.MIN_PIXELS:
            frequencies.append(frequency)
            flat = flat or texture.has_flat_patches(mask)
    kernel = float(np.quantile(frequencies, KERNEL_QUANTILE)) if frequencies else None
    colour = TYPICAL_COLOUR if kernel is None else kernel * volume.pixel_mm / 10
    if not flat and colour < TYPICAL_COLOUR:
        # What so little tissue shows is anatomy too, whose frequency is lower than that of the noise.
        colour, kernel = TYPICAL_COLOUR, None
    found = np.asarray(levels) / estimate_ct.noise_share(colour)
    sigma, per_slice = _combine(found, np.asarray(pixels), shown, volume)
    method = "quietest local SD in soft tissue"
    return NoiseEstimate(sigma, per_slice, method, int(np.sum(pixels)), volume.unit, kernel)


def _soft_tissue(volume: Volume, k: int) -> tuple[FloatArray, BoolArray]:
    """Slice k without what shows no image, and where it shows soft tissue."""
    padding = None if volume.padding is None else volume.padding[k]
    if (around := fill.border_fill(volume.array[k], padding)) is not None:
        padding = around if padding is None else around | padding
    image = estimate_ct.clean_hu(volume.array[k], padding)
    scratch.release(volume.array)
    return image, estimate_ct.soft_tissue(image, padding)


def _mr(volume: Volume, shown: NDArray[np.intp]) -> NoiseEstimate:
    stack = np.nan_to_num(volume.array[shown], copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    scratch.release(volume.array)
    padding: BoolArray | None = None if volume.padding is None else volume.padding[shown]
    if padding is not None:
        stack[padding] = 0
    slices = [
        estimate_mr.tissue_noise(plane, None if padding is None else padding[k])
        for k, plane in enumerate(stack)
    ]
    background = air.air_noise(stack, padding)
    zero_fill = texture.interpolation_factor(stack)
    factor = float(np.sqrt(zero_fill[0] * zero_fill[1]))
    seen = [s for s in slices if s is not None]
    if seen:
        structure = float(np.median([s.structure for s in seen]))
        snr = float(np.median([s.snr for s in seen]))
        found = np.array([np.nan if s is None else s.sigma for s in slices])
        pixels = np.array([0 if s is None else s.n_pixels for s in slices])
        found *= flatness.noise_share(seen, zero_fill)
        sigma, per_slice = _combine(found, pixels, shown, volume)
        # A Rayleigh background below the tissue is a g-map, or structure that passed for noise.
        white = float(np.median([s.whiteness(zero_fill) for s in seen]))
        few_flat = structure > FEW_FLAT_PATCHES or white < TEXTURE
        apart = np.inf if background is None else sigma / background.sigma
        if background is None or not (snr < LOW_SNR or (few_flat and apart > 1.25) or apart > MOST_G):
            method = "flat patches of tissue, Rician correction"
            return NoiseEstimate(sigma, per_slice, method, int(pixels.sum()), volume.unit, factor)
    if background is None:
        raise _nothing_to_see(volume)
    per_slice = np.full(len(volume.array), background.sigma, dtype=np.float32)
    return NoiseEstimate(
        background.sigma, per_slice, "Rayleigh air background", background.n_pixels, volume.unit, factor
    )


def _combine(
    found: NDArray[np.float64], pixels: NDArray[np.intp], shown: NDArray[np.intp], volume: Volume
) -> tuple[float, FloatArray]:
    """Median over the slices, weighted by their pixels, and the level of every slice."""
    good = np.isfinite(found) & (found > 0) & (pixels > 0)
    if not good.any():
        raise _nothing_to_see(volume)
    sigma = weighted_median(found[good], pixels[good])
    per_slice = np.interp(np.arange(len(volume.array)), shown[good], found[good])
    return sigma, per_slice.astype(np.float32)


def _nothing_to_see(volume: Volume) -> NoiseLevelError:
    tissue = "soft tissue" if volume.modality == "CT" else "homogeneous tissue or air"
    return NoiseLevelError(
        f"The noise level cannot be estimated: there is too little {tissue}",
        received=f"{volume.modality} of {'x'.join(str(n) for n in volume.array.shape)} pixels",
        hint=f"Pass the noise SD in {volume.unit} with --sigma VALUE.",
    )
