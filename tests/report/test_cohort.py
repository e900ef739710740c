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


def test_the_mean_of_a_patient_is_over_slices_as_in_an_evaluation_of_several_scans() -> None:
    found = reports(VALUES[:3], PATIENTS[:3])  # two series of patient a, one of patient b
    for _, one in found[:1]:
        for arm in one["series"][0]["arms"]:
            for m in arm["measures"]:
                m["per_slice"] = [m["value"]] * 6 if m["key"] == "rmse" else m["per_slice"]
    group = of(cohort(found), "noisy")
    of_a = np.mean([10.0] * 6 + [11.0, 13.0])
    assert group["mean"]["value"] == pytest.approx(np.mean([of_a, np.mean([10.0, 12.0])]))
    assert group["mean"]["values"] == group["mean"]["patients"] == 2


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


def with_protocols(*protocols: str) -> dict[str, Any]:
    """A cohort of evaluations whose figures have these protocols."""
    found = reports(VALUES[: len(protocols)], PATIENTS[: len(protocols)])
    for (_, one), protocol in zip(found, protocols, strict=True):
        for arm in one["series"][0]["arms"]:
            for m in arm["measures"]:
                m["protocol"] = f"{protocol}, SSIM 7x7 uniform, mean over slices."
    return cohort(found)


@pytest.mark.parametrize(
    "protocols",
    [
        ("window 50,400 (C 50 W 400), data range 1", "window 40,80 (C 40 W 80), data range 1"),
        ("no window, data range 100", "no window, data range 4000"),
    ],
)
def test_numbers_that_the_user_chose_part_protocols(protocols: tuple[str, str]) -> None:
    groups = [g for g in with_protocols(*protocols)["groups"] if (g["arm"], g["key"]) == ("noisy", "rmse")]
    assert [g["values"] for g in groups] == [[VALUES[0]], [VALUES[1]]]
    assert [g["protocol"].split(", SSIM")[0] for g in groups] == list(protocols)


def test_a_data_range_of_the_reference_does_not_part_them_and_reads_as_a_range() -> None:
    source = "(99.5th percentile of the reference)"
    ranges = (910, 1504.5e4, 885)
    group = of(with_protocols(*(f"no window, data range {n:g} {source}" for n in ranges)), "noisy")
    assert group["values"] == VALUES[:3]
    assert group["protocol"].startswith(f"no window, data range 885 to 1.5045e+07 {source}, SSIM 7x7 uniform")


def test_arms_are_compared_though_their_first_series_differ_in_the_range_of_the_reference() -> None:
    found = reports(VALUES[:2], PATIENTS[:2])
    for (_, one), n in zip(found, (885, 1504.5), strict=True):
        for arm in one["series"][0]["arms"]:
            for m in arm["measures"]:
                m["protocol"] = f"no window, data range {n} (99.5th percentile of the reference)."
    del found[0][1]["series"][0]["arms"][1]  # the second arm starts with the second series
    difference = next(d for d in cohort(found)["differences"] if d["key"] == "rmse")
    assert (difference["series"], difference["difference"]["value"]) == (1, -6.0)


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
