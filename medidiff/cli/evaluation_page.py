"""The page of ``medidiff evaluate``, filled while its references are judged one after the other."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.options import command_line

if TYPE_CHECKING:
    from medidiff.batch.judging import Judged
    from medidiff.report import Names


class EvaluationPage:
    """The report, one reference after the other.

    Args:
        folder: where it is written.
        names: what files are called in it.
        slices: those that the user asked for, counted from 1.
    """

    def __init__(self, folder: Path, names: Names, slices: tuple[int, ...]) -> None:
        self.folder, self.names, self.slices = folder, names, slices
        self.started, self.clock = datetime.now(timezone.utc), time.monotonic()
        self.series: list[dict[str, Any]] = []
        self.images: Any = {}

    def add(self, judged: Judged) -> None:
        """One reference and what was compared with it."""
        from medidiff import report

        item = judged.pair.reference
        study = report.against(len(self.series) + 1, judged.truth, judged.arms, self.slices)
        series = {
            "label": item.label,
            "input": self.names.path(item.path),
            "patient": judged.patient,
            **study.content,
        }
        if item.kind == "dicom" and self.names.identify:
            series["identity"] = report.identity(item.files[0])
        tested = [test for test in judged.pair.tests if test is not None]
        for test, arm in zip(tested, series["arms"], strict=True):
            arm["input"] = self.names.path(test.path)
        self.series.append(series)
        self.images |= study.images

    def write(self, *, quiet: bool) -> None:
        """Writes it, and says where."""
        from medidiff import report

        seconds = time.monotonic() - self.clock
        head = report.head("evaluation", self.started, seconds, command_line(), self.names)
        whole = {**head, "models": [], "engines": [], "series": self.series, "skipped_files": []}
        made = report.write(self.folder, whole, self.images, overwrite=False, page=True)
        if not quiet:
            click.echo(f"medidiff: report: {made[-1]}", err=True)
