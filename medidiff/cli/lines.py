"""Plain lines of a run: words for people on stderr, paths of outputs on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medidiff.errors import MedidiffError

if TYPE_CHECKING:
    from medidiff.batch import Account, Entry, Outcome
    from medidiff.denoise import Denoiser
    from medidiff.volume import Volume


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
            if self.verbose:
                click.echo(outcome.trace, err=True, nl=False)

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

    def rehearsed(self, code: int) -> None:
        """A run that does nothing is over."""

    def close(self) -> None:
        """Nothing more will be told, whatever happened."""

    def failed(self, error: MedidiffError) -> None:
        """The run did not start; the message itself is printed elsewhere."""
