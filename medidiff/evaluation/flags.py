"""Flags: what a reader of no-reference measures should look at, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medidiff.evaluation.noref import FEWEST_PIXELS, Flag, NoReference
from medidiff.evaluation.structure import where

REMOVED_HIGH, REMOVED_LOW = 1.2, 0.3
"""SD of what was removed over the noise SD. A posterior draw has 1, a posterior mean less; the estimate of
the noise SD is good to about 15 %."""
DRIFT_HU = {"soft": 1.0}
DRIFT_OTHER_HU = 5.0
DRIFT_SHARE = 0.2
"""MR: share of the noise SD that the mean of uniform tissue may move."""
DRIFT_ERRORS = 4.0
EDGE_CORRELATION, EDGE_CHANCE = 0.1, 0.05
UNSURE = 2.0
"""Stated uncertainty of a slice over the median slice."""


def flags_of(found: NoReference) -> tuple[Flag, ...]:
    """All flags, those of the series first, then slice by slice."""
    flags = [*_noise(found), *_drift(found), *_residual(found), *_slices(found)]
    return tuple(sorted(flags, key=lambda f: -1 if f.slice is None else f.slice))


def _noise(found: NoReference) -> Iterator[Flag]:
    left = found.noise_left
    if left is not None and left >= 1.0:
        yield Flag(None, "noise", f"the noise did not fall: {left:.2f} of the scan's is left", left, 1.0)


def _drift(found: NoReference) -> Iterator[Flag]:
    for d in found.drift:
        if d.mean is None or d.error is None or d.pixels < FEWEST_PIXELS:
            continue
        limit = _drift_limit(found, d.name)
        if limit is not None and abs(d.mean) > max(limit, DRIFT_ERRORS * d.error):
            text = f"the mean of uniform tissue ({d.name}) moved by {d.mean:+.3g} {found.unit}"
            yield Flag(None, "drift", text, d.mean, limit)


def _drift_limit(found: NoReference, name: str) -> float | None:
    if found.unit == "HU":
        return DRIFT_HU.get(name, DRIFT_OTHER_HU)
    return None if found.before.sigma is None else DRIFT_SHARE * found.before.sigma


def _residual(found: NoReference) -> Iterator[Flag]:
    from scipy.stats import norm

    test = found.residual
    if test is None:
        return
    edge_limit = float(norm.isf(EDGE_CHANCE / len(test.slices)))
    for s in test.slices:
        mine = [p for p in test.flagged if p.slice == s.slice]
        if mine:
            worst = max(mine, key=lambda p: p.z)
            text = (
                f"structure in what was removed: {len(mine)} of {int(np.isfinite(s.z).sum())} patches, the "
                f"clearest in {where(*worst.square)} ({worst.amplitude:.3g} {test.unit})"
            )
            yield Flag(s.slice, "structure", text, worst.z, test.threshold, worst.square)
        if s.edges is not None and s.edges.z > edge_limit and s.edges.value > EDGE_CORRELATION:
            text = f"what was removed follows the edges (correlation {s.edges.value:.2f})"
            yield Flag(s.slice, "edges", text, s.edges.z, edge_limit)


def _slices(found: NoReference) -> Iterator[Flag]:
    usual = None if found.uncertainty is None else found.uncertainty.median
    for s in found.slices:
        if s.unchanged:
            yield Flag(s.slice, "unchanged", "the result is the scan itself", 0.0, 0.0)
            continue
        if s.removed_ratio is not None and not REMOVED_LOW <= s.removed_ratio <= REMOVED_HIGH:
            much = s.removed_ratio > REMOVED_HIGH
            text = (
                f"{'more' if much else 'far less'} was removed than the noise ({s.removed_ratio:.2f} of it)"
            )
            yield Flag(s.slice, "removed", text, s.removed_ratio, REMOVED_HIGH if much else REMOVED_LOW)
        limit = DRIFT_OTHER_HU if found.unit == "HU" else _drift_limit(found, "")
        if s.mean_change is not None and limit is not None and abs(s.mean_change) > limit:
            text = f"the mean of uniform tissue moved by {s.mean_change:+.3g} {found.unit}"
            yield Flag(s.slice, "drift", text, s.mean_change, limit)
        if usual and s.uncertainty is not None and s.uncertainty > UNSURE * usual:
            text = f"stated uncertainty is {s.uncertainty / usual:.1f} times that of the usual slice"
            yield Flag(s.slice, "uncertainty", text, s.uncertainty, UNSURE * usual)
