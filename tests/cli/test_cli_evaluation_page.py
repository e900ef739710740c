"""medidiff evaluate --report: one page of all references, with what the terminal does not show."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
from cli_scans import LARGE, ROWS, ct_series, halved, patients, tree
from parsed import Page, agrees

from medidiff.evaluation import compare
from medidiff.io import discover, read
from medidiff.report import hashed


def test_evaluate_writes_a_report(run: Callable, tmp_path: Path) -> None:
    clean, noisy, half = halved(tmp_path)
    args = ("evaluate", "--reference", clean, "--test", f"noisy={noisy}", "--test", half)
    ran = run(*args, "--report", tmp_path / "r", "--body")
    assert ran.code == 0, ran.err
    assert "HaarPSI" in ran.out
    assert "body" in ran.out
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    arms = report["series"][0]["arms"]
    assert [a["name"] for a in arms] == ["noisy", hashed(str(half))]
    assert tree(tmp_path / "r") == ["report-images.npz", "report.csv", "report.html", "report.json"]
    plain = json.loads(run(*args, "--json", "-").out)
    volumes = [read(discover([p]).items[0]) for p in (clean, noisy)]
    assert plain["tests"][0]["psnr"]["mean"] == compare(*volumes).psnr.mean
    assert plain["tests"][0]["psnr"]["mean"] != arms[0]["measures"][0]["value"]  # all pixels, the body


def test_evaluate_with_a_mask_and_an_uncertainty(run: Callable, tmp_path: Path) -> None:
    clean, _, half = halved(tmp_path)
    ring = np.zeros((3, *LARGE), np.int16)
    ring[:, 40:80, 40:80] = 1
    mask = ct_series(tmp_path / "mask", slices=3, stored=ring)
    sd = ct_series(tmp_path / "sd", slices=3, stored=np.full((3, *LARGE), 10, np.int16))
    ran = run(
        "evaluate", "--reference", clean, "--test", half, "--mask", mask, "--uncertainty", sd, "--json",
        tmp_path / "f.json", "--report", tmp_path / "r",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"mask {hashed(str(mask))}" in ran.out
    assert "the 90 % interval covers" in ran.out
    covered = json.loads((tmp_path / "f.json").read_text())["uncertainty"]["coverage_90"]
    assert covered == pytest.approx(0.9, abs=0.03)  # half the noise of 20 HU has the stated SD
    assert "Reliability of the uncertainty" in (tmp_path / "r" / "report.html").read_text()


def test_a_report_of_several_scans(run: Callable, tmp_path: Path) -> None:
    truth, noisy = patients(tmp_path / "t", 0), patients(tmp_path / "n", 8)
    ran = run("evaluate", "--reference", truth, "--test", f"noisy={noisy}", "--report", tmp_path / "r")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert len(report["series"]) == 3
    assert len({s["patient"] for s in report["series"]}) == 3
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert "3 scans compared with 3 references." in page.text
    assert agrees(page, report) > 15


def test_the_page_has_the_means_over_patients(run: Callable, tmp_path: Path) -> None:
    truth, noisy, half = (patients(tmp_path / name, k) for name, k in (("t", 0), ("n", 8), ("h", 4)))
    args = ("evaluate", "--reference", truth, "--test", f"noisy={noisy}", "--test", f"half={half}")
    ran = run(*args, "--report", tmp_path / "r", "--json", tmp_path / "f.json")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    found = json.loads((tmp_path / "f.json").read_text())["cohort"]
    assert report["cohort"]["summaries"] == found["summaries"]
    assert report["cohort"]["differences"] == found["differences"]
    # Stripes of amplitude 8 (k + 1) and 4 (k + 1) in patients k = 0, 1, 2: RMSE, and its mean over patients.
    stripes = float(np.sqrt(np.mean(ROWS.astype(float) ** 2)))
    rmse = {s["arm"]: s["per_patient"]["value"] for s in found["summaries"] if s["metric"] == "RMSE"}
    assert rmse == pytest.approx({"noisy": 16 * stripes, "half": 8 * stripes}, rel=1e-6)
    page = Page((tmp_path / "r" / "report.html").read_text())
    at = {place: text for place, _, _, text in page.numbers if place.startswith("/cohort/")}
    assert len(at) == 3 * (2 + 1) * 5  # mean and two ends, two arms and their difference, five figures
    k = next(i for i, s in enumerate(found["summaries"]) if (s["metric"], s["arm"]) == ("RMSE", "half"))
    assert at[f"/cohort/summaries/{k}/per_patient/value"] == f"{8 * stripes:.2f}"
    rows = list(csv.DictReader((tmp_path / "r" / "report.csv").read_text().splitlines()))
    means = {(r["arm"], r["measure"]): r["value"] for r in rows if r["label"] == "patients"}
    assert len(means) == 3 * 5
    assert float(means["half", "rmse"]) == pytest.approx(8 * stripes, rel=1e-6)
    assert float(means["half - noisy", "rmse"]) == pytest.approx(-8 * stripes, rel=1e-6)
    assert "Means over patients" in page.text
    assert "too narrow with so few patients" in page.text
    before = (tmp_path / "r" / "report.html").read_bytes()
    assert run("report", tmp_path / "r").code == 0
    assert (tmp_path / "r" / "report.html").read_bytes() == before


def test_slices_without_a_page_or_a_place_are_not_ignored(run: Callable, tmp_path: Path) -> None:
    clean, noisy, _ = halved(tmp_path)
    args = ("evaluate", "--reference", clean, "--test", noisy, "--slices", "2,99")
    ran = run(*args)
    assert ran.code == 2
    assert "--slices 2,99 without --report" in ran.sentence
    ran = run(*args, "--report", tmp_path / "r")
    assert ran.code == 0, ran.err
    assert "slices asked for that are not there: 99 (there are 3)" in ran.err
    assert "not there" not in run(*args, "--report", tmp_path / "quiet", "-q").err
    assert "not there" not in run(*args[:-1], "2", "--report", tmp_path / "r2").err
