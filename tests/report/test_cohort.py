"""Cohorts: distributions, outliers, intervals over patients and paired differences, from reports alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parsed import Page, agrees
from scans import NOW, evaluation_report, run_report

from medidiff.report import Names, head
from medidiff.report.cohort import cohort, find
from medidiff.report.cohort_page import cohort_page


def reports(values: list[float], patients: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Evaluations whose first arm has these RMSEs, and whose second arm has half of them."""
    base, _ = evaluation_report()
    found = []
    for k, (value, patient) in enumerate(zip(values, patients, strict=True)):
        one = copy.deepcopy(base)
        one["series"][0]["patient"] = patient
        for arm, factor in zip(one["series"][0]["arms"], (1.0, 0.5), strict=True):
            for m in arm["measures"]:
                if m["key"] == "rmse":
                    m["value"] = factor * value
                    m["per_slice"] = [factor * (value - 1), factor * (value + 1)]
        found.append((f"r{k}", one))
    return found


VALUES = [10.0, 12.0, 11.0, 13.0, 12.0, 40.0]
PATIENTS = ["a", "a", "b", "c", "d", "e"]


def of(content: dict[str, Any], arm: str, key: str = "rmse") -> dict[str, Any]:
    return next(g for g in content["groups"] if g["arm"] == arm and g["key"] == key)


def test_distributions_are_those_of_the_values() -> None:
    group = of(cohort(reports(VALUES, PATIENTS)), "noisy")
    assert group["values"] == VALUES
    assert group["median"] == np.median(VALUES)
    assert (group["least"], group["most"]) == (10.0, 40.0)
    assert group["mean"]["value"] == pytest.approx(np.mean([11.0, 11.0, 13.0, 12.0, 40.0]))  # of 5 patients
    assert group["mean"]["patients"] == 5
    assert group["mean"]["low"] < group["mean"]["value"] < group["mean"]["high"]
    assert group["pooled"]["value"] == pytest.approx(np.mean(VALUES))
    assert group["pooled"]["values"] == 12


def test_outliers_lie_beyond_the_fences_of_tukey() -> None:
    content = cohort(reports(VALUES, PATIENTS))
    low, high = np.percentile(VALUES, [25, 75])
    group = of(content, "noisy")
    assert group["fences"] == pytest.approx([low - 1.5 * (high - low), high + 1.5 * (high - low)])
    assert group["outliers"] == [5]
    few = of(cohort(reports(VALUES[-4:], PATIENTS[-4:])), "noisy")
    assert few["fences"] is None
    assert few["outliers"] == []


def test_differences_are_paired() -> None:
    content = cohort(reports(VALUES, PATIENTS))
    found = next(d for d in content["differences"] if d["key"] == "rmse")
    assert (found["first"], found["second"], found["series"]) == ("denoised", "noisy", 6)
    by_patient = [-5.5, -5.5, -6.5, -6.0, -20.0]
    assert found["difference"]["value"] == pytest.approx(np.mean(by_patient))


def test_other_protocols_are_other_groups() -> None:
    mixed = reports(VALUES, PATIENTS)
    for m in mixed[0][1]["series"][0]["arms"][0]["measures"]:
        m["protocol"] = m["protocol"].replace("window abdomen", "window chest")
    groups = [g for g in cohort(mixed)["groups"] if g["arm"] == "noisy" and g["key"] == "rmse"]
    assert sorted(len(g["values"]) for g in groups) == [1, 5]


def page_of(*found: tuple[str, dict[str, Any]]) -> tuple[dict[str, Any], Page, str]:
    names = Names([], Path("/out"))
    content = {**head("cohort", NOW, 1.0, ["medidiff", "report", "--cohort"], names), **cohort(found)}
    content = json.loads(json.dumps(content, allow_nan=False))
    html = cohort_page(content)
    return content, Page(html), html


def test_numbers_on_the_page_are_those_of_the_cohort() -> None:
    run, _ = run_report()
    content, page, html = page_of(*reports(VALUES, PATIENTS), ("run", run))
    assert agrees(page, content) > 100
    assert "1 series with an outlying figure, 1 with flagged slices" in page.text
    assert "is PET" in page.text  # the series without figures
    assert "outliers, by number: 6" in page.text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "default-src 'none'" in html


def test_reports_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("report.json", "a/report.json", "a/b/report.json", "a/report-1.json", "a/other.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find([tmp_path / "a", tmp_path]) == [
        tmp_path / "a/b/report.json", tmp_path / "a/report.json", tmp_path / "report.json",
    ]  # fmt: skip
