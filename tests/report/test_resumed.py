"""The report of a resumed run holds the series of the runs before it, as those measured them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from scans import account, run_report

from medidiff.report import Images, read, views, with_earlier, write

OUTPUT = "4_Abdomen"


def resumed(**fields: Any) -> dict[str, Any]:
    """What a run says that found the output of the first series there, beside a new one before it."""
    report, _ = run_report()
    there = account(
        status="skipped", code="DONE", reason="its output is there already", model=None, sigma=None,
        sigma_text="", notes=[], seconds=0.0, clipped_pixels=0, patient=None,
    )  # fmt: skip
    first = account(label="another", outputs={"denoised": "5_Thorax"})
    return {**report, "models": [], "engines": [], "series": [first, there], **fields}


def folder(tmp_path: Path) -> Path:
    """A folder with an output and the report of the run that made it."""
    report, images = run_report()
    (tmp_path / OUTPUT).mkdir()
    write(tmp_path, report, images, overwrite=False, page=True)
    return tmp_path


def taken(out: Path, new: dict[str, Any]) -> tuple[dict[str, Any], Images]:
    return with_earlier(new, {}, out, [None, out / OUTPUT])


def test_figures_and_pictures_come_from_the_earlier_report(tmp_path: Path) -> None:
    out = folder(tmp_path)
    before, images = run_report()
    old, new = before["series"][0], resumed()
    report, pictures = taken(out, new)
    assert report["series"][0] == new["series"][0]
    series = report["series"][1]
    for key in ("arms", "nps", "flags", "pictures", "patient", "sigma_text", "model"):
        assert series[key] == old[key]
    assert (series["status"], series["code"], series["seconds"]) == ("skipped", "DONE", 0.0)
    note = "denoised and measured by an earlier run, 4 March 2025, 05:06 UTC: mode mean, steps 1"
    assert series["notes"][0].startswith(note)
    assert series["notes"][1:] == old["notes"]
    assert report["models"] == before["models"]
    assert pictures.keys() == {f"2/{key.removeprefix('1/')}" for key in images}
    assert all(np.array_equal(pictures[f"2/{key.removeprefix('1/')}"], images[key]) for key in images)
    page = views(report, pictures)["report.html"].decode()
    assert "1 denoised, 1 denoised earlier." in page
    assert page.count("<canvas") == views(before, images)["report.html"].decode().count("<canvas") > 0


def test_it_goes_from_one_resumed_run_to_the_next(tmp_path: Path) -> None:
    out = folder(tmp_path)
    write(out, *taken(out, resumed()), overwrite=False, page=True)
    twice, pictures = taken(out, resumed(settings={"mode": "natural"}))
    once, images = read(out)
    assert twice["series"][1] == once["series"][1]  # the note still tells the mode of the first run
    assert pictures.keys() == images.keys()


def test_a_run_without_a_page_in_between_loses_nothing(tmp_path: Path) -> None:
    out = folder(tmp_path)
    write(out, resumed(), {}, overwrite=False, page=False)
    assert taken(out, resumed())[0]["series"][1]["arms"]


def test_what_was_denoised_again_is_not_what_was_measured(tmp_path: Path) -> None:
    """By a run that made no page; and by one that was killed and left no report."""
    out = folder(tmp_path)
    again = {**resumed(), "series": [account()]}
    write(out, again, {}, overwrite=False, page=False)
    assert "arms" not in taken(out, resumed())[0]["series"][1]
    (out / "report.json").unlink()
    assert taken(out, resumed())[0]["series"][1]["arms"]
    later = (out / "report-1.json").stat().st_mtime + 3600
    os.utime(out / OUTPUT, (later, later))
    assert "arms" not in taken(out, resumed())[0]["series"][1]


def test_names_of_an_identified_report_stay_there(tmp_path: Path) -> None:
    report, images = run_report()
    (tmp_path / OUTPUT).mkdir()
    write(tmp_path, {**report, "identified": True}, images, overwrite=False, page=True)
    new = resumed()
    assert taken(tmp_path, new) == (new, {})


def test_a_damaged_report_is_left_alone(tmp_path: Path) -> None:
    out, new = folder(tmp_path), resumed()
    (out / "report-images.npz").write_bytes(b"no archive")
    assert taken(out, new) == (new, {})
