"""Run: denoises the planned series one after the other; one bad scan does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

import numpy as np

from medidiff import __version__
from medidiff.batch.account import Account, Outcome, Status, is_memory
from medidiff.batch.planning import Entry, Plan, suits, taken_as
from medidiff.batch.pool import Pool
from medidiff.denoise import Denoiser, Result, Settings
from medidiff.errors import CancelledError, MedidiffError, RefusedError, UsageError
from medidiff.evaluation.compare import check_same_grid
from medidiff.io import Derivation, read, write
from medidiff.models.bundle import Bundle
from medidiff.volume import Volume


class Observer(Protocol):
    """What watches a run: a progress bar, a log, a machine."""

    def begin(self, index: int, count: int, entry: Entry) -> None:
        """Series `index` of `count` starts, counted from 1."""

    def stage(self, text: str) -> None:
        """The current series goes into its next stage: reading, denoising, writing."""

    def ready(self, denoiser: Denoiser, volume: Volume) -> None:
        """Model and scan of the current series are in memory."""

    def progress(self, done: int, total: int) -> None:
        """Slices done of the current series."""

    def finished(self, outcome: Outcome) -> None:
        """The current series is over."""


def run(plan: Plan, pool: Pool, observer: Observer, cancelled: Callable[[], bool] = lambda: False) -> Account:
    """Does what was planned.

    Args:
        plan: from `medidiff.batch.plan`.
        pool: the models that the plan was made with.
        observer: told about everything that happens.
        cancelled: asked between slices and before each output; True ends the run without half an output.

    Returns:
        one outcome for each series of the plan.

    Raises:
        EngineError: the engine cannot be started; nothing was done then.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    for name in dict.fromkeys(e.model for e in plan.planned if e.model is not None):
        pool.denoiser(name)
    outcomes: list[Outcome] = []
    stopped = False
    for index, entry in enumerate(plan.entries, start=1):
        observer.begin(index, len(plan.entries), entry)
        if entry.decision != "planned":
            outcome = Outcome(entry.item, entry.decision, entry.reason)
        elif stopped:
            outcome = Outcome(entry.item, "cancelled", "the run was cancelled")
        else:
            outcome = _series(entry, plan, pool, observer, cancelled)
            stopped = outcome.status == "cancelled"
        outcomes.append(outcome)
        observer.finished(outcome)
    return Account(plan, tuple(outcomes), started, time.monotonic() - clock, stopped)


def _series(
    entry: Entry, plan: Plan, pool: Pool, observer: Observer, cancelled: Callable[[], bool]
) -> Outcome:
    """Denoises one series, whatever happens."""
    clock = time.monotonic()
    written: dict[str, Path] = {}
    status: Status = "failed"
    caught: Exception
    try:
        outcome = _denoise(entry, plan, pool, observer, cancelled, written)
        return replace(outcome, seconds=time.monotonic() - clock)
    except CancelledError as error:
        status, reason, caught = "cancelled", str(error), error
    except RefusedError as error:
        status, reason, caught = "refused", _located(error, entry), error
    except MedidiffError as error:
        reason, caught = _located(error, entry), error
    except Exception as error:  # a bug or an odd file must not cost the user the other series
        reason, caught = _unexpected(error, entry), error
    return Outcome(
        entry.item, status, reason, written, entry.model, seconds=time.monotonic() - clock, error=caught
    )


def _denoise(
    entry: Entry,
    plan: Plan,
    pool: Pool,
    observer: Observer,
    cancelled: Callable[[], bool],
    written: dict[str, Path],
) -> Outcome:
    request = plan.request

    def check() -> None:
        if cancelled():
            raise CancelledError("Cancelled; nothing is half-written")

    check()
    observer.stage("reading")
    volume = read(entry.item)
    modality = entry.modality if entry.modality != "OT" else volume.modality
    model = entry.model or _model_for(volume, entry)
    volume = taken_as(volume, suits(entry.item, modality, model, pool))
    check()
    denoiser = pool.denoiser(model)
    settings = _with_map(request.settings, plan.sigma_map, volume)
    observer.ready(denoiser, volume)
    observer.stage("denoising")
    result = denoiser.run(volume, settings, observer.progress, cancelled)
    observer.stage("writing")
    derivation = _derivation(denoiser.bundle, denoiser, settings, result)
    clipped, notes = 0, [*entry.notes, *result.notes]
    for suffix in request.suffixes:
        check()
        image = _output(suffix, volume, result)
        if image is None:
            notes.append(f"no {suffix} map: mode {settings.mode} gave none")
            continue
        done = write(
            image, request.out_dir, derivation=derivation, suffix=suffix, overwrite=request.overwrite,
            keep_private=request.keep_private,
        )  # fmt: skip
        written[suffix] = done.path
        clipped += done.clipped
        notes += done.notes
    return Outcome(
        entry.item, "denoised", "", written, denoiser.bundle.name, result.sigma, result.sigma_text,
        result.evaluations, clipped=clipped, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _model_for(volume: Volume, entry: Entry) -> str:
    """The shipped model for a file that did not tell its modality."""
    if volume.modality == "CT":
        return "ct"
    raise RefusedError(
        "cannot tell whether this is CT or MR", where=entry.item.path,
        hint="Say which: --modality ct or --modality mr.",
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
        return volume.with_array(volume.array - result.volume.array)
    if result.uncertainty is None:
        return None
    return volume.with_array(result.uncertainty)


def _derivation(bundle: Bundle, denoiser: Denoiser, settings: Settings, result: Result) -> Derivation:
    """What the headers say."""
    engine = denoiser.engine
    return Derivation(
        model_id=f"{bundle.name}-{bundle.version}",
        model_sha256=bundle.sha256,
        version=__version__,
        mode=settings.mode,
        steps=settings.evaluations,
        samples=settings.draws,
        seed=settings.seed,
        sigma_text=result.sigma_text,
        strength=settings.strength,
        window="-1024 to 3071 HU" if bundle.modality == "ct" else "0 to 4 x foreground p99",
        engine=f"{engine.name} {engine.precision}",
        context=result.context,
    )


def _located(error: MedidiffError, entry: Entry) -> str:
    """The message, with the series in front where the error does not say where."""
    return str(error) if error.where else f"{entry.item.path}: {error}"


def _unexpected(error: Exception, entry: Entry) -> str:
    if is_memory(error):
        z, y, x = entry.item.shape
        return (
            f"{entry.item.path}: out of memory with {x}x{y}x{z} voxels. "
            "Close other programs, or use a smaller --tile."
        )
    text = " ".join(str(error).split()) or "no message"
    return f"{entry.item.path}: unexpected {type(error).__name__}: {text[:200]}. Use -v for the traceback."
