"""Untouched: voxels that come back as they were, and how many of them the user should know about."""

from __future__ import annotations

import numpy as np

from medidiff.errors import Note
from medidiff.intensity import Intensity
from medidiff.volume import BoolArray, FloatArray, Volume

NOISE_BELOW, MAX_BELOW = 4.0, 1.2
"""Values below the model's range by up to so many noise SDs (and network units: 600 HU) are noisy image."""

WORTH_TELLING = 1e-4
"""Share of voxels outside the model's range of values from which the user is told."""


class Untouched:
    """Padding, NaN and values outside the model's range, slice by slice; counts what it has met.

    Where a scanner does not clip, noise carries air below the range (-1024 HU); such pixels are image and
    are denoised, else they would stay as black specks. Padding values lie further below.
    """

    def __init__(self, volume: Volume, intensity: Intensity) -> None:
        self.volume, self.intensity = volume, intensity
        self._left = self._total = 0

    def mask(self, k: int, sigma: float) -> BoolArray:
        """True where slice k must come back as it is.

        Args:
            k: index of the slice.
            sigma: its noise SD in the volume's unit.
        """
        original, padding = self.volume.array[k], self.volume.padding
        margin = min(NOISE_BELOW * sigma, MAX_BELOW * self.intensity.scale)
        below = (original < self.intensity.low) & (original >= self.intensity.low - margin)
        keep = ~(self.intensity.valid(original) | below)
        image = np.ones_like(keep) if padding is None else ~padding[k]
        self._left += int((keep & image).sum())
        self._total += int(image.sum())
        return np.asarray(keep | ~image, np.bool_)

    def real(self, k: int, image: FloatArray, keep: BoolArray) -> FloatArray:
        """Real-world values of slice k, with those of the mask put back."""
        original = self.volume.array[k]
        if keep.all():
            return np.asarray(original, np.float32)
        # Noise only widens the range of values: outside of the scan's own range there is nothing to restore,
        # and within it every value fits the stored type and rescale of the source.
        inside = original[~keep]
        return np.where(keep, original, np.clip(self.intensity.from_model(image), inside.min(), inside.max()))

    def notes(self) -> list[Note]:
        """How much of the slices met so far has values that the model does not know, padding aside."""
        share = self._left / max(self._total, 1)
        if share < WORTH_TELLING:
            return []
        low, high, unit = self.intensity.low, self.intensity.high, self.volume.unit
        text = (
            f"{100.0 * share:.2g} % of the voxels are outside the model's range of values, "
            f"{low:.4g} to {high:.4g} {unit}, and came back untouched"
        )
        return [Note(text, "value_range")]
