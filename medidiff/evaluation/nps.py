"""NPS: how much noise there is at each spatial frequency, and how its texture changed.

Science notes, section 11; ICRU Report 87. Give it *noise*: the difference from a truth, from the mean of many
realisations (`ensemble_noise`), or from a reference; structure that is left in the patches counts as noise at
low frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medidiff.errors import PixelError
from medidiff.noise.spectrum import Spectrum, hann_patches, mean_side, noise_power_spectrum
from medidiff.volume import BoolArray, FloatArray

PATCH_PX = 64
BINS = 32
LIMIT_LP_CM = 5.0
"""Texture is compared up to this frequency: above it soft kernels leave hardly any noise to compare."""

FLOOR = 1e-9
"""Share of the total power below which a bin counts as this much, so that its logarithm is finite."""


@dataclass(frozen=True)
class NoisePower:
    """Radial noise power spectrum of a stack of slices.

    Attributes:
        f: bin centres in lp/cm, ascending.
        power: in `unit`.
        unit: of the power: the square of the image's unit times mm^2.
        pixel_mm: pixel size in mm, the geometric mean of the sides.
        patches: number of 64x64 Hann patches averaged, half of each shared with its neighbours.
    """

    f: tuple[float, ...]
    power: tuple[float, ...]
    unit: str
    pixel_mm: float
    patches: int

    @property
    def spectrum(self) -> Spectrum:
        """The same curve as the noise simulation uses it."""
        return Spectrum(np.asarray(self.f, np.float32), np.asarray(self.power, np.float32))

    @property
    def mean_frequency(self) -> float:
        """sum S f^2 / sum S f in lp/cm; 0 where there is no noise."""
        return self.spectrum.mean_frequency

    @property
    def sd(self) -> float:
        """Noise SD in the image's unit: root of the integral of the NPS over the Nyquist disk.

        The corners of the Fourier plane beyond that disk, where CT kernels leave nothing, are left out; for
        white noise they hold 21 % of the variance.
        """
        edge = np.linspace(0.0, 5.0 / self.pixel_mm, BINS + 1) / 10.0  # cycles per mm
        area = np.pi * np.diff(edge**2)
        which = np.digitize(np.asarray(self.f) / 10.0, edge) - 1
        return float(np.sqrt((np.asarray(self.power) * area[which]).sum()))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "f_lp_cm": list(self.f),
            "power": list(self.power),
            "unit": self.unit,
            "mean_frequency_lp_cm": self.mean_frequency,
            "sd": self.sd,
            "pixel_mm": self.pixel_mm,
            "patches": self.patches,
            "protocol": f"Hann {PATCH_PX}x{PATCH_PX}, stride {PATCH_PX // 2}, patch mean removed",
        }


def nps(
    noise: FloatArray, mask: BoolArray | None, pixel_mm: float | tuple[float, float], unit: str = "HU"
) -> NoisePower:
    """NPS = px^2 / sum(win^2) |FFT((p - mean) win)|^2, averaged over patches and angles.

    Args:
        noise: ``[z, y, x]``.
        mask: patches lie wholly inside it, ``[z, y, x]`` or ``[y, x]`` for all slices; None for everywhere.
        pixel_mm: pixel size in mm, one number or ``(row, column)``.
        unit: of the values.

    Raises:
        PixelError: no 64x64 patch lies in the mask, or there are values that are not numbers.
    """
    total, f = np.zeros(0), np.zeros(0, np.float32)
    patches = 0
    for z, image in enumerate(noise):
        inside = mask if mask is None or mask.ndim == 2 else mask[z]
        found = hann_patches(image, inside, PATCH_PX)
        if not len(found):
            continue
        if not np.isfinite(found).all():
            raise PixelError("The noise has values that are not numbers", where=f"slice {z}")
        spectrum = noise_power_spectrum(found, pixel_mm, BINS)
        power = spectrum.power.astype(np.float64) * len(found)
        total, f = (total + power if patches else power), spectrum.f
        patches += len(found)
    if not patches:
        raise PixelError(
            f"No {PATCH_PX}x{PATCH_PX} patch lies wholly in the mask",
            received=f"slices of {noise.shape[1]} x {noise.shape[2]} pixels",
            hint="The noise power spectrum needs a larger region.",
        )
    return NoisePower(
        tuple(map(float, f)),
        tuple(map(float, total / patches)),
        f"{unit}^2 mm^2",
        mean_side(pixel_mm),
        patches,
    )


def frequency_shift(before: NoisePower, after: NoisePower) -> float:
    """Change of the mean frequency relative to `before`: -0.15 is 15 % coarser. NaN without noise."""
    if not before.mean_frequency or not after.mean_frequency:
        return float("nan")
    return after.mean_frequency / before.mean_frequency - 1.0


def log_l1(first: NoisePower, second: NoisePower, limit: float = LIMIT_LP_CM) -> float:
    """Distance of two noise textures: mean |ln(S1 / sum S1) - ln(S2 / sum S2)| up to `limit` lp/cm.

    The level of the noise does not enter. 0 for the same texture; NaN where one has no noise. Spectra of
    different pixel sizes are compared at the frequencies of the first.
    """
    f = np.asarray([v for v in first.f if v <= min(limit, first.f[-1], second.f[-1])], np.float32)
    a, b = first.spectrum(f).astype(np.float64), second.spectrum(f).astype(np.float64)
    if not a.sum() > 0 or not b.sum() > 0:
        return float("nan")
    ratio = np.log(np.maximum(a / a.sum(), FLOOR)) - np.log(np.maximum(b / b.sum(), FLOOR))
    return float(np.abs(ratio).mean())


def ensemble_noise(slices: FloatArray) -> FloatArray:
    """Noise of realisations of one object: difference from their mean, times sqrt(n / (n - 1)).

    Args:
        slices: ``[n, y, x]``, at least two.

    Returns:
        float32 ``[n, y, x]``, of the variance of one realisation.
    """
    n = len(slices)
    mean = slices.mean(axis=0, dtype=np.float64)
    return np.asarray((slices - mean) * np.sqrt(n / (n - 1.0)), np.float32)
