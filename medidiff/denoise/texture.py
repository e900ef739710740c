"""Texture: the spectrum of the scan's own noise, from which matched noise is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medidiff.noise.spectrum import (
    Kernel,
    Spectrum,
    hann_patches,
    noise_power_spectrum,
    radial_frequency,
    synthesise,
)
from medidiff.volume import BoolArray, FloatArray

TISSUE = {"ct": -0.8, "mr": 0.1}
"""Network units above which a pixel counts as tissue: -900 HU; a tenth of the foreground p99."""

LOWEST_LPCM = 1.0
"""Below this y - D holds too little of the noise: its NPS is N^2 / (Sx + N)."""


def residual_spectrum(
    residuals: list[FloatArray], masks: list[BoolArray], pixel_mm: float, modality: str, size: int = 32
) -> Spectrum:
    """NPS of the scan's noise from what the mean estimate removed, y - D.

    Above 1 lp/cm (MR: a tenth of the Nyquist frequency) as measured; below, continued as f (CT, where the
    ramp filter rules) or constant (MR). With too little of the scan inside `masks`, a typical body kernel
    (CT) or white noise (MR).

    Args:
        residuals: y - D of some slices, ``[h, w]``.
        masks: where they show tissue.
        pixel_mm: pixel size.
        modality: ``"ct"`` or ``"mr"``.
        size: patch size.
    """
    nyquist = 5.0 / pixel_mm
    low = min(LOWEST_LPCM, 0.3 * nyquist) if modality == "ct" else 0.1 * nyquist
    parts = [hann_patches(r, m, size) for r, m in zip(residuals, masks, strict=True) if min(r.shape) >= size]
    patches = np.concatenate(parts) if parts else np.zeros((0, size, size), np.float32)
    if len(patches) >= 4:
        measured = noise_power_spectrum(patches, pixel_mm, size // 2)
        f, power = measured.f, measured.power
        known = f >= low
        start = float(np.interp(low, f[known], power[known]))
        grid = np.concatenate([[0.0, 0.5 * low], f[known]])
        rise = np.array([0.0, 0.5]) if modality == "ct" else np.ones(2)
        return Spectrum(
            grid.astype(np.float32), np.concatenate([rise * start, power[known]]).astype(np.float32)
        )
    grid = np.linspace(0.0, 1.5 * nyquist, 64).astype(np.float32)
    if modality == "ct":
        return Spectrum(grid, grid * Kernel().response(grid) ** 2)
    return Spectrum(grid, np.ones_like(grid))


def noise_source(
    spectrum: Spectrum, shape: tuple[int, int], pixel_mm: float
) -> Callable[[np.random.Generator | None], FloatArray]:
    """A function that draws unit-SD matched noise ``[h, w]`` from a generator."""
    amplitude = np.sqrt(np.maximum(spectrum(radial_frequency(shape, pixel_mm)), 0.0))

    def draw(rng: np.random.Generator | None) -> FloatArray:
        if rng is None:
            raise ValueError("matched noise needs a random generator")
        return synthesise(shape, amplitude, rng)

    return draw
