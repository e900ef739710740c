"""CT cache: training slices with precomputed noise bases, made once, kept outside the repository.

Projecting a slice and back-projecting its noise takes seconds; drawing a new dose, kernel and mix of the
stored bases takes milliseconds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.noise import ct
from medidiff.noise.spectrum import Kernel
from medidiff.training.binning import binned, may_be_binned, slab_means
from medidiff.training.config import TrainConfig
from medidiff.training.scans import Scan, data_root, list_scans, read_scan
from medidiff.volume import FloatArray, Volume

VERSION = 1
LOW_HU, HIGH_HU = -1024.0, 3071.0
REALISATIONS = 2
"""Quantum realisations a slice: the centre mixes both, a neighbour takes the orthogonal mix."""


@dataclass(frozen=True)
class Item:
    """One training slice.

    Attributes:
        hu: int16 (float32 once inserts are added) ``[3, h, w]`` previous, centre, next.
        present: bool ``[3]``, whether the neighbour exists.
        bases: float16 ``[3, h, w]``: two quantum realisations and one electronic, SD 1 in soft tissue.
        electronic_ratio: SD of the electronic base over that of the quantum base at one photon a ray.
        relative_sd: float16 ``[h, w]`` local noise SD, median 1 in soft tissue.
        pixel_mm: pixel size.
        clean: from the pool of slab means and binned slices (nearly noise-free).
        scan: label of the scan.
    """

    hu: NDArray[np.int16] | FloatArray
    present: NDArray[np.bool_]
    bases: NDArray[np.float16]
    electronic_ratio: float
    relative_sd: NDArray[np.float16]
    pixel_mm: float
    clean: bool
    scan: str


@dataclass(frozen=True)
class _Task:
    """One slice to prepare: three source slices and how to name the result."""

    hu: FloatArray
    present: NDArray[np.bool_]
    pixel_mm: float
    scale: float
    clean: bool
    scan: str
    seed: int
    path: Path


def folder(config: TrainConfig) -> Path:
    """Folder of the cache of this configuration's data settings."""
    data = config.data
    key = f"{VERSION} {data.max_slices} {data.views}"
    return Path(data.cache) / f"ct-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def prepare(
    config: TrainConfig, role: str, progress: Callable[[int], None] | None = None, workers: int = 2
) -> Path:
    """Makes what is missing of the cache.

    Args:
        config: the run.
        role: ``"train"`` or ``"val"``.
        progress: called with the number of slices done.
        workers: processes.

    Returns:
        The folder that holds one file a slice.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    target = folder(config) / role
    target.mkdir(parents=True, exist_ok=True)
    scans = list_scans(data_root(config.data.root), "ct", role)
    done = 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_prepare_scan, config, scan, target) for scan in scans]
        for job in jobs:
            done += job.result()
            if progress:
                progress(done)
    return target


def load(path: Path) -> Item:
    """Reads one slice of the cache."""
    with np.load(path, allow_pickle=False) as f:
        return Item(
            hu=f["hu"],
            present=f["present"],
            bases=f["bases"],
            electronic_ratio=float(f["electronic_ratio"]),
            relative_sd=f["relative_sd"],
            pixel_mm=float(f["pixel_mm"]),
            clean=bool(f["clean"]),
            scan=str(f["scan"]),
        )


def _prepare_scan(config: TrainConfig, scan: Scan, target: Path) -> int:
    count = 0
    for volume in read_scan(scan):
        for task in _tasks(config, scan, volume, target):
            count += 1
            if not task.path.exists():
                _make(task, config.data.views)
    return count


def _tasks(config: TrainConfig, scan: Scan, volume: Volume, target: Path) -> Iterator[_Task]:
    """Evenly spaced slices of a volume, then slab means binned to half the matrix for the clean pool."""
    hu = np.clip(volume.array, LOW_HU, HIGH_HU)
    count, size = len(hu), min(hu.shape[1:])
    if size < config.data.patch:
        return
    # Overlapping slices share noise: neighbours are at least one slice thickness away.
    apart = max(1, int(np.ceil(scan.thickness_mm / max(volume.spacing[0], 1e-3) - 0.05))) if count > 1 else 1
    most = config.data.max_slices if size >= 256 else max(1, config.data.max_slices // 3)
    stem = hashlib.sha256(f"{scan.label} {hu.shape}".encode()).hexdigest()[:12]

    def task(planes: FloatArray, centre: int, step: int, clean: bool, scale: float) -> _Task:
        where = np.array([centre - step, centre, centre + step])
        present = (where >= 0) & (where < len(planes))
        three = planes[np.clip(where, 0, len(planes) - 1)]
        name = f"{stem}_{'clean' if clean else 'slice'}_{centre:04d}"
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        return _Task(three, present, volume.pixel_mm, scale, clean, scan.label, seed, target / f"{name}.npz")

    for centre in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)):
        yield task(hu, int(centre), apart, clean=False, scale=1.0)
    if count >= 9 and may_be_binned(hu.shape, config.data.patch):
        small = binned(slab_means(hu))
        for centre in np.unique(np.linspace(0, len(small) - 1, min(len(small), 12)).astype(int)):
            # Binned slices play small patients at the original pixel size; doubled paths keep their noise.
            yield task(small, int(centre), 1, clean=True, scale=2.0)


def _make(task: _Task, views: int) -> None:
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
    np.savez(
        beside,
        hu=np.rint(task.hu).astype(np.int16),
        present=task.present,
        bases=np.clip(bases, -6e4, 6e4).astype(np.float16),
        electronic_ratio=electronic_sd / quantum_sd,
        relative_sd=relative.astype(np.float16),
        pixel_mm=task.pixel_mm,
        clean=task.clean,
        scan=task.scan,
    )
    os.replace(beside, task.path)


def relative_sd(quantum: FloatArray, hu: FloatArray, pixel_mm: float, smooth: float = 12.0) -> FloatArray:
    """Local SD of kernel-filtered noise realisations ``[k, h, w]``, median 1 in soft tissue."""
    from scipy import ndimage

    filtered = [ct.filter_padded(q, pixel_mm, Kernel()) for q in quantum]
    square = np.mean([n * n for n in filtered], axis=0)
    sd = np.sqrt(np.maximum(ndimage.gaussian_filter(square, smooth), 1e-12))
    return np.asarray(sd / np.median(sd[ct.soft_tissue(hu)]), np.float32)
