"""Task: one training slice of the CT cache, with the noise bases that take seconds to simulate."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.noise import ct
from medidiff.noise.spectrum import Kernel
from medidiff.volume import FloatArray

REALISATIONS = 2
"""Quantum realisations a slice: the centre mixes both, a neighbour takes the orthogonal mix."""


@dataclass(frozen=True)
class Task:
    """One slice to prepare: three source slices and how to name the result."""

    hu: FloatArray
    present: NDArray[np.bool_]
    pixel_mm: float
    scale: float
    clean: bool
    scan: str
    seed: int
    path: Path


def is_made(task: Task) -> bool:
    """Whether the cache has this slice, of these very pixels."""
    try:
        with np.load(task.path, allow_pickle=False) as made:
            same = np.array_equal(made["hu"], stored(task.hu)) and float(made["pixel_mm"]) == task.pixel_mm
            return bool(same and str(made["scan"]) == task.scan)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def stored(hu: FloatArray) -> NDArray[np.int16]:
    """HU as they lie in the cache."""
    return np.rint(hu).astype(np.int16)


def make(task: Task, views: int) -> None:
    """Simulates the bases of one slice and writes them."""
    rng = np.random.default_rng(task.seed)
    hu = task.hu[1]
    made = ct.bases(
        hu,
        task.pixel_mm,
        rng,
        realisations=REALISATIONS,
        views=views,
        bow_tie=bool(rng.random() < 0.3),
        scale=task.scale * float(rng.uniform(0.8, 1.3)),
    )
    relative = relative_sd(made.quantum, hu, task.pixel_mm)
    mask = ct.soft_tissue(hu)
    quantum_sd = float(np.sqrt(np.mean((made.quantum[0][mask] / relative[mask]) ** 2)))
    electronic_sd = float(np.sqrt(np.mean((made.electronic[mask] / relative[mask]) ** 2)))
    bases = np.concatenate([made.quantum / quantum_sd, made.electronic[None] / electronic_sd])
    beside = task.path.with_name(f".{task.path.name}.{os.getpid()}.npz")
    try:
        np.savez(
            beside,
            hu=stored(task.hu),
            present=task.present,
            bases=np.clip(bases, -6e4, 6e4).astype(np.float16),
            electronic_ratio=electronic_sd / quantum_sd,
            relative_sd=relative.astype(np.float16),
            pixel_mm=task.pixel_mm,
            clean=task.clean,
            scan=task.scan,
        )
        os.replace(beside, task.path)
    finally:
        beside.unlink(missing_ok=True)


def relative_sd(quantum: FloatArray, hu: FloatArray, pixel_mm: float, smooth: float = 12.0) -> FloatArray:
    """Local SD of kernel-filtered noise realisations ``[k, h, w]``, median 1 in soft tissue."""
    from scipy import ndimage

    filtered = [ct.filter_padded(q, pixel_mm, Kernel()) for q in quantum]
    square = np.mean([n * n for n in filtered], axis=0)
    sd = np.sqrt(np.maximum(ndimage.gaussian_filter(square, smooth), 1e-12))
    return np.asarray(sd / np.median(sd[ct.soft_tissue(hu)]), np.float32)
