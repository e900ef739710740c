"""Means over patients with their bootstrap intervals, and paired differences of two methods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from medidiff.evaluation.bootstrap import Interval, bootstrap, paired
from quality.rows import Row

SEED = 20


def by_patient(rows: Iterable[Row], figure: str) -> dict[str, list[float]]:
    """Values of a figure, by patient."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if figure in row.figures:
            found[row.patient].append(row.figures[figure])
    return dict(found)


def select(rows: Iterable[Row], kind: str, level: str, method: str) -> list[Row]:
    """The rows of one line of the table."""
    return [r for r in rows if (r.kind, r.level, r.method) == (kind, level, method)]


def mean(rows: Iterable[Row], figure: str) -> Interval:
    """Mean over patients of their means over slices, with its 95 % interval."""
    return bootstrap(by_patient(rows, figure), np.random.default_rng(SEED))


def difference(rows: list[Row], kind: str, level: str, first: str, second: str, figure: str) -> Interval:
    """First less second on the cases that both have."""
    pair = [{r.case: r for r in select(rows, kind, level, m)} for m in (first, second)]
    shared = [c for c in pair[0] if c in pair[1] and all(figure in p[c].figures for p in pair)]
    sides = [by_patient([p[c] for c in shared], figure) for p in pair]
    return paired(sides[0], sides[1], np.random.default_rng(SEED))


def order_of_levels(levels: Iterable[str]) -> list[str]:
    """Levels by their number, ascending."""
    return sorted(set(levels), key=lambda level: float(level.rstrip("%")))
