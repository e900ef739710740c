"""The bar of a run on terminals of any width: how much is left is never what is cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from medidiff.cli.progress import STAGE, _bar


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
