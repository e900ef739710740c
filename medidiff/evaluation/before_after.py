"""Before and after: measures a denoised scan against the scan itself, where there is no truth.

Slices are taken one at a time, so that memory does not grow with the series; what is costly is measured on
at most 40 slices, spread evenly, and every result says on which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medidiff import scratch
from medidiff.errors import GeometryError, PixelError
from medidiff.evaluation.compare import check_same_grid
from medidiff.evaluation.drift import DriftSum
from medidiff.evaluation.flags import flags_of
from medidiff.evaluation.kinds import HU_KINDS, MOST_SLICES, Kinds, Uniform, kinds_of
from medidiff.evaluation.noise_level import NoiseLevel, noise_level
from medidiff.evaluation.noref import (
    FEWEST_PIXELS,
    UNIFORM,
    NoReference,
    SliceChange,
    StatedUncertainty,
)
from medidiff.evaluation.region import Region, body
from medidiff.evaluation.residual import ResidualSum
from medidiff.evaluation.texture import TextureSum
from medidiff.volume import BoolArray, FloatArray, Volume, spread

MAX_MEASURED = 40
"""Slices, spread over the scan, in which texture and structure are measured; they take the time."""

SMOOTHING_PX = 2.0
"""SD of the Gaussian that takes the noise out of scan and result, so that tissue can be told."""

BRIGHT = 4.0
"""MR: what is darker than so many noise SDs is left out, for there the noise floor goes with the noise."""

DARK_REACH_PX = 4
"""And what lies nearer than this to something dark, which smoothing mixes in: two of its SDs."""


def before_after(
    before: Volume,
    after: Volume,
    uncertainty: FloatArray | None = None,
    region: Region | None = None,
    notes: Sequence[str] = (),
) -> NoReference:
    """No-reference measures of a result.

    Args:
        before: the noisy scan.
        after: the result on the same grid.
        uncertainty: stated SD ``[z, y, x]``; None for none.
        region: where to measure; None for the body, found in `before`.
        notes: what the denoiser said about the scan (`Result.notes`); passed on.

    Raises:
        GeometryError: the grids differ.
        PixelError: there is no body, or a pixel of the result is not a number where the scan has one.
    """
    check_same_grid(before, after)
    if uncertainty is not None and uncertainty.shape != before.array.shape:
        raise GeometryError(
            "The uncertainty has another shape than the scan",
            received=f"{uncertainty.shape} and {before.array.shape}",
        )
    region = region or body(before)
    levels = noise_level(before), noise_level(after)
    sigma = levels[0].sigma or _removed_sd(before, after, region)
    floor = -np.inf if before.unit == "HU" else BRIGHT * sigma
    look = _Look(before, after, region, floor, sigma)
    names, edges = _kinds(look)
    shown = spread(len(before.array), MAX_MEASURED)
    drift, residual = DriftSum(names, edges), ResidualSum()
    texture = TextureSum(before.spacing[1:], before.unit)
    changes = []
    for plane in map(look.plane, range(len(before.array))):
        drift.add(plane.smooth, -plane.removed, plane.uniform)
        changes.append(_change(plane, levels[0], uncertainty))
        scratch.release(before.array, after.array, uncertainty)
        if plane.k in shown:
            residual.add(plane.k, plane.removed, plane.after, plane.inside)
            texture.add(plane.before, plane.after, plane.gradient, plane.inside)
    spectra = texture.result()
    found = NoReference(
        modality=before.modality,
        unit=before.unit,
        region=region.text,
        measured=tuple(int(k) for k in shown),
        before=levels[0],
        after=levels[1],
        slices=tuple(changes),
        nps_before=spectra[0],
        nps_after=spectra[1],
        nps_removed=spectra[2],
        residual=residual.result(sigma, before.unit),
        drift=drift.result(),
        uncertainty=_stated(changes, levels[0].sigma, before.unit),
        notes=tuple(notes),
        flags=(),
    )
    return replace(found, flags=flags_of(found))


@dataclass(frozen=True, eq=False)
class _Plane:
    """One slice with what all measures need. `inside` and `uniform` leave out what is too dark (MR)."""

    k: int
    before: FloatArray
    after: FloatArray
    removed: FloatArray
    smooth: FloatArray
    gradient: FloatArray
    inside: BoolArray
    uniform: BoolArray
    region: BoolArray


@dataclass(frozen=True, eq=False)
class _Look:
    """How slices are looked at. `floor`: what is darker is left out; `sigma`: noise SD of the scan."""

    before: Volume
    after: Volume
    region: Region
    floor: float
    sigma: float

    def plane(self, k: int) -> _Plane:
        """Slice `k`."""
        from scipy import ndimage

        before, after = self.before, self.after
        there = np.isfinite(before.array[k])
        if before.padding is not None:
            there &= ~before.padding[k]
        if not np.isfinite(after.array[k][there]).all():
            raise PixelError("The result has pixels that are not numbers where the scan has some")
        empty = np.float32(-1024.0 if before.unit == "HU" else 0.0)
        y, d = (np.where(there, v.array[k], empty) for v in (before, after))
        smooth = ndimage.gaussian_filter(y, SMOOTHING_PX)
        gradient = ndimage.gaussian_gradient_magnitude(d, SMOOTHING_PX)
        inside = self.region.inside[k] & there
        dark = smooth < self.floor
        if dark.any():
            inside &= ~ndimage.binary_dilation(dark, iterations=DARK_REACH_PX)
        uniform = inside & (gradient < UNIFORM * self.sigma)
        return _Plane(k, y, d, y - d, smooth, gradient, inside, uniform, self.region.inside[k] & there)


def _change(plane: _Plane, noise: NoiseLevel, uncertainty: FloatArray | None) -> SliceChange:
    removed = plane.removed[plane.uniform].astype(np.float64)
    enough = removed.size >= FEWEST_PIXELS
    sd = float(removed.std()) if enough else None
    level = noise.per_slice[plane.k] if noise.per_slice else 0.0
    stated = None
    if uncertainty is not None and plane.region.any():
        stated = float(np.median(uncertainty[plane.k][plane.region]))
    return SliceChange(
        slice=plane.k,
        uniform=int(removed.size),
        removed_sd=sd,
        removed_ratio=sd / level if sd is not None and level > 0 else None,
        mean_change=0.0 - float(removed.mean()) if enough else None,
        uncertainty=stated,
        unchanged=not plane.removed.any(),
    )


def _kinds(look: _Look) -> Kinds:
    """Kinds of tissue: the HU bins for CT, by brightness for anything else."""
    if look.before.unit == "HU":
        return HU_KINDS
    uniform = (_uniform(look.plane(int(k))) for k in spread(len(look.before.array), MOST_SLICES))
    return kinds_of(uniform, look.sigma, SMOOTHING_PX, look.floor)


def _uniform(plane: _Plane) -> Uniform:
    from scipy import ndimage

    coarse = ndimage.gaussian_filter(plane.removed, SMOOTHING_PX)
    return Uniform(plane.smooth[plane.uniform], plane.removed[plane.uniform], coarse[plane.uniform])


def _removed_sd(before: Volume, after: Volume, region: Region) -> float:
    """Robust SD of what was removed, where the noise of the scan cannot be estimated."""
    sample: NDArray[np.float32] = (before.array - after.array)[region.inside][::7]
    sample = sample[np.isfinite(sample)]
    return float(1.4826 * np.median(np.abs(sample - np.median(sample)))) if sample.size else 0.0


def _stated(changes: list[SliceChange], sigma: float | None, unit: str) -> StatedUncertainty | None:
    values = [c.uncertainty for c in changes if c.uncertainty is not None]
    if not values:
        return None
    median = float(np.median(values))
    return StatedUncertainty(median, max(values), median / sigma if sigma else None, unit)
