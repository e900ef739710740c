"""The tables of medidiff evaluate on terminals of any width."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_scans import LARGE, body, ct_series, halved, patients

from medidiff.cli.columns import Column, print_columns

STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes rich see a terminal of so many columns."""

    def make(width: int) -> None:
        for name, value in {
            "TERM": "xterm", "FORCE_COLOR": "1", "COLUMNS": width, "LINES": 50,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, str(value))

    return make


def tables(text: str) -> str:
    """What is printed before the first sentence."""
    return re.split(r"(?m)^(?:Reference|Scan): ", STYLE.sub("", text))[0]


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_no_figure_of_a_comparison_is_cut(
    run: Callable, tmp_path: Path, terminal: Callable, width: int
) -> None:
    clean, noisy, half = halved(tmp_path)
    args = ("--reference", clean, "--test", f"a noisy one={noisy}", "--test", f"half={half}")
    content = json.loads(run("evaluate", *args, "--json", "-").out)
    terminal(width)
    shown = tables(run("evaluate", *args).out)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    for test in content["tests"]:
        assert f"{test['psnr']['mean']:.2f}" in words
        assert f"{test['ssim']['mean']:.4f}" in words
        assert f"{test['haarpsi']['mean']:.4f}" in words
        for b in test["hu_bias"]:
            assert b["bias"] is None or f"{b['bias']:+.2f}" in words
    for title in ("PSNR dB", "RMSE HU", "HaarPSI", "bias lung", "bias bone"):
        assert shown.count(title) == 1


@pytest.mark.parametrize("width", [150, 80, 60, 40])
def test_no_interval_of_a_cohort_is_cut(
    run: Callable, tmp_path: Path, terminal: Callable, width: int
) -> None:
    truth, noisy, half = (patients(tmp_path / name, k) for name, k in (("t", 0), ("n", 8), ("h", 4)))
    args = ("--reference", truth, "--test", f"noisy={noisy}", "--test", f"half={half}")
    content = json.loads(run("evaluate", *args, "--json", "-").out)
    terminal(width)
    shown = tables(run("evaluate", *args).out)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for summary in content["cohort"]["summaries"]:
        if summary["metric"] == "SSIM":
            p = summary["per_patient"]
            assert f"{p['value']:.4f} [{p['low']:.4f}, {p['high']:.4f}]" in shown


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_change_is_cut(run: Callable, tmp_path: Path, terminal: Callable, width: int) -> None:
    scan = ct_series(tmp_path / "s", slices=3, stored=body(3, LARGE, sd=25.0))
    terminal(width)
    shown = tables(run("evaluate", "--scan", scan, "--test", scan).out)
    assert max(map(len, shown.splitlines())) <= width
    for title in ("noise before HU", "after HU", "left", "NPS shift", "structure removed", "flagged slices"):
        assert shown.count(title) == 1
    assert "100%" in shown.split()


def test_a_terminal_narrower_than_a_figure_still_gets_it_whole(
    terminal: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(20)
    print_columns("test", ["a long name"], [[Column("SSIM", ("0.1234 [0.1200, 0.1300]",))]])
    assert "0.1234 [0.1200, 0.1300]" in STYLE.sub("", capsys.readouterr().out)


def test_names_are_no_markup(terminal: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(80)
    print_columns("test", ["[bold]a"], [[Column("SSIM", ("0.5",))]])
    assert "[bold]a" in capsys.readouterr().out
