"""``medidiff phantom``: from nothing to a table, with synthetic noise in place of a scanner's."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "phantom"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
from parsed import Page, agrees
from phantoms import synthetic_scan


@pytest.fixture
def phantom(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    folder = tmp_path / "phantom"
    ran = run(
        "phantom", "make", "-o", folder, "--realisations", 40, "--depth", 1, "--dose", 1, "--dose", 0.25
    )
    assert ran.code == 0, ran.err
    assert ran.out == f"{folder}\n"
    return folder


def blurred(phantom: Path, out: Path, dose: str) -> None:
    """A denoiser of sorts: a Gaussian, one pixel wide."""
    out.mkdir(exist_ok=True)
    image = nib.load(phantom / "scans" / f"{dose}.nii.gz")
    smooth = gaussian_filter(image.get_fdata(), (1.0, 1.0, 0, 0))
    nib.save(
        nib.Nifti1Image(np.rint(smooth).astype(np.int16), image.affine),
        out / f"{dose}_desc-denoised.nii.gz",
    )


def test_make_and_measure(run: Callable, phantom: Path, tmp_path: Path) -> None:
    blurred(phantom, tmp_path / "blur", "dose100")
    blurred(phantom, tmp_path / "blur", "dose25")
    file = tmp_path / "found.json"
    ran = run("phantom", "measure", phantom, "--test", f"blur={tmp_path / 'blur'}", "--json", file)
    assert ran.code == 0, ran.err
    for word in ("Detectability", "3 mm 14 HU", "TTF50 100 HU", "mean frequency", "HU bias", "uniform"):
        assert word in ran.out
    found = json.loads(file.read_text())
    assert found["tool"] == "medidiff"
    assert [(f["dose"], f["test"]) for f in found["findings"]] == [
        (1.0, "noisy"), (1.0, "blur"), (0.25, "noisy"), (0.25, "blur"),
    ]  # fmt: skip
    noisy, blur = found["findings"][:2]
    assert noisy["mean_frequency_shift"] is None
    assert blur["mean_frequency_shift"] < -0.2
    assert blur["ttf"][2]["ttf50_lp_cm"] < 0.8 * noisy["ttf"][2]["ttf50_lp_cm"]
    # The page says what the file says.
    sharp = blur["ttf"][2]
    assert "{:.2f} ({:.2f}-{:.2f})".format(sharp["ttf50_lp_cm"], *sharp["ttf50_ci"]) in ran.out
    low, high = noisy["cho"][0]["auc_ci"]
    assert f"{noisy['cho'][0]['auc']:.3f} ({low:.3f}-{high:.3f})" in ran.out
    # Again, over its own file; and on stdout the same.
    again = ("phantom", "measure", phantom, "--test", f"blur={tmp_path / 'blur'}", "--json")
    assert run(*again, file).code == 0
    assert json.loads(run(*again, "-").out) == found


def test_the_report_shows_the_figures(run: Callable, phantom: Path, tmp_path: Path) -> None:
    blurred(phantom, tmp_path / "blur", "dose100")
    blurred(phantom, tmp_path / "blur", "dose25")
    out = tmp_path / "report"
    args = ("phantom", "measure", phantom, "--test", tmp_path / "blur")
    ran = run(*args, "--report", out, "--json", tmp_path / "f.json")
    assert ran.code == 0, ran.err
    assert {p.name for p in out.iterdir()} == {"report.json", "report.csv", "report.html"}
    report = json.loads((out / "report.json").read_text())
    assert report["findings"] == json.loads((tmp_path / "f.json").read_text())["findings"]
    page = Page((out / "report.html").read_text())
    assert agrees(page, report) > 100
    for part in ("Detectability", "Sharpness", "NPS at 25", "HU bias", "in 8 cases", "Laguerre-Gauss"):
        assert part in page.text
    rows = (out / "report.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * (2 * 4 + 3 + 7 + 2) + 2 * (3 * 4 + 3 + 7 + 4)  # noisy, and the test
    assert all(row["protocol"] for row in csv.DictReader(rows))
    assert "12 HU in the body" in page.text
    assert report["phantom"]["exposure"]["sigma"] == 12.0
    before = (out / "report.html").read_bytes()
    assert run("report", out).code == 0
    assert (out / "report.html").read_bytes() == before
    assert run("report", "--cohort", out).code == 3  # a phantom is no series


def test_the_sharp_kernel_has_no_half_response_and_its_files_are_json(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    made = ("phantom", "make", "-o", tmp_path / "p", "--realisations", 40, "--depth", 1, "--dose", 1)
    assert run(*made, "--kernel", "sharp", "--background", "anatomical").code == 0
    ran = run("phantom", "measure", tmp_path / "p", "--json", tmp_path / "f.json", "--report", tmp_path / "r")
    assert ran.code == 0, ran.err
    for file in ("p/phantom.json", "f.json", "r/report.json"):
        content = json.loads((tmp_path / file).read_text(), parse_constant=pytest.fail)
        assert content.get("phantom", content.get("design"))["kernel"]["f50"] is None
    assert "ramp, boost 0.009 cm" in Page((tmp_path / "r/report.html").read_text()).text


def test_a_dose_that_is_not_there_is_said(run: Callable, phantom: Path, tmp_path: Path) -> None:
    blurred(phantom, tmp_path / "blur", "dose25")
    ran = run("phantom", "measure", phantom / "phantom.json", "--test", tmp_path / "blur")
    assert ran.code == 0
    assert "no image of dose 100%" in ran.err
    (tmp_path / "other").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 2), np.int16), np.eye(4)), tmp_path / "other" / "x.nii.gz")
    ran = run("phantom", "measure", phantom, "--test", tmp_path / "other")
    assert ran.code == 3
    assert "no denoised scan of this phantom" in ran.sentence


def test_an_image_of_something_else_is_refused(run: Callable, phantom: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "dose100_desc-denoised.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((64, 64, 3), np.int16), np.eye(4)), wrong)
    ran = run("phantom", "measure", phantom, "--test", wrong)
    assert ran.code == 5
    assert "40 slices of 224 x 224" in ran.sentence
    assert str(wrong) in ran.sentence


def test_a_report_names_the_tests_as_the_user_did_and_no_folder(
    run: Callable, phantom: Path, tmp_path: Path
) -> None:
    blurred(phantom, tmp_path / "DOE_JOHN", "dose100")
    args = ("phantom", "measure", phantom, "--report", tmp_path / "r", "--json", tmp_path / "f.json")
    for test in (f"blur={tmp_path / 'DOE_JOHN'}", str(tmp_path / "DOE_JOHN")):
        ran = run(*args, "--test", test)
        assert ran.code == 0, ran.err
        assert ("blur" if "=" in test else "DOE_JOHN") in ran.out
        files = [*(tmp_path / "r").iterdir(), tmp_path / "f.json"]
        assert not [p.name for p in files if "DOE_JOHN" in p.read_text() or str(tmp_path) in p.read_text()]
        found = json.loads((tmp_path / "f.json").read_text())["findings"]
        assert ("blur" in {f["test"] for f in found}) == ("=" in test)
    ran = run("phantom", "measure", phantom, "--test", f"noisy={tmp_path / 'DOE_JOHN'}")
    assert ran.code == 2
    assert "another name" in ran.sentence


def test_make_refuses_and_measure_needs_enough(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    few = "phantom", "make", "-o", tmp_path / "few", "--realisations", 2, "--dose", 0.5
    described = json.loads(run(*few, "--json", "--background", "anatomical").out)
    assert described["kind"] == "medidiff phantom"
    assert described["design"]["background"] == "anatomical"
    ran = run(*few)
    assert ran.code == 1
    assert "exists" in ran.sentence
    assert run(*few, "--overwrite").code == 0
    ran = run("phantom", "measure", tmp_path / "few")
    assert ran.code == 5
    assert "at least 40" in ran.sentence
    assert "Received: 2" in ran.sentence
    assert run("phantom", "make", "-o", tmp_path / "new", "--depth", 2).code == 2
    assert run("phantom", "measure", tmp_path).code == 3
    assert not (tmp_path / "new").exists()
