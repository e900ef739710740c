"""NoiseModel: how noisy the scan is, slice by slice and place by place, and how we know."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medidiff.errors import NoiseLevelError, UsageError
from medidiff.models.conditioning import RELATIVE_SD
from medidiff.volume import FloatArray, Volume

MIN_SIGMA = 1e-20
"""In the unit of the scan, which for MR is any: above zero, so that it can be divided by."""

MOST_APART = 4.0
"""Largest ratio of the levels of a slice and of the scan. Without tube current modulation shoulders and
pelvis have three times the noise of lungs."""


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise of one volume.

    Attributes:
        sigma: noise SD of the volume, real-world units.
        text: the same for people, with its origin.
        per_slice: noise SD of each slice ``[z]``, or None where one number serves all.
        maps: local noise SD ``[z, y, x]`` given by the user, or None.
        texture: mean noise frequency in lp/cm (CT) or zero-fill factor (MR); None if unknown.
    """

    sigma: float
    text: str
    per_slice: FloatArray | None = None
    maps: FloatArray | None = None
    texture: float | None = None

    @classmethod
    def of(cls, volume: Volume, given: float | FloatArray | None, modality: str) -> NoiseModel:
        """The noise as given, or estimated.

        Args:
            volume: the scan.
            given: a number, a map ``[z, y, x]``, or None to estimate.
            modality: ``"ct"`` or ``"mr"``.

        Raises:
            UsageError: a map of another shape.
            NoiseLevelError: nothing to estimate from.
        """
        unit = volume.unit
        # A volume of unknown modality is what the model is for; the estimators go by the modality.
        volume = replace(volume, modality="CT" if modality == "ct" else "MR")
        if isinstance(given, np.ndarray):
            if given.shape != volume.array.shape:
                raise UsageError(
                    "The noise map has another shape than the scan",
                    received=f"{given.shape}, the scan has {volume.array.shape}",
                )
            maps = given.astype(np.float32)
            levels = np.array([_level(m, hu, modality) for m, hu in zip(maps, volume.array, strict=True)])
            sigma = float(np.median(levels[levels > 0]))
            levels = np.where(levels > 0, levels, sigma).astype(np.float32)
            text = f"{sigma:.3g} {unit} (map)"
            return cls(sigma, text, per_slice=levels, maps=maps, texture=_texture(volume))
        if given is not None:
            return cls(float(given), f"{given:.3g} {unit} (given)", texture=_texture(volume))
        from medidiff.noise.estimate import estimate

        found = estimate(volume)
        per_slice = np.asarray(found.per_slice, np.float32) if modality == "ct" else None
        return cls(
            max(found.sigma, MIN_SIGMA),
            f"{found.sigma:.3g} {unit} (auto)",
            per_slice=None if per_slice is None else _steady(per_slice, found.sigma),
            texture=found.kernel_frequency,
        )

    def scaled(self, factor: float, unit: str) -> NoiseModel:
        """An estimated noise `factor` times as strong."""
        sigma = max(factor * self.sigma, MIN_SIGMA)
        per_slice = None if self.per_slice is None else self.per_slice * np.float32(factor)
        return replace(self, sigma=sigma, text=f"{sigma:.3g} {unit} (auto)", per_slice=per_slice)

    def of_slice(self, k: int) -> float:
        """Noise SD of slice k."""
        return self.sigma if self.per_slice is None else max(float(self.per_slice[k]), MIN_SIGMA)

    def relative(self, k: int) -> FloatArray | None:
        """Local SD over that of the slice ``[y, x]``; None for 1 everywhere."""
        if self.maps is None:
            return None
        relative = self.maps[k] / np.float32(self.of_slice(k))
        return np.asarray(np.maximum(relative, RELATIVE_SD[0]), np.float32)


def _level(sigma_map: FloatArray, image: FloatArray, modality: str) -> float:
    """The level of a slice with a map ``[y, x]``, as in training: 0 where the map is empty.

    CT: the median in soft tissue, which the relative map of a simulated slice has as its 1. MR: the lowest
    level (5th percentile), since a g-factor is 1 where no noise is amplified.
    """
    lit = sigma_map > 0
    if modality == "ct":
        from medidiff.noise.ct import soft_tissue

        soft = soft_tissue(np.nan_to_num(image)) & lit
        lit = soft if soft.any() else lit
        return float(np.median(sigma_map[lit])) if lit.any() else 0.0
    return float(np.percentile(sigma_map[lit], 5.0)) if lit.any() else 0.0


def _steady(per_slice: FloatArray, sigma: float) -> FloatArray:
    """Per-slice levels with gaps filled and scatter taken out by a running median of seven.

    The dose of a scan changes slowly along the patient; an estimate from one slice scatters.
    """
    from scipy import ndimage

    filled = np.where(np.isfinite(per_slice) & (per_slice > 0), per_slice, np.float32(sigma))
    steady = ndimage.median_filter(filled, min(7, len(filled)), mode="nearest")
    return np.asarray(np.clip(steady, sigma / MOST_APART, MOST_APART * sigma), np.float32)


def _texture(volume: Volume) -> float | None:
    """Noise texture of a scan whose level is given."""
    from medidiff.noise.estimate import estimate

    try:
        return estimate(volume).kernel_frequency
    except NoiseLevelError:
        return None
