"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import ModelError, OutputError

FILE = "checkpoint.npz"
AVERAGE = "average.npz"
"""What `slim` keeps of the last checkpoint of a run."""

DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged archive of arrays may raise."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a run after `step` optimiser steps.

    Attributes:
        step: optimiser steps done.
        weights: of the network, in the order of ``trainable_variables``.
        average: their moving average.
        optimiser: variables of the optimiser.
        best: best validation figure so far, dB.
        config: the run's configuration, as plain values.
        history: validations so far, each with its step.
        run: a word of the process that wrote it, so that two runs in one folder notice each other.
    """

    step: int
    weights: list[NDArray[Any]]
    average: list[NDArray[Any]]
    optimiser: list[NDArray[Any]]
    best: float
    config: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    run: str = ""


def save(folder: Path, checkpoint: Checkpoint, name: str = FILE) -> Path:
    """Writes a checkpoint beside the old one, then puts it in its place.

    Raises:
        OutputError: it cannot be written; the old one is still there.
    """
    path = folder / name
    beside = path.with_name(f".{name}.part")  # always the same: what a kill leaves is overwritten
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("weights", "average", "optimiser"):
        arrays |= {f"{part}/{i:04d}": a for i, a in enumerate(getattr(checkpoint, part))}
    meta = {
        "step": checkpoint.step,
        "best": checkpoint.best,
        "config": checkpoint.config,
        "history": checkpoint.history,
        "run": checkpoint.run,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            "The checkpoint cannot be written", where=path, received=error.strerror,
            hint="The one before it is kept: mend the cause, then --resume.",
        ) from error  # fmt: skip
    return path


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuses to begin where a run is already, or to go on where none is, before anything slow.

    Raises:
        OutputError: there is a checkpoint, and it is not to be gone on from.
        ModelError: there is none to go on from.
    """
    there = (folder / FILE).exists()
    if there and not resume:
        raise OutputError(
            "A run of this name is there already", where=folder, hint="Use --resume, or another name."
        )
    if resume and not there:
        raise ModelError(
            "There is no checkpoint to resume from", where=folder / FILE, hint="Start without --resume."
        )


def owner(folder: Path) -> str | None:
    """The word of the process that wrote the checkpoint of a folder; None if there is no readable one."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return str(json.loads(arrays["meta"].tobytes()).get("run", ""))
    except DAMAGED:
        return None


def slim(checkpoint: Checkpoint) -> Checkpoint:
    """The averaged weights alone, in half precision: enough to release, too little to go on from."""
    average = [np.asarray(a, np.float16) for a in checkpoint.average]
    return replace(checkpoint, weights=[], average=average, optimiser=[])


def load(folder: Path, name: str = FILE) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = folder / name
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            parts = {
                part: [arrays[k] for k in sorted(k for k in arrays.files if k.startswith(f"{part}/"))]
                for part in ("weights", "average", "optimiser")
            }
        return Checkpoint(
            step=meta["step"], best=meta["best"], config=meta["config"], history=meta["history"],
            run=meta.get("run", ""), **parts,
        )  # fmt: skip
    except FileNotFoundError:
        raise ModelError(
            "There is no checkpoint to resume from", where=path, hint="Start without --resume."
        ) from None
    except DAMAGED as error:
        raise ModelError(
            f"The checkpoint is damaged ({error})", where=path,
            hint="Restore it from a copy, or move the folder away and start again; best.npz and average.npz "
            "may still be released.",
        ) from None  # fmt: skip
