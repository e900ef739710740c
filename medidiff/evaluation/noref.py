"""NoReference: what can be said about a denoised scan whose truth nobody knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from medidiff.evaluation.drift import Drift
from medidiff.evaluation.noise_level import NoiseLevel
from medidiff.evaluation.nps import NoisePower
from medidiff.evaluation.structure import ResidualTest
from medidiff.evaluation.texture import noise_shift
from medidiff.noise.texture import STRUCTURE_LP_CM

UNIFORM = 0.2
"""Tissue is uniform where the gradient of the smoothed result is below this share of the noise SD a pixel."""

FEWEST_PIXELS = 500
"""Of uniform tissue: fewer say too little about an SD or a mean to print it or to flag it."""


@dataclass(frozen=True)
class Flag:
    """One thing that a reader should look at.

    Attributes:
        slice: index of the slice from 0; None for the whole series.
        kind: ``"structure"``, ``"edges"``, ``"removed"``, ``"drift"``, ``"noise"``, ``"uncertainty"`` or
            ``"unchanged"``.
        text: the reason, for people.
        value: the figure that gave rise to it.
        limit: the figure it was held against.
        square: first row, first column and side of the patch that the text tells, in stored pixels from 0.
    """

    slice: int | None
    kind: str
    text: str
    value: float
    limit: float
    square: tuple[int, int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SliceChange:
    """What happened to one slice.

    Attributes:
        slice: index from 0.
        uniform: pixels in uniform tissue of the body.
        removed_sd: SD of scan - result there; None where there are too few.
        removed_ratio: the same over the slice's estimated noise SD: below 1 for a posterior mean, 1 for a
            draw; None where the noise is unknown.
        mean_change: mean of result - scan there; None likewise.
        uncertainty: median stated SD in the body; None without an uncertainty map.
        unchanged: True where the result is the scan itself.
    """

    slice: int
    uniform: int
    removed_sd: float | None
    removed_ratio: float | None
    mean_change: float | None
    uncertainty: float | None
    unchanged: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class StatedUncertainty:
    """Stated SD in the body, over all slices that have a body.

    Attributes:
        median: median over the slices of the slice's median.
        high: largest slice median.
        relative: `median` over the scan's noise SD; None where that is unknown.
        unit: the scan's unit.
    """

    median: float
    high: float
    relative: float | None
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class NoReference:
    """All no-reference measures of one series.

    Attributes:
        modality: of the scan.
        unit: of all values.
        region: where was measured, for people.
        measured: slices on which the residual test and the NPS were measured.
        before: noise of the scan.
        after: noise of the result.
        slices: what happened to every slice.
        nps_before: NPS of the scan in its flattest patches; None where none is large enough.
        nps_after: of the result, in the same patches.
        nps_removed: of scan - result, in the same patches.
        residual: residual-structure test; None where there is too little tissue.
        drift: mean change by tissue.
        uncertainty: the stated uncertainty; None without a map.
        notes: what the denoiser said about the scan (outside its training range and the like).
        flags: what a reader should look at.
    """

    modality: str
    unit: str
    region: str
    measured: tuple[int, ...]
    before: NoiseLevel
    after: NoiseLevel
    slices: tuple[SliceChange, ...]
    nps_before: NoisePower | None
    nps_after: NoisePower | None
    nps_removed: NoisePower | None
    residual: ResidualTest | None
    drift: tuple[Drift, ...]
    uncertainty: StatedUncertainty | None
    notes: tuple[str, ...]
    flags: tuple[Flag, ...]

    @property
    def noise_left(self) -> float | None:
        """Noise SD after over before; None where either is unknown."""
        before, after = self.before.sigma, self.after.sigma
        return after / before if before and after is not None else None

    @property
    def nps_shift(self) -> float | None:
        """Relative shift of the mean frequency of the noise (above the structure's) from before to after."""
        if self.nps_before is None or self.nps_after is None:
            return None
        return noise_shift(self.nps_before, self.nps_after)

    @property
    def flagged_slices(self) -> tuple[int, ...]:
        """Slices with at least one flag."""
        return tuple(sorted({f.slice for f in self.flags if f.slice is not None}))

    @property
    def text(self) -> str:
        """Protocol for people."""
        return (
            f"no reference; {self.region}; changes on all {len(self.slices)} slices, residual test and NPS "
            f"on {len(self.measured)}; uniform tissue: gradient of the smoothed result below {UNIFORM:g} "
            "noise SD a pixel"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; slices are counted from 0, as `first_slice` says."""
        spectra = {"before": self.nps_before, "after": self.nps_after, "removed": self.nps_removed}
        return {
            "protocol_text": self.text,
            "modality": self.modality,
            "unit": self.unit,
            "first_slice": 0,
            "measured_slices": list(self.measured),
            "noise_before": self.before.as_dict(),
            "noise_after": self.after.as_dict(),
            "noise_left": self.noise_left,
            "slices": [s.as_dict() for s in self.slices],
            "nps": {name: None if s is None else s.as_dict() for name, s in spectra.items()},
            "nps_shift": self.nps_shift,
            "nps_structure_below_lp_cm": STRUCTURE_LP_CM,
            "residual": None if self.residual is None else self.residual.as_dict(),
            "drift": [d.as_dict() for d in self.drift],
            "uncertainty": None if self.uncertainty is None else self.uncertainty.as_dict(),
            "notes": list(self.notes),
            "flags": [f.as_dict() for f in self.flags],
            "flagged_slices": list(self.flagged_slices),
        }
