"""What a run tells while it goes: a bar for people, JSON lines for programs, plain lines for logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.events import JsonLines, emit
from medidiff.cli.lines import Lines

if TYPE_CHECKING:
    from medidiff.batch import Entry, Outcome
    from medidiff.denoise import Denoiser
    from medidiff.volume import Volume


STAGE, TIME_LEFT, BAR, SHORTEST, MANY = len("denoising"), len("0:00:00"), 40, 6, 99999
"""Characters of the stage, the time left, the longest bar and the shortest; most steps, if nobody knows."""


def made(kind: str, path: Path) -> None:
    """What a verb made: a path on stdout, or for programs an event.

    Args:
        kind: the choice of ``--progress``.
        path: the output.
    """
    if choose(kind) == "jsonl":
        emit("result", path=str(path))
    else:
        click.echo(str(path))


def choose(kind: str) -> str:
    """``bar``, ``jsonl`` or ``none`` for a choice of the user: ``auto`` is a bar on a terminal only."""
    if kind != "auto":
        return kind
    return "bar" if sys.stderr.isatty() else "none"


class Bar(Lines):
    """Plain lines, and a bar with the time left while a series is worked on."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._bar: Any = None
        self._task: Any = None

    def searching(self, done: int, total: int) -> None:
        """Counts the files that were looked at: on a slow disk those of an archive take minutes."""
        if self._bar is None:
            self._bar, title = _bar("files", total)
            self._task = self._bar.add_task(title, total=total, stage="")
            self._bar.start()
        self._bar.update(self._task, completed=done)
        if done == total:
            self._end()

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """Starts the bar of a series."""
        super().begin(index, count, entry)
        self._end()
        if entry.decision != "planned":
            return
        number = f"[{index}/{count}] " if count > 1 else ""
        self._bar, title = _bar(number + entry.item.label, entry.item.shape[0], STAGE)
        self._task = self._bar.add_task(title, total=entry.item.shape[0], stage="")
        self._bar.start()

    def stage(self, text: str) -> None:
        """Shows the stage."""
        if self._bar is not None:
            self._bar.update(self._task, stage=text)

    def progress(self, done: int, total: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def ready(self, denoiser: Denoiser, volume: Volume) -> None:
        """Keeps lines out of the bar's way."""

    def finished(self, index: int, count: int, outcome: Outcome) -> None:
        """Ends the bar before anything else is printed."""
        self._end()
        super().finished(index, count, outcome)

    def close(self) -> None:
        """Ends the bar, which hides the cursor of the terminal."""
        self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar(label: str, total: int, stage: int = 0) -> tuple[Any, str]:
    """A bar on stderr, and the label as it fits before it: the time left is what people look for.

    Args:
        label: what is worked on; shortened where the terminal is narrow.
        total: steps in all.
        stage: characters for the stage.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    columns: list[Any] = [TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn()]
    if stage:
        columns.insert(2, TextColumn("{task.fields[stage]}"))
    room = console.width - TIME_LEFT - stage - 2 * len(str(total)) - len("/") - len(columns)
    length = min(room // 3, BAR)
    if length >= SHORTEST:
        columns.insert(1, BarColumn(length))
        room -= length + 1
    title = Text(label)
    title.truncate(max(room, SHORTEST), overflow="ellipsis")
    bar = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )  # fmt: skip
    return bar, escape(title.plain)


def reporter(kind: str, *, quiet: bool, verbose: bool) -> Lines:
    """The reporter for ``--progress``."""
    kinds: dict[str, type[Lines]] = {"bar": Bar, "jsonl": JsonLines, "none": Lines}
    return kinds["none" if quiet and kind == "auto" else choose(kind)](quiet=quiet, verbose=verbose)


@contextmanager
def counter(kind: str, label: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A simple count of steps, for verbs other than denoise.

    Args:
        kind: the choice of ``--progress``.
        label: what is counted.
        total: number of steps; None where nobody knows.
        quiet: no bar unless it was asked for by name.

    Yields:
        a function of (steps done, steps in all).
    """
    kind = "none" if quiet and kind == "auto" else choose(kind)
    if kind == "bar":
        bar, title = _bar(label, total or MANY)
        with bar:
            task = bar.add_task(title, total=total, stage="")
            yield lambda done, all_: bar.update(task, completed=done, total=all_)
    elif kind == "jsonl":
        yield lambda done, _: emit("progress", stage=label, done=done, total=total)
    else:
        yield lambda done, _: None
