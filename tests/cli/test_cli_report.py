"""Reports at the command line: of runs and cohorts; and what they never say."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_scans import ct_series, halved

NOISE = ("--sigma", "20")
SHAPE = (128, 128)
FILES = {"report.json", "report.csv", "report.html", "report-images.npz"}


@pytest.fixture
def done(run: Callable, tmp_path: Path) -> Path:
    """A run over a folder named after a patient."""
    source = ct_series(tmp_path / "DOE_JOHN" / "ct", shape=SHAPE, slices=6)
    (source.parent / "DOE letter.txt").write_text("hello")
    ran = run("denoise", source.parent, "-o", tmp_path / "out", *NOISE, "--report", "--slices", "2,5,70")
    assert ran.code == 0, ran.err
    assert "slices asked for that are not there: 70 (there are 6)" in ran.err
    assert f"report: {tmp_path / 'out' / 'report.html'}" in ran.err
    return tmp_path / "out"


def test_denoise_writes_a_report(done: Path) -> None:
    assert FILES <= {p.name for p in done.iterdir()}
    report = json.loads((done / "report.json").read_text())
    series = report["series"][0]
    figures = {m["key"]: m["value"] for m in series["arms"][0]["measures"]}
    assert figures["noise_before"] == pytest.approx(20, rel=0.25)  # the noise of the phantom
    numbers = [s["number"] for s in series["pictures"]["slices"]]
    assert {2, 5} <= set(numbers)
    assert {layer["name"] for layer in series["pictures"]["layers"]} == {
        "noisy", "denoised", "difference", "uncertainty",
    }  # fmt: skip
    assert series["outputs"].keys() == {"denoised"}  # the uncertainty was shown, not asked for
    page = (done / "report.html").read_text()
    assert "--report --slices 2,5,70" in page
    rows = list(csv.DictReader(io.StringIO((done / "report.csv").read_text())))
    assert {r["measure"] for r in rows} >= set(figures)


def test_a_report_is_pseudonymous(done: Path) -> None:
    for name in FILES - {"report-images.npz"}:
        text = re.sub(r"[A-Za-z0-9+/=]{400,}", "", (done / name).read_text()).lower()  # without pictures
        for word in ("doe", "john", "jane", "pid4711", str(done.parent).lower()):
            assert word not in text, (name, word)
        assert "1.2.826" not in text  # UIDs
    with zipfile.ZipFile(done / "report-images.npz") as archive:
        assert all(name.split("/")[0] == "1" for name in archive.namelist())


def test_identify_says_who(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in", shape=SHAPE, slices=2)
    ran = run("denoise", source, "-o", tmp_path / "out", *NOISE, "--report", "--identify")
    assert ran.code == 0, ran.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Doe" in page
    assert "PID4711" in page
    assert str(source) in page
    series = json.loads((tmp_path / "out" / "report.json").read_text())["series"][0]
    assert series["identity"]["Patient ID"] == "PID4711"
    assert len(series["patient"]) == 8


def test_report_builds_the_page_again_without_running(run: Callable, done: Path) -> None:
    before = {name: (done / name).read_bytes() for name in FILES}
    for name in ("report.html", "report.csv"):
        (done / name).unlink()
    ran = run("report", done)
    assert ran.code == 0, ran.err
    assert sorted(map(Path, ran.lines)) == [done / "report.csv", done / "report.html"]
    assert {name: (done / name).read_bytes() for name in FILES} == before
    ran = run("report", done / "report.json", "--series", 1)
    assert ran.lines == [str(done / "report-series-1.html")]


def test_a_series_that_cannot_be_measured_is_denoised_anyway(run: Callable, tmp_path: Path) -> None:
    air = np.full((2, *SHAPE), -1000, np.int16)
    source = ct_series(tmp_path / "in", slices=2, stored=air)
    ran = run("denoise", source, "-o", tmp_path / "out", *NOISE, "--report")
    assert ran.code == 0, ran.err
    assert "no figures for the report" in ran.err
    series = json.loads((tmp_path / "out" / "report.json").read_text())["series"][0]
    assert series["status"] == "denoised"
    assert "arms" not in series
    assert "No series was measured" in (tmp_path / "out" / "report.html").read_text()


def test_a_cohort_is_built_from_the_reports(run: Callable, tmp_path: Path, done: Path) -> None:
    clean, noisy, half = halved(tmp_path)
    for k in range(2):
        run("evaluate", "--reference", clean, "--test", f"noisy={noisy}", "--test", f"half={half}",
            "--report", tmp_path / "all" / str(k))  # fmt: skip
    ran = run("evaluate", "--cohort", tmp_path / "all")
    assert ran.code == 0, ran.err
    assert ran.lines == [str(tmp_path / "all" / "cohort.html")]
    cohort = json.loads((tmp_path / "all" / "cohort.json").read_text())
    assert {g["arm"] for g in cohort["groups"]} == {"noisy", "half"}
    psnr = {g["arm"]: g for g in cohort["groups"] if g["key"] == "psnr"}
    one = json.loads((tmp_path / "all" / "0" / "report.json").read_text())["series"][0]["arms"]
    assert psnr["half"]["values"] == [one[1]["measures"][0]["value"]] * 2
    ran = run("report", "--cohort", tmp_path / "all", done, "-o", tmp_path / "c")
    assert ran.code == 0, ran.err
    text = (tmp_path / "c" / "cohort.html").read_text()
    assert "3 series" in text
    assert "DOE" not in text
    assert str(tmp_path) not in text


def test_report_says_what_is_wrong(run: Callable, tmp_path: Path, done: Path) -> None:
    (tmp_path / "empty").mkdir()
    for args, code, part in (
        (("report", tmp_path / "empty"), 3, "no report"),
        (("report", done, "--series", 7), 2, "Received: 7"),
        (("report", done, "--series", 1, "--cohort"), 2, "either --series or --cohort"),
        (("report", done, "-o", tmp_path), 2, "-o"),
        (("report", "--cohort", tmp_path / "empty"), 3, "no figures"),
        (("evaluate", "--cohort", tmp_path / "empty"), 3, "no figures"),
        (("evaluate",), 2, "--reference"),
        (("evaluate", "--reference", done, "--test", "x=nowhere"), 2, "nowhere"),
        (("denoise", tmp_path, "-o", tmp_path / "o", "--slices", "0,x"), 2, "Received: 0,x"),
        (("denoise", tmp_path, "-o", tmp_path / "o", "--slices", "3"), 2, "--slices 3 without --report"),
    ):
        ran = run(*args)
        assert ran.code == code, args
        assert part in ran.sentence, args


@pytest.mark.parametrize("how", [(), ("--cohort",)])
def test_a_damaged_report_is_one_sentence(run: Callable, tmp_path: Path, how: tuple[str, ...]) -> None:
    (tmp_path / "report.json").write_text('{"tool": "medidiff", "format": 2}')
    ran = run("report", *how, tmp_path)
    assert ran.code == 3
    assert "unexpected" not in ran.sentence
    assert str(tmp_path / "report.json") in ran.sentence


@pytest.mark.parametrize("how", [(), ("--series", 1), ("--cohort",)], ids=str)
@pytest.mark.parametrize("damage", ["lost", "other type"])
def test_damage_deep_inside_a_report_is_one_sentence(
    run: Callable, done: Path, how: tuple[object, ...], damage: str
) -> None:
    file = done / "report.json"
    report = json.loads(file.read_text())
    measure = report["series"][0]["arms"][0]["measures"][0]
    if damage == "lost":
        del measure["value"]
    else:
        report["series"][0]["arms"][0]["measures"] = 7
    file.write_text(json.dumps(report))
    ran = run("report", *how, done)
    assert ran.code == 3
    assert f"{file}: is a damaged report" in ran.sentence
    assert "unexpected" not in ran.sentence


def test_damaged_pictures_are_one_sentence(run: Callable, done: Path) -> None:
    (done / "report-images.npz").write_bytes(b"nothing of the kind")
    ran = run("report", done)
    assert ran.code == 3
    assert "report-images.npz: is damaged" in ran.sentence
    (done / "report-images.npz").unlink()
    assert run("report", done).code == 0


def test_a_second_copy_does_not_name_the_folder_of_the_first(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "MUSTERMANN_ADAM", shape=SHAPE, slices=3)
    ct_series(tmp_path / "in" / "copy", shape=SHAPE, slices=3)
    for out, more in (("out", ()), ("shown", ("--identify",))):
        ran = run("denoise", tmp_path / "in", "-o", tmp_path / out, *NOISE, "--report", *more)
        assert ran.code == 0, ran.err
        report = (tmp_path / out / "report.json").read_text()
        assert json.loads(report)["skipped_files"][0]["code"] == "DUPLICATE"
        assert ("MUSTERMANN" in report) == bool(more)


def test_a_resumed_run_shows_the_whole_folder(run: Callable, done: Path, tmp_path: Path) -> None:
    first = json.loads((done / "report.json").read_text())["series"][0]
    ct_series(tmp_path / "DOE_JOHN" / "more", shape=SHAPE, slices=4, series="other")
    again = ("denoise", tmp_path / "DOE_JOHN", "-o", done, *NOISE, "--report", "--resume")
    assert run(*again).code == 0
    series = json.loads((done / "report.json").read_text())["series"]
    assert sorted(s["status"] for s in series) == ["denoised", "skipped"]
    assert next(s for s in series if s["status"] == "skipped")["arms"] == first["arms"]
    assert run(*again, "--overwrite").code == 0  # nothing is left to do, and nothing is lost
    assert {"report-1.html", "report-2.html"} <= {p.name for p in done.iterdir()}
    ran = run("report", "--cohort", done, "-o", tmp_path / "all")
    assert "2 series from 1 report" in ran.err


def test_the_page_of_an_earlier_report_lies_beside_it(run: Callable, done: Path, tmp_path: Path) -> None:
    source = tmp_path / "DOE_JOHN"
    assert run("denoise", source, "-o", done, *NOISE, "--report", "--resume").code == 0
    (done / "report-1.html").unlink()
    before = (done / "report.html").read_bytes()
    ran = run("report", done / "report-1.json")
    assert [Path(line).name for line in ran.lines] == ["report-1.csv", "report-1.html"]
    assert (done / "report.html").read_bytes() == before
    ran = run("report", "--cohort", done / "report-1.json", "-o", tmp_path / "all")
    assert "1 series from 1 report" in ran.err, ran.err
