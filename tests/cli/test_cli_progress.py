"""The bar of a run on terminals of any width: how much is left is never what is cut off."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from medidiff.cli.progress import STAGE, Bar, _bar


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
@pytest.mark.parametrize(
    "label", ["[12/30] CT series 2 'Noise of 25% dose' (384x384x1200)", "[b]", "日本" * 30]
)
def test_count_stage_and_time_are_whole(monkeypatch: pytest.MonkeyPatch, width: int, label: str) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    bar, title = _bar(label, 12, STAGE)
    task = bar.add_task(title, total=12, stage="denoising")
    bar.update(task, completed=11)
    out = io.StringIO()
    Console(file=out, width=width).print(bar.get_renderable())
    (line,) = out.getvalue().splitlines()
    assert line.rstrip().endswith("11/12 denoising -:--:--")
    assert line.startswith(label[:2] if width < 60 else label[:8])
    assert (label in line) == (width == 200 or label == "[b]")


def test_a_count_without_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    bar, title = _bar("files", 7000)
    bar.add_task(title, total=7000, stage="")
    out = io.StringIO()
    Console(file=out, width=40).print(bar.get_renderable())
    assert out.getvalue().startswith("files ")
    assert out.getvalue().rstrip().endswith("0/7000 -:--:--")


class Terminal(io.StringIO):
    """What a terminal is sent."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("files", [3, 40])
def test_files_are_counted_and_the_cursor_comes_back(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Whether all were looked at or the search was stopped."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = Bar()
    for done in (1, 2, 3):
        bar.searching(done, files)
    bar.close()
    bar.close()
    sent = terminal.getvalue()
    assert "files" in sent
    assert f"/{files}" in sent
    assert sent.rfind("\x1b[?25h") > sent.rfind("\x1b[?25l") >= 0
