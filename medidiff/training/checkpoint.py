"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import ModelError

FILE = "checkpoint.npz"
AVERAGE = "average.npz"
"""What `slim` keeps of the last checkpoint of a run."""


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
    """

    step: int
    weights: list[NDArray[Any]]
    average: list[NDArray[Any]]
    optimiser: list[NDArray[Any]]
    best: float
    config: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)


def save(folder: Path, checkpoint: Checkpoint, name: str = FILE) -> Path:
    """Writes a checkpoint beside the old one, then puts it in its place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    beside = path.with_name(f".{name}.{os.getpid()}.npz")
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("weights", "average", "optimiser"):
        arrays |= {f"{part}/{i:04d}": a for i, a in enumerate(getattr(checkpoint, part))}
    meta = {
        "step": checkpoint.step,
        "best": checkpoint.best,
        "config": checkpoint.config,
        "history": checkpoint.history,
    }
    try:
        np.savez(beside, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path


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
    except FileNotFoundError:
        raise ModelError(
            "There is no checkpoint to resume from", where=path, hint="Start without --resume."
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"The checkpoint is damaged ({error})", where=path) from None
    return Checkpoint(
        step=meta["step"], best=meta["best"], config=meta["config"], history=meta["history"], **parts
    )
