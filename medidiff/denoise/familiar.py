"""Familiar: whether a scan lies within what the model was trained on, in sentences for its user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medidiff.errors import Note
from medidiff.models.bundle import Bundle
from medidiff.noise.fill import border_fill
from medidiff.volume import FloatArray, Volume, spread

READS_LOW = 0.86
"""The blind estimate of the mean noise frequency reads up to 14 % below that of the ideal kernel."""

ALIKE = 1.01
"""Ratio of pixel sizes that are one: headers round them."""

WRAP = 0.9
"""Neighbours so far apart, in parts of the range of values, lie at its opposite ends."""

WRAPPING = 1e-3
"""Share of such neighbours from which an MR scan looks like a phase image. Phases with noise or wraps have
3e-3 to 2e-2, magnitudes none, and magnitudes clipped at their 80th percentile at most 4e-4."""

BETWEEN = 0.1
"""Share of values in the middle half of the range from which jumps from end to end are wraps."""

LOOKED_AT = 9
"""Slices that are looked at for it."""


def outside(
    bundle: Bundle,
    volume: Volume,
    sigma: float,
    levels: Sequence[float],
    scale: float,
    texture: float | None,
) -> list[Note]:
    """Where noise level, noise texture, pixel size and unit are not those of the training.

    Args:
        bundle: says what the model has seen.
        volume: the scan.
        sigma: its noise SD, real-world unit.
        levels: noise SD of each slice, network units.
        scale: real-world units per network unit.
        texture: mean noise frequency in lp/cm (CT) or zero-fill factor (MR); None if unknown.
    """
    trained, unit = bundle.trained, volume.unit
    notes: list[Note] = []
    low, high = trained.sigma
    span = f"the trained range {low * scale:.3g} to {high * scale:.3g} {unit}"
    if not low * scale <= sigma <= high * scale:
        notes.append(Note(f"noise level {sigma:.3g} {unit} is outside {span}", "noise_level"))
    elif strange := sum(not low <= level <= high for level in levels):
        text = f"noise level of {strange} of {len(levels)} slices is outside {span}"
        notes.append(Note(text, "noise_level"))
    if texture is not None:
        ct = bundle.modality == "ct"
        softest, sharpest = trained.kernel
        if not softest * (READS_LOW if ct else 1.0) - 1e-6 <= texture <= sharpest + 1e-6:
            what, of = ("noise frequency", " lp/cm") if ct else ("zero-fill factor", "")
            text = (
                f"{what} {texture:.3g}{of} is outside the trained range {softest:.3g} to {sharpest:.3g}{of}"
            )
            notes.append(Note(text, "noise_texture"))
    small, large = trained.pixel_mm
    if not small / ALIKE <= volume.pixel_mm <= large * ALIKE:
        text = (
            f"pixel size {volume.pixel_mm:.3g} mm is outside the trained range {small:.3g} to {large:.3g} mm"
        )
        notes.append(Note(text, "spacing"))
    if bundle.modality == "ct" and all(_lowest(image) >= 0.0 for image in volume.array):
        text = (
            "no value of the image is below 0: stored values without their intercept are no HU, which the "
            "model is for"
        )
        notes.append(Note(text, "units"))
    if bundle.modality == "mr" and (share := _wrapping(volume)) > WRAPPING:
        text = (
            f"{100.0 * share:.2g} % of neighbouring pixels lie at opposite ends of the range of values, as "
            "phases do where they wrap: the model is for magnitude images"
        )
        notes.append(Note(text, "units"))
    return notes


def _wrapping(volume: Volume) -> float:
    """Share of neighbours within slices that lie at opposite ends of the range of values, padding aside; 0
    where hardly a value lies between the ends, as in a phantom with sharp edges.
    """
    rows = spread(len(volume.array), LOOKED_AT)
    padded = volume.padding
    insides = [np.ones(volume.array.shape[1:], bool) if padded is None else ~padded[k] for k in rows]
    images = [volume.array[k] for k in rows]
    found = [image[inside] for image, inside in zip(images, insides, strict=True) if inside.any()]
    if not found:
        return 0.0
    low, high = min(float(v.min()) for v in found), max(float(v.max()) for v in found)
    middle = sum(int((np.abs(v - (low + high) / 2) < (high - low) / 4).sum()) for v in found)
    if middle < BETWEEN * sum(v.size for v in found):
        return 0.0
    jumps = pairs = 0
    for image, inside in zip(images, insides, strict=True):
        for axis in (0, 1):
            both = inside[1:] & inside[:-1] if axis == 0 else inside[:, 1:] & inside[:, :-1]
            jumps += int((both & (np.abs(np.diff(image, axis=axis)) > WRAP * (high - low))).sum())
            pairs += int(both.sum())
    return jumps / max(pairs, 1)


def _lowest(image: FloatArray) -> float:
    """The lowest value of a slice, without what is around the image: GE pads stored values with -2000."""
    fill = border_fill(image) if image.min() < 0 else None
    shown = image if fill is None else image[image != np.median(image[fill])]
    return float(shown.min()) if shown.size else 0.0
