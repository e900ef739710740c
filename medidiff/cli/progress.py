"""What a run tells while it goes: a bar for people, JSON lines for programs, plain lines for logs.

Words for people go to stderr, and output paths to stdout. For programs stdout carries JSON lines and nothing
else, and the paths are in them: ``@medidiff {...}`` with an ``event``: hello, start, progress, warning,
result, plan, report, error, done. Whoever reads them ignores other lines and unknown events.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff import __version__
from medidiff.errors import MedidiffError

if TYPE_CHECKING:
    from medidiff.batch import Account, Entry, Outcome
    from medidiff.denoise import Denoiser
    from medidiff.volume import Volume

PROTOCOL = 1
"""Version of the JSON lines."""

CODES = {
    1: "failed", 2: "usage", 3: "no_image", 4: "some_failed", 5: "refused", 6: "cancelled",
    7: "model_or_engine", 8: "out_of_memory",
}  # fmt: skip
"""Exit codes as words, in error events."""

EVERY_SECONDS = 0.2
"""At most this often does a JSON line tell the progress."""


def emit(event: str, **fields: Any) -> None:
    """One JSON line on stdout, at once; it is ASCII, so that no locale can spoil it."""
    line = json.dumps({"event": event, **fields}, ensure_ascii=True, default=str)
    click.echo(f"@medidiff {line}")


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


class Lines:
    """Plain lines: what became of each series.

    Args:
        quiet: errors only.
        verbose: more detail.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self._label = ""
        self._last = Path()

    def _print(self, path: Path) -> None:
        """An output path on stdout, once: the stacks of a series have one output."""
        if path != self._last:
            click.echo(str(path))
        self._last = path

    def planned(self, path: Path) -> None:
        """An output that a run would make."""
        click.echo(str(path))

    def say(self, text: str) -> None:
        """A line, unless quiet."""
        if not self.quiet:
            click.echo(f"medidiff: {text}", err=True)

    def searching(self, done: int, total: int) -> None:
        """Files looked at."""

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """A series starts."""
        self._label = entry.item.label

    def stage(self, text: str) -> None:
        """A series goes on."""

    def ready(self, denoiser: Denoiser, volume: Volume) -> None:
        """Model and scan are in memory."""
        if self.verbose:
            bundle, engine = denoiser.bundle, denoiser.engine
            self.say(
                f"{self._label}: model {bundle.name} {bundle.version} ({bundle.licence}), "
                f"{engine.name} {engine.precision} on {engine.device}"
            )

    def progress(self, done: int, total: int) -> None:
        """Slices done."""

    def finished(self, index: int, count: int, outcome: Outcome) -> None:
        """A series is over: its paths on stdout, what to know on stderr."""
        label = outcome.item.label
        if outcome.status == "denoised":
            for path in reversed(list((outcome.outputs or {}).values())):
                self._print(path)
            how = f"noise level {outcome.sigma_text}" if outcome.model else "strength 0, the scan itself"
            self.say(f"{label}: {how}, {outcome.seconds:.1f} s")
            for note in outcome.notes:
                self.say(f"{label}: note: {note}")
        elif outcome.status == "skipped":
            self.say(f"skipped: {label}: {outcome.reason}")
        elif outcome.status != "cancelled":
            click.echo(f"medidiff: error: {outcome.reason}", err=True)
            if self.verbose and outcome.error is not None:
                import traceback

                traceback.print_exception(outcome.error)

    def reported(self, files: Sequence[Path]) -> None:
        """The report is written."""
        if len(files) > 1:
            self.say(f"report: {files[-1]}")

    def written(self, path: Path, files: Sequence[Path], notes: Sequence[str]) -> None:
        """A verb other than denoise has made its only output."""
        click.echo(str(path))
        for note in notes:
            self.say(f"note: {note}")

    def over(self, account: Account) -> None:
        """The run is over."""
        if account.cancelled:
            click.echo("medidiff: error: Cancelled; nothing is half-written.", err=True)
        elif len(account.outcomes) > 1:
            counts = {s: account.count(s) for s in ("denoised", "skipped", "refused", "failed")}
            self.say(f"series: {', '.join(f'{n} {status}' for status, n in counts.items() if n)}")

    def failed(self, error: MedidiffError) -> None:
        """The run did not start; the message itself is printed elsewhere."""


class Bar(Lines):
    """Plain lines, and a bar with the time left while a series is worked on."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._bar: Any = None
        self._task: Any = None

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """Starts the bar of a series."""
        super().begin(index, count, entry)
        self._end()
        if entry.decision != "planned":
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[stage]}"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        number = f"[{index}/{count}] " if count > 1 else ""
        title, slices = escape(number + entry.item.label), entry.item.shape[0]
        self._task = self._bar.add_task(title, total=slices, stage="")
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

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class JsonLines(Lines):
    """Events for a program that started the run."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(quiet=True, verbose=False)
        self._series: dict[str, Any] = {}
        self._clock = self._told = 0.0
        emit("hello", version=__version__, protocol=PROTOCOL)

    def planned(self, path: Path) -> None:
        """A plan event."""
        emit("plan", path=str(path))

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """Remembers the series for the events to come."""
        super().begin(index, count, entry)
        self._series = {"series": index, "of": count}
        self._clock = time.monotonic()

    def stage(self, text: str) -> None:
        """A progress event without a fraction."""
        emit("progress", **self._series, stage=text)
        self._clock = time.monotonic()

    def ready(self, denoiser: Denoiser, volume: Volume) -> None:
        """The start event."""
        bundle, engine = denoiser.bundle, denoiser.engine
        emit(
            "start", **self._series, label=self._label, shape=list(volume.array.shape), device=engine.device,
            engine=engine.name, precision=engine.precision, model=bundle.name, sha256=bundle.sha256,
            licence=bundle.licence,
        )  # fmt: skip

    def progress(self, done: int, total: int) -> None:
        """A progress event, a few a second."""
        now = time.monotonic()
        if done < total and now - self._told < EVERY_SECONDS:
            return
        self._told = now
        left = (now - self._clock) * (total - done) / max(done, 1)
        fraction = round(done / max(total, 1), 4)
        emit("progress", **self._series, stage="denoising", fraction=fraction, eta_s=round(left, 1))

    def finished(self, index: int, count: int, outcome: Outcome) -> None:
        """A result, warning or error event."""
        series = {"series": index, "of": count}
        for note in outcome.notes:
            emit("warning", **series, code=getattr(note, "code", "note"), text=note)
        if outcome.status == "denoised":
            outputs = {k: str(v) for k, v in (outcome.outputs or {}).items()}
            stats = {
                "sigma": outcome.sigma, "sigma_text": outcome.sigma_text, "evaluations": outcome.evaluations,
                "seconds": round(outcome.seconds, 3), "clipped": outcome.clipped,
            }  # fmt: skip
            derivation = None if outcome.derivation is None else outcome.derivation.as_dict()
            emit(
                "result", **series, path=outputs.get("denoised"), outputs=outputs, stats=stats,
                derivation=derivation,
            )  # fmt: skip
        elif outcome.status == "skipped":
            emit("warning", **series, code="skipped", text=outcome.reason)
        elif outcome.status != "cancelled":
            words = {"text": outcome.reason, "hint": ""}
            if isinstance(outcome.error, MedidiffError):
                words = _words(outcome.error)
            emit("error", **series, code=CODES[outcome.exit_code], **words)

    def reported(self, files: Sequence[Path]) -> None:
        """A report event: the files, report.json first."""
        emit("report", files=[str(path) for path in files])

    def written(self, path: Path, files: Sequence[Path], notes: Sequence[str]) -> None:
        """A result event with all files, and the last event."""
        for note in notes:
            emit("warning", code=getattr(note, "code", "note"), text=note)
        emit("result", path=str(path), files=[str(file) for file in files])
        emit("done", exit_code=0)

    def over(self, account: Account) -> None:
        """The last event."""
        if account.cancelled:
            emit("error", code="cancelled", text="Cancelled; nothing is half-written.", hint="")
        emit("done", exit_code=account.exit_code)

    def failed(self, error: MedidiffError) -> None:
        """An error before the first series."""
        emit("error", code=CODES[error.exit_code], **_words(error))
        emit("done", exit_code=error.exit_code)


def _words(error: MedidiffError) -> dict[str, str]:
    """What is wrong, and what to do about it, apart."""
    return {"text": error.sentence, "hint": error.hint or ""}


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
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(
            *columns, console=Console(stderr=True), transient=True,
            redirect_stdout=False, redirect_stderr=False,
        ) as bar:  # fmt: skip
            task = bar.add_task(escape(label), total=total)
            yield lambda done, all_: bar.update(task, completed=done, total=all_)
    elif kind == "jsonl":
        yield lambda done, _: emit("progress", stage=label, done=done, total=total)
    else:
        yield lambda done, _: None
