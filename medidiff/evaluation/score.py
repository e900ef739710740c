"""Score: one figure per slice with everything needed to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import GeometryError
from medidiff.evaluation.protocol import Protocol
from medidiff.volume import BoolArray, FloatArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One figure with everything needed to read it.

    Attributes:
        metric: ``"PSNR"``, ``"SSIM"``, ``"RMSE"``, ``"VIF"`` or ``"HaarPSI"``.
        unit: ``"dB"``, ``""`` or the volume's unit.
        per_slice: one value per slice; NaN where a slice has no pixel that counts, inf dB where it is
            identical to the reference.
        protocol: what it was computed with, data range resolved.
        note: why there are no values, if so.
    """

    metric: str
    unit: str
    per_slice: tuple[float, ...]
    protocol: Protocol
    note: str = ""

    @property
    def mean(self) -> float:
        """Mean over the slices that have a finite value; inf if all are identical, NaN if none counts."""
        values = [v for v in self.per_slice if np.isfinite(v)]
        if values:
            return float(np.mean(values))
        return float("inf") if self.identical else float("nan")

    @property
    def identical(self) -> int:
        """Slices of infinite PSNR: they are left out of the mean, which they would make infinite."""
        return sum(v == float("inf") for v in self.per_slice)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no inf and NaN: they become None."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "mean": plain(self.mean),
            "identical_slices": self.identical,
            "per_slice": [plain(v) for v in self.per_slice],
            "protocol": self.protocol.as_dict(),
            "note": self.note,
        }

    def __str__(self) -> str:
        left_out = f", {self.identical} identical slices left out" if self.identical else ""
        return (
            f"{self.metric} {self.mean:.4g}{' ' if self.unit else ''}{self.unit} ({self.protocol}{left_out})"
        )


def per_slice(
    reference: FloatArray,
    test: FloatArray,
    valid: BoolArray | None,
    prepare: Callable[[NDArray[np.floating]], Floats],
    one: Callable[[Floats, Floats, BoolArray], float],
) -> tuple[float, ...]:
    """Applies `one` slice by slice; NaN for a slice without valid pixels."""
    if reference.shape != test.shape or reference.ndim != 3:
        raise GeometryError(
            "Reference and test must be stacks of the same shape",
            received=f"{reference.shape} and {test.shape}",
        )
    values = []
    for z in range(len(reference)):
        inside = np.ones(reference.shape[1:], bool) if valid is None else valid[z]
        values.append(one(prepare(reference[z]), prepare(test[z]), inside) if inside.any() else float("nan"))
    return tuple(values)


def plain(value: float) -> float | None:
    """A number that JSON knows, or None."""
    return value if np.isfinite(value) else None
