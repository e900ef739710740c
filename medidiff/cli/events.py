"""Events of a run, for programs that started it: JSON lines on stdout, and nothing else there.

``@medidiff {...}`` with an ``event``: hello, start, progress, warning, result, plan, report, error, done.
Paths of outputs are in them. Whoever reads them ignores other lines and unknown events.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff import __version__
from medidiff.cli.console import reader_gone
from medidiff.cli.lines import Lines
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
    """One JSON line on stdout, at once; it is ASCII, so that no locale can spoil it.

    Raises:
        BrokenPipeError: the program that reads the events has gone, and a run for it ends.
    """
    line = json.dumps({"event": event, **fields}, ensure_ascii=True, default=str)
    click.echo(f"@medidiff {line}")
    if reader_gone():
        raise BrokenPipeError(errno.EPIPE, "whoever read the events has gone")


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

    def rehearsed(self, code: int) -> None:
        """The last event of a run that does nothing."""
        emit("done", exit_code=code)

    def failed(self, error: MedidiffError) -> None:
        """An error before the first series."""
        emit("error", code=CODES[error.exit_code], **_words(error))
        emit("done", exit_code=error.exit_code)


def _words(error: MedidiffError) -> dict[str, str]:
    """What is wrong, and what to do about it, apart."""
    return {"text": error.sentence, "hint": error.hint or ""}
