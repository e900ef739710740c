"""Measure: one figure of a series with everything that is needed to read it.

Whatever a figure comes from (a comparison with a reference, a measurement on the scan alone), it goes into
report.json, report.csv, the page and the cohort in this form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INTERVAL = 1.96
"""Standard errors on each side of a 95 % confidence interval."""


@dataclass(frozen=True)
class Measure:
    """One figure.

    Attributes:
        key: its name for programs: lower case, underscores.
        title: its name for people.
        value: None where it could not be measured.
        unit: ``"HU"``, ``"dB"``, ``"%"``; "" for a pure number.
        protocol: how it was measured, a sentence.
        spec: how it is printed, as in `format`.
        low: lower end of its 95 % confidence interval; None where there is none.
        high: upper end.
        per_slice: one value a slice, None where a slice has none; empty for a figure of the whole series.
        headline: it stands in the summary table.
        family: measures of one family share a plot by slice; "" for none.
        role: of its curve, see `medidiff.report.figure.ROLES`; "" for the arm's own.
        level: a level to draw beside the curve, with its name.
    """

    key: str
    title: str
    value: float | None
    unit: str
    protocol: str
    spec: str = ".3g"
    low: float | None = None
    high: float | None = None
    per_slice: tuple[float | None, ...] = ()
    headline: bool = False
    family: str = ""
    role: str = ""
    level: tuple[float, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no inf and NaN: they become None."""
        return {
            "key": self.key,
            "title": self.title,
            "value": plain(self.value),
            "unit": self.unit,
            "low": plain(self.low),
            "high": plain(self.high),
            "spec": self.spec,
            "protocol": self.protocol,
            "headline": self.headline,
            "family": self.family,
            "role": self.role,
            "level": None if self.level is None else list(self.level),
            "per_slice": [plain(v) for v in self.per_slice],
        }


def plain(value: float | None) -> float | None:
    """A finite Python number, or None."""
    return float(value) if value is not None and math.isfinite(value) else None


def of_slices(values: Sequence[float | None]) -> float | None:
    """Mean over the slices that have a value."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return sum(known) / len(known) if known else None
