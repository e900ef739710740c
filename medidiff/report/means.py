"""Means: what holds over the patients of an evaluation, and how its tests differ, as a table of the page."""

from __future__ import annotations

from typing import Any

from medidiff.report.against import SPECS
from medidiff.report.node import Node, plain
from medidiff.report.wording import sentence


def means(report: Node) -> dict[str, Any] | None:
    """The table of means with their intervals; None for an evaluation with one reference, and for a run.

    Args:
        report: content of report.json; its ``cohort`` is that of `medidiff.evaluation.Cohort`.
    """
    if "cohort" not in plain(report):
        return None
    rows: dict[str, dict[str, Any]] = {}
    for found in report.cohort.summaries:
        rows.setdefault(str(found.arm), {})[str(found.metric)] = _cell(found, "")
    for found in report.cohort.differences:
        title = f"{found.first} \N{MINUS SIGN} {found.second}"
        rows.setdefault(title, {})[str(found.metric)] = _cell(found, "+")
    units = {str(found.metric): str(found.unit) for found in report.cohort.summaries}
    texts = dict.fromkeys(str(found.per_patient.text) for found in report.cohort.summaries)
    return {
        "columns": [f"{metric}, {unit}" if unit else metric for metric, unit in units.items()],
        "rows": [{"title": title, "cells": [cells.get(m) for m in units]} for title, cells in rows.items()],
        "protocol": f"{sentence(str(report.cohort.protocol))} In brackets: {'; '.join(texts)}. "
        "Differences: slice by slice, on the scans that both have.",
    }


def _cell(found: Node, sign: str) -> dict[str, Any]:
    """Mean, and ends of its interval, with how they are printed."""
    interval = found.per_patient
    spec = f"{sign}{SPECS[str(found.metric)]}"
    return {"value": interval.value, "low": interval.low, "high": interval.high, "spec": spec}
