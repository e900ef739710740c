"""Untouched: voxels that come back as they were, and how many of them the user should know about."""

from __future__ import annotations

import numpy as np

from medidiff.denoise.surround import MAX_BELOW, Surround
from medidiff.errors import Note
from medidiff.intensity import Intensity
from medidiff.volume import BoolArray, FloatArray, Volume

NOISE_BELOW = 4.0
"""CT: values below the model's range by up to so many noise SDs are noisy image. No magnitude is negative."""

WORTH_TELLING = 1e-4
"""Share of voxels outside the model's range of values from which the user is told."""


NEGATIVE = 0.01
"""Share of voxels below 0 from which an MR scan is no magnitude image."""


class Untouched:
    """What shows no image, and values outside the model's range, slice by slice; counts what it has met.

    Where a scanner does not clip, noise carries air below the range (-1024 HU); such pixels are image and
    are denoised, else they would stay as black specks. Padding values lie further below.
    """

    def __init__(self, volume: Volume, intensity: Intensity, surround: Surround) -> None:
        self.volume, self.intensity = volume, intensity
        self.surround = surround
        self._left = self._below = self._total = 0

    def mask(self, k: int, sigma: float) -> BoolArray:
        """True where slice k must come back as it is.

        Args:
            k: index of the slice.
            sigma: its noise SD in the volume's unit.
        """
        original, outside = self.volume.array[k], self.surround.of_slice(k)
        below = NOISE_BELOW if self.intensity.kind == "ct" else 0.0
        margin = min(below * sigma, MAX_BELOW * self.intensity.scale)
        noisy = (original < self.intensity.low) & (original >= self.intensity.low - margin)
        keep = ~(self.intensity.valid(original) | noisy)
        image = np.ones_like(keep) if outside is None else ~outside
        self._left += int((keep & image).sum())
        self._below += int((keep & image & (original < self.intensity.low)).sum())
        self._total += int(image.sum())
        return np.asarray(keep | ~image, np.bool_)

    def real(self, k: int, image: FloatArray, keep: BoolArray, floor: bool = True) -> FloatArray:
        """Real-world values of slice k, with those of the mask put back.

        Args:
            k: index of the slice.
            image: the answer ``[y, x]``, network units.
            keep: where the scan comes back as it is.
            floor: whether the scan's lowest value is the lowest there may be; False where a noise floor was
                taken out, which had lifted it.
        """
        original = self.volume.array[k]
        if keep.all():
            return np.asarray(original, np.float32)
        # Noise only widens the range of values: outside of the scan's own range there is nothing to restore,
        # and within it every value fits the stored type and rescale of the source.
        inside = original[~keep]
        lowest = inside.min() if floor else min(float(inside.min()), self.intensity.low)
        return np.where(keep, original, np.clip(self.intensity.from_model(image), lowest, inside.max()))

    def notes(self) -> list[Note]:
        """How much of the slices met so far has values that the model does not know, padding aside."""
        share, below = self._left / max(self._total, 1), self._below / max(self._total, 1)
        if share < WORTH_TELLING:
            return []
        low, high, unit = self.intensity.low, self.intensity.high, self.volume.unit
        text = (
            f"{100.0 * share:.2g} % of the voxels are outside the model's range of values, "
            f"{low:.4g} to {high:.4g} {unit}, and came back untouched"
        )
        notes = [Note(text, "value_range")]
        if self.intensity.kind == "mr" and below > NEGATIVE:
            text = (
                f"{100.0 * below:.2g} % of the voxels are negative: magnitudes are not, and of images with "
                "their mean taken out neither noise level nor noise floor can be told"
            )
            notes.append(Note(text, "units"))
        return notes
