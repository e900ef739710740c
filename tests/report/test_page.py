"""The page from the outside: it is parsed, and every number on it is looked up in report.json."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from parsed import Page, agrees
from scans import evaluation_report, run_report, volumes

from medidiff.evaluation import compare, reliability, removed_noise
from medidiff.report import ArmFigures, against, alone, run_page
from medidiff.report.panels import show
from medidiff.report.table import COLUMNS, table

REPORTS = {"run": run_report, "evaluation": evaluation_report}


@pytest.mark.parametrize("kind", REPORTS)
def test_numbers_on_the_page_are_those_of_the_report(kind: str) -> None:
    report, images = REPORTS[kind]()
    report = json.loads(json.dumps(report, allow_nan=False))
    page = Page(run_page(report, images))
    assert agrees(page, report) > 20


def test_every_measure_is_on_the_page_with_its_protocol() -> None:
    report, images = run_report()
    page = Page(run_page(report, images))
    shown = {at for at, *_ in page.numbers}
    for k, m in enumerate(report["series"][0]["arms"][0]["measures"]):
        assert f"/series/0/arms/0/measures/{k}/value" in shown
        assert m["protocol"].rstrip(".")[1:] in page.text


def test_a_volume_that_was_looked_at_in_three_planes_says_so() -> None:
    report, images = run_report()
    assert report["series"][0]["planes"] == 3
    assert "looked at in 3 planes" in Page(run_page(report, images)).text
    report["series"][0]["planes"] = 1
    assert "planes" not in Page(run_page(report, images)).text


def test_noise_figures_are_those_of_an_independent_recomputation() -> None:
    report, _ = run_report()
    truth, scan, result = volumes()
    by_key = {m["key"]: m for m in report["series"][0]["arms"][0]["measures"]}
    disc = truth.array[0] == 40.0
    assert by_key["noise_before"]["value"] == pytest.approx(
        (scan.array - truth.array)[:, disc].std(), rel=0.15
    )
    removed = (scan.array - result.volume.array)[np.arange(7) != 2][:, disc]
    assert by_key["removed_ratio"]["value"] == pytest.approx(
        removed.std() / by_key["noise_before"]["value"], rel=0.1
    )
    assert {f["slice"] for f in report["series"][0]["flags"] if f["slice"]} == {3}  # the lost organ


def test_figures_against_the_truth_are_those_of_an_independent_recomputation() -> None:
    report, _ = evaluation_report()
    truth, _, result = volumes()
    by_key = {m["key"]: m for m in report["series"][0]["arms"][1]["measures"]}
    error = np.clip(result.volume.array, -1024, 1900).astype(float) - truth.array
    assert by_key["rmse"]["value"] == pytest.approx(
        np.mean([np.sqrt(np.mean(e**2)) for e in error]), rel=1e-5
    )
    assert by_key["psnr"]["per_slice"][2] == min(by_key["psnr"]["per_slice"])
    assert report["series"][0]["pictures"]["slices"][-1]["why"] != []


@pytest.mark.parametrize("kind", REPORTS)
def test_the_page_needs_nothing_from_outside(kind: str) -> None:
    html = run_page(*REPORTS[kind]())
    page = Page(html)
    assert "default-src 'none'" in next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    for tag in ("link", "iframe", "object", "embed", "base", "form"):
        assert not page.all(tag)
    for tag, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attrs.get(name))
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html


@pytest.mark.parametrize("kind", REPORTS)
def test_the_page_is_accessible_in_its_structure(kind: str) -> None:
    page = Page(run_page(*REPORTS[kind]()))
    assert page.all("html")[0]["lang"] == "en"
    assert (
        len(page.all("main"))
        == len(page.all("h1"))
        == len(page.all("header"))
        == len(page.all("footer"))
        == 1
    )
    assert all(attrs.get("alt") for attrs in page.all("img"))
    assert all("scope" in attrs for attrs in page.all("th"))
    assert all(attrs.get("aria-label") for attrs in page.all("nav"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.all("a"):
        assert attrs["href"].removeprefix("#") in ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-4]", tag)]
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    plots = [attrs for tag, attrs in page.tags if tag == "figure" and "plot" in attrs.get("class", "")]
    assert len(plots) >= 4
    assert all(attrs["aria-label"] for attrs in plots)


def test_the_shift_of_the_spectrum_is_that_of_the_mean_frequencies_that_are_printed() -> None:
    report, images = run_report()
    series = report["series"][0]
    before, after, _ = (c["noise_frequency"] for c in series["nps"]["curves"])
    shift = next(m for m in series["arms"][0]["measures"] if m["key"] == "nps_shift")
    assert shift["value"] == pytest.approx(100 * (after / before - 1))
    assert "above 1.2 lp/cm" in shift["protocol"]
    text = Page(run_page(report, images)).text
    assert f"Mean frequency above 1.2 lp/cm: before {before:.2f}; after {after:.2f}" in text


def test_removed_noise_and_coverage_are_figures_like_the_others() -> None:
    truth, scan, result = volumes()
    removed = removed_noise(truth, scan, result.volume)
    assert result.uncertainty is not None
    covered = reliability(truth.array, result.volume.array, result.uncertainty)
    compared = compare(truth, result.volume)
    study = against(1, truth, [ArmFigures("denoised", result.volume, compared, covered, removed)])
    by_key = {m["key"]: m for m in study.content["arms"][0]["measures"]}
    assert by_key["removed_noise"]["value"] == removed.ratio
    assert by_key["coverage_90"]["value"] == 100 * covered.coverage_90
    assert len(by_key["coverage_90"]["per_slice"]) == 7
    rows = [*csv.DictReader(io.StringIO(table({"series": [{"label": "a", **study.content}]})))]
    assert [r["value"] for r in rows if r["measure"] == "removed_noise"] == [repr(removed.ratio)]


@pytest.mark.parametrize(("kind", "told"), [("run", "Mean change, HU"), ("evaluation", "Mean error, HU")])
def test_a_mean_of_a_tissue_is_a_change_or_an_error(kind: str, told: str) -> None:
    text = Page(run_page(*REPORTS[kind]())).text
    assert [words for words in ("Mean change, HU", "Mean error, HU") if words in text] == [told]


def test_the_table_has_the_interval_that_the_page_draws() -> None:
    report, _ = run_report()
    soft = next(b for b in report["series"][0]["arms"][0]["tissue"]["bins"] if b["name"] == "soft")
    row = next(r for r in csv.DictReader(io.StringIO(table(report))) if r["measure"] == "tissue_soft")
    assert float(row["high"]) - float(row["low"]) == pytest.approx(2 * 1.96 * soft["error"])
    assert float(row["value"]) == soft["value"]


def test_text_from_files_is_no_markup() -> None:
    html = run_page(*run_report())
    assert "<b>Abdomen</b>" not in html
    assert "&lt;b&gt;Abdomen&lt;/b&gt;" in html


def test_the_page_tells_what_when_how_and_what_went_wrong() -> None:
    text = " ".join(Page(run_page(*run_report())).text.split())
    for part in (
        "Research use only. Not a medical device.", "4 March 2025, 05:06 UTC", "1 denoised, 1 refused",
        "ct 1.0", "openvino, float32", "mean (posterior mean)", "Is PET, for which there is no model",
        "Metadata that accompanies an image", "a.json and 1 more", "medidiff denoise", "Training data",
        "Context is taken 2 slices away", "Slice 3 of 7", "3 pixels did not fit", "4_Abdomen",
    ):  # fmt: skip
        assert part.lower() in text.lower(), part


def test_a_page_of_one_series() -> None:
    report, images = run_report()
    page = Page(run_page(report, images, 2))
    assert "1 of 2" not in page.text
    assert not page.all("canvas")
    assert page.all("h1")
    assert "No series was measured" in page.text


def test_pictures_fit_the_room_and_the_page_says_what_is_left_out() -> None:
    report, images = run_report()
    series = report["series"][0]
    sizes = []
    for room in (10**9, 120_000, 60_000, 10):
        shown = show(1, series, images, room)
        assert shown is not None
        sizes.append(shown.size)
        assert bool(shown.left_out) == (room < 10**9)
        assert shown.size <= room or room == 10
    assert sizes == sorted(sizes, reverse=True)
    assert show(2, series, images, 10**9) is None


def test_an_arm_stands_beside_the_other() -> None:
    report, images = evaluation_report(("quarter dose", "denoised"))
    text = " ".join(Page(run_page(report, images)).text.split())
    assert "quarter dose minus reference" in text
    assert re.search(r"quarter dose 2\d\.\d\d 0\.\d{4}", text)
    assert re.search(r"denoised 4\d\.\d\d 0\.\d{4}", text)
    assert "the 90 % interval covers" in text.replace("\u202f", " ")


def test_the_table_has_every_value_once() -> None:
    report, _ = run_report()
    rows = list(csv.reader(io.StringIO(table(report))))
    assert tuple(rows[0]) == COLUMNS
    found = {(r[2], r[3], r[4]): r for r in rows[1:] if r[0] == "1"}
    assert len(found) == len([r for r in rows[1:] if r[0] == "1"])
    for m in report["series"][0]["arms"][0]["measures"]:
        row = found["denoised", m["key"], ""]
        assert (float(row[5]) if row[5] else None) == m["value"]
        assert row[8:] == [m["unit"], m["protocol"]]
        for k, value in enumerate(m["per_slice"], start=1):
            cell = found["denoised", m["key"], str(k)][5]
            assert (float(cell) if cell else None) == value
    refused: list[Any] = [r for r in rows if r[0] == "2"]
    assert [r[3] for r in refused] == ["refused"]
    assert "PET" in refused[0][9]


def test_the_place_of_a_flag_is_that_on_the_slice_as_it_is_shown() -> None:
    """MR: both axes of the small scan run the other way than they are shown."""
    _, scan, result = volumes("MR")
    content = alone(1, scan, result).content
    flag = next(f for f in content["flags"] if f["kind"] == "structure")
    marks = next(s["marks"] for s in content["pictures"]["slices"] if s["number"] == flag["slice"])
    row, column, side = flag["square"]
    assert [row, column, side] in marks
    assert f"columns {column + 1} to {column + side}, rows {row + 1} to {row + side}" in flag["text"]
    organ = (72, 56)  # its centre as shown is row 88, column 104: turned by half a turn
    assert abs(row + side / 2 - (160 - organ[0])) < 40
    assert abs(column + side / 2 - (160 - organ[1])) < 40
