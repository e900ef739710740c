"""Cohort: several scans, several results of each (arms), and what can be said over the patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from medidiff.errors import UsageError
from medidiff.evaluation.bootstrap import Interval, bootstrap, paired
from medidiff.evaluation.compare import Comparison
from medidiff.evaluation.protocol import Protocol

SCORES = ("PSNR", "SSIM", "RMSE", "VIF", "HaarPSI")


@dataclass(frozen=True)
class Case:
    """One result of one scan.

    Attributes:
        patient: pseudonym; scans of one patient share it.
        scan: name of the scan, the same in all arms.
        comparison: its figures.
    """

    patient: str
    scan: str
    comparison: Comparison


@dataclass(frozen=True)
class Arm:
    """One way of treating scans: a method, a dose, or the untreated scans.

    Attributes:
        name: what it is called in tables.
        cases: its results.
    """

    name: str
    cases: tuple[Case, ...]

    def values(self, metric: str, scans: frozenset[str] | None = None) -> dict[str, list[float]]:
        """The values of a metric slice by slice, by patient.

        Args:
            metric: one of `SCORES`.
            scans: only these; None for all.
        """
        found: dict[str, list[float]] = {}
        for case in self.cases:
            if scans is None or case.scan in scans:
                score = next(s for s in case.comparison.scores if s.metric == metric)
                found.setdefault(case.patient, []).extend(score.per_slice)
        return found


@dataclass(frozen=True)
class Summary:
    """One metric of one arm.

    Attributes:
        arm: name of the arm.
        metric: name of the metric.
        unit: its unit.
        per_patient: mean over patients of each patient's mean over slices.
        pooled: mean over all slices.
    """

    arm: str
    metric: str
    unit: str
    per_patient: Interval
    pooled: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "arm": self.arm,
            "metric": self.metric,
            "unit": self.unit,
            "per_patient": self.per_patient.as_dict(),
            "pooled": self.pooled.as_dict(),
        }


@dataclass(frozen=True)
class Difference:
    """One metric of one arm less that of another, on the scans that both have.

    Attributes:
        first: name of the arm.
        second: name of the arm that is taken off.
        metric: name of the metric.
        unit: its unit.
        scans: scans that both have.
        per_patient: mean over patients of each patient's mean difference.
        pooled: mean difference over all slices.
    """

    first: str
    second: str
    metric: str
    unit: str
    scans: int
    per_patient: Interval
    pooled: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "metric": self.metric,
            "unit": self.unit,
            "scans": self.scans,
            "per_patient": self.per_patient.as_dict(),
            "pooled": self.pooled.as_dict(),
        }


@dataclass(frozen=True)
class Cohort:
    """All arms side by side.

    Attributes:
        arms: with their cases.
        summaries: each metric of each arm.
        differences: each metric of each pair of arms that share scans, later arm less earlier one.
        protocol_text: what the figures were computed with.
    """

    arms: tuple[Arm, ...]
    summaries: tuple[Summary, ...]
    differences: tuple[Difference, ...]
    protocol_text: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the cases by arm, patient and scan only."""
        return {
            "protocol_text": self.protocol_text,
            "arms": [
                {"name": a.name, "cases": [{"patient": c.patient, "scan": c.scan} for c in a.cases]}
                for a in self.arms
            ],
            "summaries": [s.as_dict() for s in self.summaries],
            "differences": [d.as_dict() for d in self.differences],
        }


def cohort(arms: Sequence[Arm], rng: np.random.Generator) -> Cohort:
    """Means, intervals and paired differences of all arms.

    Args:
        arms: at least one, each with at least one case.
        rng: source of randomness of the bootstrap.

    Raises:
        UsageError: the cases differ in more of their protocol than a data range read from each reference.
    """
    protocols = {_alike(c.comparison.protocol) for a in arms for c in a.cases}
    if len(protocols) > 1:
        raise UsageError(
            "Figures of different protocols must not be averaged",
            received="; ".join(sorted(map(str, protocols))),
            hint="Compare CT and MR scans apart.",
        )
    summaries, differences = [], []
    units = {s.metric: s.unit for s in arms[0].cases[0].comparison.scores}
    for metric in SCORES:
        for arm in arms:
            values = arm.values(metric)
            one, all_slices = bootstrap(values, rng), bootstrap(values, rng, pooled=True)
            summaries.append(Summary(arm.name, metric, units[metric], one, all_slices))
        for earlier, later in combinations(arms, 2):
            shared = frozenset(c.scan for c in earlier.cases) & frozenset(c.scan for c in later.cases)
            if shared:
                pair = _in_order(later, metric, shared), _in_order(earlier, metric, shared)
                one, all_slices = paired(*pair, rng), paired(*pair, rng, pooled=True)
                differences.append(
                    Difference(later.name, earlier.name, metric, units[metric], len(shared), one, all_slices)
                )
    exact = {str(c.comparison.protocol) for a in arms for c in a.cases}
    text = str((exact if len(exact) == 1 else protocols).pop())
    return Cohort(tuple(arms), tuple(summaries), tuple(differences), text)


def _alike(protocol: Protocol) -> Protocol:
    """The protocol without what may differ from scan to scan."""
    if not protocol.range_of_reference:
        return protocol
    return replace(protocol, data_range=None, range_of_reference=False)


def _in_order(arm: Arm, metric: str, scans: frozenset[str]) -> dict[str, list[float]]:
    """The values of the shared scans, scan by scan in one order for every arm."""
    return Arm(arm.name, tuple(sorted(arm.cases, key=lambda c: c.scan))).values(metric, scans)
