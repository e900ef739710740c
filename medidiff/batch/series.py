"""One source series on its way: its stacks are denoised one by one and come back as one derived series."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from medidiff import scratch
from medidiff.batch.account import Outcome
from medidiff.batch.failures import cancelled_outcome, failed, left_out, let_go, unexpected
from medidiff.batch.headers import copied, derivation_of
from medidiff.batch.planning import Entry, Plan, suits
from medidiff.batch.pool import Pool
from medidiff.batch.roi import bounds_of
from medidiff.denoise import Denoiser, Result, Settings
from medidiff.errors import CancelledError, MedidiffError, RefusedError, UsageError
from medidiff.evaluation.compare import check_same_grid
from medidiff.io import Derivation, Reason, SeriesItem, open_output, read
from medidiff.io.output import Output
from medidiff.report import Study, alone
from medidiff.volume import Volume


class Observer(Protocol):
    """What watches a run: a progress bar, a log, a machine."""

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """Series `index` of `count` starts, counted from 1."""

    def stage(self, text: str) -> None:
        """The current series goes into its next stage: reading, denoising, writing, measuring."""

    def ready(self, denoiser: Denoiser, volume: Volume) -> None:
        """Model and scan of the current series are in memory."""

    def progress(self, done: int, total: int) -> None:
        """Slices done of the current series."""

    def finished(self, index: int, count: int, outcome: Outcome) -> None:
        """Series `index` of `count` is over."""


@dataclass(frozen=True, eq=False)
class _Done:
    """A denoised stack that is yet to be written."""

    result: Result
    derivation: Derivation
    model: str | None


class SeriesRun:
    """One source series on its way: its stacks are denoised one by one and come back as one series."""

    def __init__(
        self, plan: Plan, pool: Pool, observer: Observer, cancelled: Callable[[], bool], first: int
    ) -> None:
        self._plan, self._pool, self._observer, self._cancelled = plan, pool, observer, cancelled
        self._first = first
        self._outputs: dict[str, Output] = {}

    def all(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Denoises every stack, whatever happens; nothing is written if writing fails or is cancelled."""
        outcomes: list[Outcome] = []
        try:
            with ExitStack() as undo:
                for index, entry in enumerate(entries, start=self._first):
                    self._observer.begin(index, len(self._plan.entries), entry)
                    outcomes.append(
                        self._stack(index, entry, undo) if entry.decision == "planned" else left_out(entry)
                    )
                self._check()
        except CancelledError as error:
            let_go(error)
            return [cancelled_outcome(e, error) if e.decision == "planned" else left_out(e) for e in entries]
        except Exception as error:  # of writing: it concerns every stack of the series
            now = [failed(e, error) if e.decision == "planned" else left_out(e) for e in entries]
            let_go(error)
            kept = [o for o in outcomes if o.status in ("refused", "failed")]
            return [next((o for o in kept if o.item is new.item), new) for new in now]
        return outcomes

    def _stack(self, number: int, entry: Entry, undo: ExitStack) -> Outcome:
        """Denoises one stack; what goes wrong before writing concerns this stack alone."""
        clock = time.monotonic()
        try:
            volume, done = self._result(entry)
        except CancelledError:
            raise
        except Exception as error:  # a bug or an odd file must not cost the user the other series
            outcome = failed(entry, error)
            let_go(error)
            return replace(outcome, seconds=time.monotonic() - clock)
        self._observer.stage("writing")
        request, notes = self._plan.request, [*entry.notes, *done.result.notes]
        written: dict[str, Path] = {}
        clipped = 0
        for suffix in request.suffixes:
            self._check()
            image = _output(suffix, volume, done.result)
            if image is None:
                notes.append(f"no {suffix} map: mode {request.settings.mode} gave none")
                continue
            new = self._output(suffix, entry.item, undo).add(image, done.derivation)
            written[suffix] = new.path
            clipped += new.clipped
            notes += new.notes
        result, seconds = done.result, time.monotonic() - clock
        study = self._study(number, entry, volume, result, notes) if request.page else None
        return Outcome(
            entry.item, "denoised", "", written, done.model, result.sigma, result.sigma_text,
            result.evaluations, seconds=seconds, clipped=clipped, notes=tuple(dict.fromkeys(notes)),
            study=study, derivation=done.derivation,
        )  # fmt: skip

    def _study(
        self, number: int, entry: Entry, volume: Volume, result: Result, notes: list[str]
    ) -> Study | None:
        """The figures and pictures of the report; where they cannot be had, a note says so."""
        self._check()
        self._observer.stage("measuring")
        try:
            found = alone(number, volume, result, self._plan.request.slices)
        except Exception as error:  # the denoised scan is written and good
            what = error if isinstance(error, MedidiffError) else unexpected(error, entry)
            notes.append(f"no figures for the report: {what}")
            return None
        notes += found.notes
        return found

    def _result(self, entry: Entry) -> tuple[Volume, _Done]:
        """Reads and denoises one stack."""
        self._check()
        self._observer.stage("reading")
        volume = read(entry.item)
        request = self._plan.request
        if request.copies:
            return volume, _Done(Result(volume), copied(request), None)
        modality = entry.modality if entry.modality != "OT" else volume.modality
        model = entry.model or _model_for(volume, entry)
        volume = volume.taken_as(suits(entry.item, modality, model, self._pool))
        self._check()
        denoiser = self._pool.denoiser(model)
        settings = _with_map(request.settings, self._plan.sigma_map, volume)
        if request.roi is not None:
            settings = replace(settings, roi=bounds_of(entry.item, request.roi))
        if request.page and settings.mode != "sample":
            settings = replace(settings, uncertainty=True)  # costs nothing there, and the page shows it
        self._observer.ready(denoiser, volume)
        self._observer.stage("denoising")
        result = denoiser.run(volume, settings, self._observer.progress, self._cancelled)
        derivation = derivation_of(denoiser, settings, result, request)
        return volume, _Done(result, derivation, denoiser.bundle.name)

    def _output(self, suffix: str, item: SeriesItem, undo: ExitStack) -> Output:
        """The open output of a suffix; they are put in their places in the reverse order of opening."""
        if not self._outputs:
            request = self._plan.request
            for name in reversed(request.suffixes):
                self._outputs[name] = undo.enter_context(
                    open_output(item, request.out_dir, request.options(name))
                )
        return self._outputs[suffix]

    def _check(self) -> None:
        if self._cancelled():
            raise CancelledError("Cancelled; nothing is half-written")


def _model_for(volume: Volume, entry: Entry) -> str:
    """The shipped model for a file that did not tell its modality."""
    if volume.modality == "CT":
        return "ct"
    raise RefusedError(
        "cannot tell whether this is CT or MR", where=entry.item.path,
        hint="Say which: --modality ct or --modality mr.", code=Reason.UNKNOWN_MODALITY.name,
    )  # fmt: skip


def _with_map(settings: Settings, sigma_map: Volume | None, volume: Volume) -> Settings:
    """The settings with the noise map, if it lies on the grid of the scan."""
    if sigma_map is None:
        return settings
    try:
        check_same_grid(volume, sigma_map)
    except MedidiffError as error:
        raise UsageError(
            "The noise map (--sigma) does not lie on the grid of the scan", hint=str(error)
        ) from error
    values = sigma_map.array
    if sigma_map.padding is not None:
        values = np.where(sigma_map.padding, np.float32(0.0), values)
    return replace(settings, sigma=values)


def _output(suffix: str, volume: Volume, result: Result) -> Volume | None:
    """The image that goes out under a suffix; None where there is none."""
    if suffix == "denoised":
        return result.volume
    if suffix == "residual":
        return volume.with_array(scratch.difference(volume.array, result.volume.array))
    if result.uncertainty is None:
        return None
    return volume.with_array(result.uncertainty)
