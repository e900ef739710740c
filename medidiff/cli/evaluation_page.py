"""The page of ``medidiff evaluate``, filled while its references are judged one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
        called: what each test is called in it, by its name on the terminal.
    """

    def __init__(
        self,
        folder: Path,
        names: Names,
        slices: tuple[int, ...],
        called: Mapping[str, str],
    ) -> None:
        self.folder, self.names, self.slices, self.arms = folder, names, slices, called
        self.started, self.clock = datetime.now(timezone.utc), time.monotonic()
        self.series: list[dict[str, Any]] = []
        self.images: Any = {}
        self.remarks: list[str] = []
        self.cohort: dict[str, Any] | None = None

    def add(self, judged: Judged) -> None:
        """One reference and what was compared with it."""
        from medidiff import report

        item = judged.pair.reference
        arms = [replace(arm, name=self.arms[arm.name]) for arm in judged.arms]
        study = report.against(len(self.series) + 1, judged.truth, arms, self.slices)
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
        self.remarks += [f"{item.label}: {note}" for note in study.content["notes"]]
        self.series.append(series)
        self.images |= study.images

    def write(self, *, quiet: bool) -> None:
        """Writes it, and says where."""
        from medidiff import report

        seconds = time.monotonic() - self.clock
        head = report.head("evaluation", self.started, seconds, command_line(), self.names)
        whole = {**head, "models": [], "engines": [], "series": self.series, "skipped_files": []}
        if self.cohort is not None:
            whole["cohort"] = self.cohort
        made = report.write(self.folder, whole, self.images, overwrite=False, page=True)
        if not quiet:
            for remark in self.remarks:
                click.echo(f"medidiff: note: {remark}", err=True)
            click.echo(f"medidiff: report: {made[-1]}", err=True)


def arm_names(tests: Sequence[tuple[str | None, Path]], names: Names) -> dict[str, str]:
    """What the tests are called in files: as the user did, else as a report calls their paths.

    Args:
        tests: name, if any, and path.
        names: what paths are called.

    Returns:
        by the name on the terminal.
    """
    from medidiff.report import hashed

    shown = shown_names(tests)
    if names.identify:
        return dict(zip(shown, shown, strict=True))
    found = [name or names.path(path) for name, path in tests]
    return {
        at: called if name or found.count(called) == 1 else f"{called} {hashed(str(path.absolute()))}"
        for at, called, (name, path) in zip(shown, found, tests, strict=True)
    }


def shown_names(tests: Sequence[tuple[str | None, Path]]) -> list[str]:
    """What the scans are called: the names given, or names of files that tell them apart.

    Raises:
        UsageError: two tests would have one name.
    """
    from medidiff.errors import UsageError

    names = [name or path.name or str(path) for name, path in tests]
    if len(set(names)) < len(names):
        names = [name or str(path) for name, path in tests]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(
            "Two tests have one name",
            received=", ".join(f"{name}={path}" for name, (_, path) in zip(names, tests, strict=True)
                               if name in twice),
            hint="Give each --test a name of its own, as in --test noisy=a/ --test denoised=b/.",
        )  # fmt: skip
    return names
