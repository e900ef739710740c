"""Reports on disk: earlier ones are kept, foreign files stay, and what is written is read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scans import run_report

from medidiff.errors import NoImageError, OutputError
from medidiff.report import JSON, check, read, views, write


def test_an_earlier_report_is_kept_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    report, images = run_report()
    out = tmp_path / "out"
    for k in range(3):
        written = write(out, {**report, "run": k}, images, overwrite=False, page=k < 2)
    assert [p.name for p in written] == ["report.json"]
    one = {"report-1.json", "report-1.csv", "report-1.html", "report-images-1.npz"}
    two = {name.replace("1", "2") for name in one}
    assert {p.name for p in out.iterdir()} == {"report.json"} | one | two
    for name, run in (("report-1.json", 0), ("report-2.json", 1), ("report.json", 2)):
        assert json.loads((out / name).read_text())["run"] == run
    write(out, {**report, "run": 9}, images, overwrite=True, page=False)
    assert json.loads((out / "report.json").read_text())["run"] == 9
    assert {p.name for p in out.iterdir()} == {"report.json"} | one | two
    earlier, stored = read(out / "report-2.json")
    assert earlier["run"] == 1
    assert stored.keys() == images.keys()


def test_pages_of_single_series_go_with_their_report(tmp_path: Path) -> None:
    report, images = run_report()
    for overwrite in (False, True):
        write(tmp_path, report, images, overwrite=False, page=True)
        (tmp_path / "report-series-1.html").write_text("a page of this report")
        (tmp_path / "report-series-mine.html").write_text("not medidiff's")
        write(tmp_path, report, images, overwrite=overwrite, page=True)
        kept = tmp_path / ("report-2-series-1.html" if overwrite else "report-1-series-1.html")
        assert kept.exists() is not overwrite
        assert not (tmp_path / "report-series-1.html").exists()
        assert (tmp_path / "report-series-mine.html").exists()


def test_a_page_of_the_replaced_report_goes_with_it(tmp_path: Path) -> None:
    report, images = run_report()
    write(tmp_path, report, images, overwrite=False, page=True)
    write(tmp_path, report, {}, overwrite=True, page=False)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_what_is_written_is_read_back_and_gives_the_same_page(tmp_path: Path) -> None:
    report, images = run_report()
    written = write(tmp_path, report, images, overwrite=False, page=True)
    assert [p.name for p in written] == ["report.json", "report-images.npz", "report.csv", "report.html"]
    again, stored = read(tmp_path)
    assert again == json.loads(json.dumps(report))
    assert all(np.array_equal(stored[key], image) for key, image in images.items())
    for name, text in views(again, stored).items():
        assert (tmp_path / name).read_bytes() == text


def test_a_report_without_its_images_still_makes_a_page(tmp_path: Path) -> None:
    report, images = run_report()
    write(tmp_path, report, images, overwrite=False, page=True)
    (tmp_path / "report-images.npz").unlink()
    page = views(*read(tmp_path))["report.html"].decode()
    assert "<canvas" not in page
    assert "Noise before" in page
    assert "pictures are not at hand" in page


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"tool": "other"}'])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_foreign_file_is_no_report(tmp_path: Path, text: str, overwrite: bool) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(OutputError, match="not a report"):
        check(tmp_path / JSON)
    with pytest.raises(OutputError, match="not a report"):
        write(tmp_path, {"tool": "medidiff"}, {}, overwrite=overwrite, page=False)
    with pytest.raises(NoImageError, match="no report"):
        read(tmp_path)
    assert path.read_text() == text


def test_a_report_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"tool": "medidiff", "format": 1}')
    with pytest.raises(NoImageError, match="format 1"):
        read(tmp_path)
    with pytest.raises(NoImageError, match="no report"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "flipped", "array"])
def test_damaged_images_are_named(tmp_path: Path, damage: str) -> None:
    report, images = run_report()
    write(tmp_path, report, images, overwrite=False, page=False)
    path = tmp_path / "report-images.npz"
    np.savez_compressed(path, **images)
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "array":
        np.save(path.with_suffix(".npy"), np.zeros(3))
        path.with_suffix(".npy").rename(path)
    else:
        path.write_bytes(
            {
                "garbage": b"no archive at all", "truncated": whole[:middle], "empty": b"",
                "flipped": whole[:200] + bytes(255 - b for b in whole[200:260]) + whole[260:],
            }[damage]
        )  # fmt: skip
    with pytest.raises(NoImageError, match=r"report-images\.npz: is damaged, so the pictures"):
        read(tmp_path)


@pytest.mark.parametrize(
    "part", ["kind", "series", "engines", "skipped_files", "versions", "models", "platform"]
)
def test_a_report_that_lacks_a_part_is_damaged(tmp_path: Path, part: str) -> None:
    report, _ = run_report()
    for wrong in ({k: v for k, v in report.items() if k != part}, {**report, part: 7}):
        (tmp_path / "report.json").write_text(json.dumps(wrong))
        with pytest.raises(NoImageError, match="damaged report|is not the report of"):
            read(tmp_path)


@pytest.mark.parametrize("series", [[7], [{}], [{"label": "x"}]])
def test_a_series_without_a_word_is_damaged(tmp_path: Path, series: list) -> None:
    report, _ = run_report()
    (tmp_path / "report.json").write_text(json.dumps({**report, "series": series}))
    with pytest.raises(NoImageError, match="series 1"):
        read(tmp_path)
