"""Cohort: many series together, from their reports alone: distributions, outliers, differences of arms.

Figures of different protocols are never put together: a measure is one distribution for each arm, unit and
protocol. Intervals are over patients, not over slices (see `medidiff.evaluation.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from medidiff.evaluation.bootstrap import bootstrap, paired
from medidiff.report.alike import alike, together

FENCE = 1.5
"""Outliers lie more than so many interquartile ranges beyond the quartiles (Tukey 1977)."""

FEWEST = 5
"""With fewer series there are no outliers to speak of."""

SEED = 20240

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """The same figure of several series.

    Attributes:
        arm: whose.
        measure: of the first series: key, title, unit and spec.
        protocols: one for each, alike but for numbers that follow from the scan.
        rows: indices of the series.
        values: one for each.
        per_slice: the values slice by slice; None where the value is not their mean.
    """

    arm: str
    measure: Mapping[str, Any]
    protocols: list[str]
    rows: list[int]
    values: list[float]
    per_slice: list[list[float] | None]


def cohort(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """What goes into cohort.json beside its head.

    Args:
        reports: name and content of each report.json.
    """
    rows = _rows(reports)
    groups = _groups(rows)
    rng = np.random.default_rng(SEED)
    return {
        "reports": [name for name, _ in reports],
        "series": [{k: v for k, v in row.items() if k != "arms"} for row in rows],
        "groups": [_distribution(g, rows, rng) for g in groups],
        "differences": _differences(groups, rows, rng),
        "left_out": _left_out(reports),
    }


def find(folders: Iterable[Path]) -> list[Path]:
    """Every report.json at any depth under some folders, and every report that is named itself.

    Those of earlier runs (report-1.json) are left out, unless they are named.
    """
    return sorted({p for f in folders for p in ([f] if f.is_file() else f.rglob("report.json"))})


def _rows(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> Rows:
    """Every series that has figures."""
    rows = []
    for name, report in reports:
        for number, series in enumerate(report["series"], start=1):
            if series.get("arms"):
                flags = series.get("flags")
                rows.append(
                    {
                        "report": name,
                        "number": number,
                        "label": series["label"],
                        "patient": series.get("patient") or f"{name}/{number}",
                        "modality": series["modality"],
                        "slices": series["shape_zyx"][0],
                        "flagged": None if flags is None else sorted({f["slice"] or 0 for f in flags} - {0}),
                        "arms": series["arms"],
                    }
                )
    return rows


def _left_out(reports: Sequence[tuple[str, Mapping[str, Any]]]) -> Rows:
    """Every series without figures, and why."""
    return [
        {"report": name, "label": s["label"], "status": s["status"], "reason": s["reason"]}
        for name, report in reports
        for s in report["series"]
        if not s.get("arms")
    ]


def _groups(rows: Rows) -> list[Group]:
    groups: dict[tuple[str, ...], Group] = {}
    for k, row in enumerate(rows):
        for arm in row["arms"]:
            for m in arm["measures"]:
                if m["value"] is None or not m["headline"]:
                    continue
                key = arm["name"], m["key"], m["unit"], row["modality"], alike(m["protocol"])
                group = groups.setdefault(key, Group(arm["name"], m, [], [], [], []))
                group.protocols.append(m["protocol"])
                group.rows.append(k)
                group.values.append(m["value"])
                group.per_slice.append(_slices(m))
    return list(groups.values())


def _distribution(group: Group, rows: Rows, rng: np.random.Generator) -> dict[str, Any]:
    """One figure over all series."""
    values = np.asarray(group.values)
    low, middle, high = (float(v) for v in np.percentile(values, [25, 50, 75]))
    fences = (low - FENCE * (high - low), high + FENCE * (high - low)) if len(values) >= FEWEST else None
    outliers = [] if fences is None else np.flatnonzero((values < fences[0]) | (values > fences[1])).tolist()
    m = group.measure
    return {
        "arm": group.arm,
        "key": m["key"],
        "title": m["title"],
        "unit": m["unit"],
        "spec": m["spec"],
        "modality": rows[group.rows[0]]["modality"],
        "protocol": together(group.protocols),
        "mean": bootstrap(_of_patients(group, rows), rng).as_dict(),
        "pooled": _pooled(group, rows, rng),
        "least": float(values.min()),
        "lower_quartile": low,
        "median": middle,
        "upper_quartile": high,
        "most": float(values.max()),
        "fences": None if fences is None else list(fences),
        "rows": group.rows,
        "values": group.values,
        "outliers": [group.rows[k] for k in outliers],
    }


def _differences(groups: Sequence[Group], rows: Rows, rng: np.random.Generator) -> Rows:
    """Each figure of one arm less that of another, on the series that both have."""
    found = []
    for first, second in combinations(groups, 2):
        a, b = first.measure, second.measure
        shared = [k for k in first.rows if k in second.rows]
        same = a["key"] == b["key"] and alike(first.protocols[0]) == alike(second.protocols[0])
        if first.arm == second.arm or not same or not shared:
            continue
        values = [
            _by_patient(shared, [[g.values[g.rows.index(k)]] for k in shared], rows) for g in (second, first)
        ]
        interval = paired(values[0], values[1], rng)
        found.append(
            {
                "first": second.arm,
                "second": first.arm,
                "key": a["key"],
                "title": a["title"],
                "unit": a["unit"],
                "spec": f"+{a['spec']}",
                "series": len(shared),
                "difference": interval.as_dict(),
            }
        )
    return found


def _slices(m: Mapping[str, Any]) -> list[float] | None:
    """The values slice by slice, where the figure is their mean."""
    known = [v for v in m["per_slice"] if v is not None]
    return known if known and np.isclose(np.mean(known), m["value"], rtol=1e-9) else None


def _of_patients(group: Group, rows: Rows) -> dict[str, list[float]]:
    """The values of each patient: of all slices, as an evaluation of several scans has them, or of series."""
    slices = [values for values in group.per_slice if values is not None]
    whole = len(slices) < len(group.rows)
    return _by_patient(group.rows, [[v] for v in group.values] if whole else slices, rows)


def _pooled(group: Group, rows: Rows, rng: np.random.Generator) -> dict[str, Any] | None:
    """The mean over all slices; None where the figure is not a mean over slices."""
    if any(values is None for values in group.per_slice):
        return None
    return bootstrap(_of_patients(group, rows), rng, pooled=True).as_dict()


def _by_patient(
    which: Sequence[int], values: Sequence[Sequence[float]], rows: Rows
) -> dict[str, list[float]]:
    """Values of some series, by patient."""
    found: dict[str, list[float]] = {}
    for row, mine in zip(which, values, strict=True):
        found.setdefault(rows[row]["patient"], []).extend(mine)
    return found
