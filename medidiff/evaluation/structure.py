"""Structure: what the residual-structure test has found in a series, and by which rules it flags."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medidiff.evaluation.edges import EdgeCorrelation
from medidiff.volume import FloatArray

PATCH_PX, STRIDE_PX = 32, 16
FINE_PX, COARSE_PX = 1.5, 6.0
"""Standard deviations of the Gaussians between which structure is looked for."""
FALSE_ALARM = 0.05
"""Chance of one false flag in the whole series, shared between its patches (Bonferroni)."""
VISIBLE = 0.1
"""Structure weaker than this share of the noise SD of the scan is not flagged, however significant."""


@dataclass(frozen=True)
class Patch:
    """A patch of the difference image that holds more than noise.

    Attributes:
        slice: index of the slice, from 0.
        row: first row, in pixels; the patch is `PATCH_PX` wide and high.
        column: first column.
        z: how far above noise, in SD.
        amplitude: root mean square of the structure in it, in the scan's unit.
    """

    slice: int
    row: int
    column: int
    z: float
    amplitude: float

    @property
    def square(self) -> tuple[int, int, int]:
        """First row, first column, side."""
        return self.row, self.column, PATCH_PX


def where(row: int, column: int, side: int) -> str:
    """A square for people, who count pixels from 1."""
    return f"columns {column + 1} to {column + side}, rows {row + 1} to {row + side}"


@dataclass(frozen=True, eq=False)
class SliceResidual:
    """The test on one slice.

    Attributes:
        slice: index of the slice, from 0.
        z: ``[rows, columns]`` of patches at a stride of `STRIDE_PX`; NaN where none was tested.
        amplitude: ``[rows, columns]`` root mean square of the structure, in the scan's unit; NaN likewise.
        edges: correlation with the edges of the result; None where the body is too small.
    """

    slice: int
    z: FloatArray
    amplitude: FloatArray
    edges: EdgeCorrelation | None


@dataclass(frozen=True, eq=False)
class ResidualTest:
    """The test on a series.

    Attributes:
        slices: the slices that were tested.
        threshold: z above which a patch is flagged.
        visible: amplitude above which a patch is flagged, in the scan's unit.
        tested: number of patches.
        flagged: the patches above both.
        freedom: degrees of freedom nu of a patch.
        coarse_share: k^2, coarse over fine power of the noise.
        unit: the scan's unit.
    """

    slices: tuple[SliceResidual, ...]
    threshold: float
    visible: float
    tested: int
    flagged: tuple[Patch, ...]
    freedom: float
    coarse_share: float
    unit: str

    @property
    def share(self) -> float:
        """Share of the patches that are flagged."""
        return len(self.flagged) / self.tested

    @property
    def text(self) -> str:
        """Protocol for people."""
        return (
            f"{PATCH_PX}x{PATCH_PX} patches of scan - result in the body, stride {STRIDE_PX}, power between "
            f"Gaussians of {FINE_PX:g} and {COARSE_PX:g} px against that of noise; flagged above z "
            f"{self.threshold:.2f} (one false flag in {1 / FALSE_ALARM:.0f} series) and {self.visible:.3g} "
            f"{self.unit} ({VISIBLE:.0%} of the noise)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: per slice the worst patch and the edges, and every flagged patch."""
        return {
            "text": self.text,
            "threshold_z": self.threshold,
            "threshold_amplitude": self.visible,
            "unit": self.unit,
            "patch_px": PATCH_PX,
            "stride_px": STRIDE_PX,
            "tested": self.tested,
            "flagged_share": self.share,
            "freedom": self.freedom,
            "coarse_share": self.coarse_share,
            "slices": [
                {
                    "slice": s.slice,
                    "tested": int(np.isfinite(s.z).sum()),
                    "flagged": sum(p.slice == s.slice for p in self.flagged),
                    "max_z": float(np.nanmax(s.z)),
                    "edges": None if s.edges is None else s.edges.as_dict(),
                }
                for s in self.slices
            ],
            "flagged": [asdict(p) for p in self.flagged],
        }
