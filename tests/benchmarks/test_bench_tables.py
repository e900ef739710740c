"""Averages, tables, gates and plots on rows whose figures are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_toys import rows_of
from quality.averages import difference, mean, order_of_levels, select
from quality.case import CLEAN, NOISY
from quality.gates import MET, NOT_MEASURED, NOT_MET, gate_table, gates
from quality.ours import wrong
from quality.plots import unbeaten, write_plots
from quality.rows import Row
from quality.table import difference_table, quality_table

from medidiff.volume import HU_NAMES

BIAS = {f"bias_{t}": 0.5 for t in HU_NAMES}


def both(method: str, psnr: float, **figures: float) -> list[Row]:
    return [r for kind in (NOISY, CLEAN) for r in rows_of(method, psnr, kind, **{**BIAS, **figures})]


def verdicts(rows: list[Row], modality: str, word: str) -> set[str]:
    found = [g.verdict for g in gates(rows, modality, ["TV", "BM3D"]) if word in g.text]
    assert found, f"no gate about {word}"
    return set(found)


def test_means_are_over_patients_with_an_interval() -> None:
    rows = rows_of("TV", 30.0)
    rows += [r for r in rows_of("TV", 30.0, patients=1) for _ in range(20)]  # one patient has many slices
    found = mean(select(rows, NOISY, "10%", "TV"), "psnr")
    assert found.value == pytest.approx(31.05)
    assert (found.low, found.high) == pytest.approx((30.05, 32.05))  # of the three patients' means
    assert found.patients == 3


def test_differences_are_paired_on_the_cases_that_both_have() -> None:
    rows = rows_of("mean", 32.0) + rows_of("TV", 30.5, patients=2)
    found = difference(rows, NOISY, "25%", "mean", "TV", "psnr")
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.patients == 2
    assert difference(rows, NOISY, "25%", "mean", "BM3D", "psnr").value is None


def test_levels_are_ordered_by_number() -> None:
    assert order_of_levels(["25%", "9%", "100%", "9%"]) == ["9%", "25%", "100%"]


def test_the_quality_table_has_a_line_for_each_level_and_method() -> None:
    rows = both("TV", 30.0, ssim=0.9) + both("mean", 32.0, ssim=0.95)
    text = quality_table(rows, ["noisy", "TV", "mean"], {"TV": 211.0})
    lines = text.splitlines()
    assert len(lines) == 2 + 2 * 3 * 2
    assert lines[2].startswith(f"| {NOISY} | 10% | TV | 6 / 3 | 31.05 (")
    assert "0.900 (0.900 to 0.900)" in lines[2]
    assert lines[2].endswith("| 0.150 | 211 |")
    assert lines[3].endswith("| 0.150 | - |")
    assert len({line.count("|") for line in lines}) == 1


def test_the_difference_table_leaves_its_own_method_out() -> None:
    text = difference_table(rows_of("TV", 30.0) + rows_of("mean", 32.0), ["TV", "mean", "NLM"])
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == ["| TV"]
    assert "+2.00 (+2.00 to +2.00)" in text


@pytest.mark.parametrize(("lead", "verdict"), [(1.01, MET), (0.99, NOT_MET)])
def test_mean_must_lead_by_a_decibel(lead: float, verdict: str) -> None:
    rows = both("TV", 29.0) + both("BM3D", 30.0) + both("mean", 30.0 + lead)
    assert verdicts(rows, "ct", "`mean` at least 1 dB") == {verdict}


def test_a_missing_method_leaves_a_gate_open_or_failed() -> None:
    assert verdicts(both("TV", 29.0) + both("mean", 31.0), "ct", "`mean` at least 1 dB") == {NOT_MEASURED}
    assert verdicts(both("TV", 29.0) + both("mean", 29.5), "ct", "`mean` at least 1 dB") == {NOT_MET}


def test_one_bad_dose_fails_a_gate() -> None:
    rows = both("TV", 30.0) + both("BM3D", 29.0) + both("natural", 31.0)
    worse = [r for r in rows if not (r.method == "natural" and r.level == "10%")]
    worse += [r for r in both("natural", 30.2) if r.level == "10%"]
    assert verdicts(rows, "ct", "`natural` at least 0.3 dB") == {MET}
    assert verdicts(worse, "ct", "`natural` at least 0.3 dB") == {NOT_MET}


def test_a_trained_network_is_no_method_without_training() -> None:
    rows = both("TV", 30.0) + both("BM3D", 29.0) + both("mean", 32.0) + both("RED-CNN", 31.9)
    assert verdicts(rows, "ct", "`mean` at least 1 dB") == {MET}


@pytest.mark.parametrize(
    ("at_dose", "elsewhere", "verdict"),
    [(0.0, 0.5, MET), (-0.01, 0.5, NOT_MET), (0.2, -0.1, NOT_MET)],
)
def test_red_cnn_is_the_measure_at_its_dose_and_beaten_elsewhere(
    at_dose: float, elsewhere: float, verdict: str
) -> None:
    rows = both("RED-CNN", 30.0)
    rows += [r for r in both("mean", 30.0 + at_dose) if r.level == "25%"]
    rows += [r for r in both("mean", 30.0 + elsewhere) if r.level != "25%"]
    assert verdicts(rows, "ct", "RED-CNN") == {verdict}


@pytest.mark.parametrize(
    ("bias", "verdict"),
    [({}, MET), ({"bias_soft": -1.1}, NOT_MET), ({"bias_bone": 5.1}, NOT_MET), ({"bias_bone": -4.9}, MET)],
)
def test_bias_has_one_limit_in_soft_tissue_and_one_elsewhere(bias: dict[str, float], verdict: str) -> None:
    assert verdicts(both("mean", 30.0, **bias), "ct", "`mean`: bias") == {verdict}


def test_mr_gates_and_what_was_not_measured() -> None:
    rows = rows_of("mean", 31.0, psnr_tissue=30.0) + rows_of("BM4D", 30.0, psnr_tissue=30.5)
    rows += rows_of("DnCNN", 31.5, psnr_tissue=29.0)
    assert verdicts(rows, "mr", "BM4D, every level (noisy reference, whole slice)") == {MET}
    assert verdicts(rows, "mr", "BM4D, every level (noisy reference, tissue)") == {NOT_MET}
    assert verdicts(rows, "mr", "DnCNN, every level (noisy reference, whole slice)") == {NOT_MET}
    assert verdicts(rows, "mr", "DnCNN, every level (noisy reference, tissue)") == {MET}
    assert verdicts(rows, "mr", "dipy") == {NOT_MEASURED}
    partly = rows_of("mean", 31.0) + rows_of("BM4D", 30.0, levels=("10%",))
    assert verdicts(partly, "mr", "BM4D") == {NOT_MEASURED}
    assert "tissue PSNR dB" in quality_table(rows, ["mean"], {})
    assert "not measured" in gate_table(gates(partly, "mr", []))


def test_the_front_holds_what_nothing_beats_in_time_and_quality() -> None:
    points = [(1.0, 30.0), (0.1, 25.0), (2.0, 29.0), (0.1, 24.0), (5.0, 33.0)]
    assert unbeaten(points) == [(0.1, 25.0), (1.0, 30.0), (5.0, 33.0)]


def test_plots_are_written_for_each_kind(tmp_path: Path) -> None:
    rows = both("noisy", 20.0) + both("TV", 30.0) + both("mean", 32.0)
    names = ["noisy", "TV", "mean"]
    written = {p.name for p in write_plots(rows, names, "ct", tmp_path)}
    assert written == {"ct_noisy_time.png", "ct_noisy_level.png", "ct_nearly_time.png", "ct_nearly_level.png"}
    swept = [r for f in (0.5, 0.7, 1.4, 2.0) for r in rows_of(wrong("mean", f), 31.0)]
    more = {p.name for p in write_plots(rows + swept, names, "ct", tmp_path)}
    assert more - written == {"ct_noisy_sigma.png"}
    assert all((tmp_path / name).stat().st_size > 5000 for name in more)
