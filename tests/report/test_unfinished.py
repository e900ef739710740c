"""What a run found of each series lies on disk until a report holds it, and is found by a resumed run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scans import account, run_report

from medidiff.report import clear, keep, read, with_earlier, write

FOLDER = "report-unfinished"


def one(number: int, mode: str = "mean", **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The small report of one series of several; its output is there."""
    report, images = run_report()
    series = {**report["series"][0], "outputs": {"denoised": f"{number}_Abdomen"}, **fields}
    settings = {**report["settings"], "mode": mode}
    return {**report, "settings": settings, "series": [series]}, {
        f"{number}/{name.removeprefix('1/')}": image for name, image in images.items()
    }


def resumed(out: Path, *numbers: int, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report of a run that finds these outputs there."""
    report, _ = run_report()
    skipped = [
        account(status="skipped", code="DONE", outputs={"denoised": f"{k}_Abdomen"}, **fields)
        for k in numbers
    ]
    outputs = [out / f"{k}_Abdomen" for k in numbers]
    for path in outputs:
        path.mkdir(exist_ok=True)
    return with_earlier({**report, "series": skipped}, {}, out, outputs)


def test_each_series_is_found_in_its_place(tmp_path: Path) -> None:
    _, images = run_report()
    for number in (12, 7):
        keep(tmp_path, *one(number))
    report, pictures = resumed(tmp_path, 7, 9, 12)
    assert [bool(s.get("arms")) for s in report["series"]] == [True, False, True]
    assert pictures.keys() == {f"{k}/{name.removeprefix('1/')}" for k in (1, 3) for name in images}
    assert all(np.array_equal(image, images["1" + name[1:]]) for name, image in pictures.items())


def test_stacks_of_one_output_are_told_apart(tmp_path: Path) -> None:
    for stack in (1, 2):
        keep(tmp_path, *one(4, stack=[stack, 2], sigma_text=f"of {stack}"))
    report, _ = resumed(tmp_path, 4, stack=[2, 2])
    assert report["series"][0]["sigma_text"] == "of 2"


def test_what_is_kept_costs_no_more_the_more_there_is(tmp_path: Path) -> None:
    sizes = []
    for number in (1, 2, 3):
        before = {p: p.stat().st_ino for p in tmp_path.rglob("*.*")}
        keep(tmp_path, *one(number))
        new = [p for p in tmp_path.rglob("*.*") if before.get(p) != p.stat().st_ino]
        sizes.append(sum(p.stat().st_size for p in new))
    assert sizes[0] == sizes[1] == sizes[2] > 0


def test_a_series_that_is_denoised_again_has_the_new_figures(tmp_path: Path) -> None:
    """Newer than those of the report that was there before the run, and than those of another killed run."""
    report, images = one(4)
    write(tmp_path, report, images, overwrite=False, page=True)
    for mode in ("natural", "sample"):
        keep(tmp_path, *one(4, mode=mode))
    assert "mode sample" in resumed(tmp_path, 4)[0]["series"][0]["notes"][0]


def test_only_what_the_report_holds_goes(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        keep(tmp_path, *one(number))
    report, pictures = resumed(tmp_path, 1)
    write(tmp_path, report, pictures, overwrite=False, page=True)
    clear(tmp_path, report)
    assert len(list((tmp_path / FOLDER).iterdir())) == 4
    unmeasured, _ = run_report()
    now = account(outputs={"denoised": "2_Abdomen"})  # denoised again by a run without --report
    there = account(status="skipped", code="DONE", outputs={"denoised": "3_Abdomen"})
    clear(tmp_path, {**unmeasured, "series": [now, there]})
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    last, _ = resumed(tmp_path, 1, 3)
    assert all(s["arms"] for s in last["series"])
    clear(tmp_path, last)
    assert not (tmp_path / FOLDER).exists()


def test_what_else_lies_there_stays(tmp_path: Path) -> None:
    keep(tmp_path, *one(1))
    (tmp_path / FOLDER / "notes.txt").write_text("mine")
    part = tmp_path / FOLDER / ".medidiff-x.part"  # of a run that was killed while it wrote
    part.mkdir()
    os.utime(part, (0, 0))
    clear(tmp_path, one(1)[0])
    assert [p.name for p in (tmp_path / FOLDER).iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("extension", ["json", "npz"])
def test_half_a_file_is_left_alone(tmp_path: Path, extension: str) -> None:
    """As a machine that loses its power may leave one."""
    keep(tmp_path, *one(1))
    (file,) = (tmp_path / FOLDER).glob(f"*.{extension}")
    file.write_bytes(file.read_bytes()[:100])
    assert "arms" not in resumed(tmp_path, 1)[0]["series"][0]


def test_figures_of_an_output_that_was_made_later_are_not_taken(tmp_path: Path) -> None:
    keep(tmp_path, *one(1))
    (file,) = (tmp_path / FOLDER).glob("*.json")
    os.utime(file, (0, 0))
    assert "arms" not in resumed(tmp_path, 1)[0]["series"][0]


def test_names_of_an_identified_run_stay_there(tmp_path: Path) -> None:
    report, images = one(1)
    keep(tmp_path, {**report, "identified": True}, images)
    assert "arms" not in resumed(tmp_path, 1)[0]["series"][0]
    (file,) = (tmp_path / FOLDER).glob("*.json")
    assert read(file)[0]["identified"]
