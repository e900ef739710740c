"""CT cache: training slices with precomputed noise bases, made once, kept outside the repository.

Projecting a slice and back-projecting its noise takes seconds; drawing a new dose, kernel and mix of the
stored bases takes milliseconds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import NoImageError, OutputError
from medidiff.noise import ct
from medidiff.noise.spectrum import Kernel
from medidiff.training.binning import binned, may_be_binned, slab_means
from medidiff.training.config import TrainConfig
from medidiff.training.scans import Scan, data_root, list_scans, read_scan
from medidiff.training.workers import stopped
from medidiff.training.workers import workers as processes
from medidiff.volume import HU_RANGE, FloatArray, Volume, spread

VERSION = 1
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
    """Makes what is missing of the cache, and notes which of its slices are those of this data folder.

    Args:
        config: the run.
        role: ``"train"`` or ``"val"``.
        progress: called with the number of slices done.
        workers: processes.

    Returns:
        The folder that holds one file a slice.

    Raises:
        NoImageError: there are no scans, or one of them holds no image.
        OutputError: the cache cannot be written.
    """
    target = folder(config) / role
    scans = list_scans(data_root(config.data.root), "ct", role)
    names: list[str] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        with processes(workers) as pool:
            jobs = [pool.submit(_prepare_scan, config, scan, target) for scan in scans]
            for job in jobs:
                names += job.result()
                if progress:
                    progress(len(names))
        beside = target.with_name(f".{_index(config, role).name}.{os.getpid()}")
        beside.write_text(json.dumps(names), "utf-8")
        os.replace(beside, _index(config, role))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EEXIST):
            raise  # of reading, not of writing
        raise OutputError(
            "The noise cache cannot be written", where=target, received=error.strerror,
            hint="Make room, or set [data] cache to another folder; what is there is kept.",
        ) from error  # fmt: skip
    return target


def paths(config: TrainConfig, role: str) -> list[Path]:
    """The slices of a role that `prepare` noted for this data folder; all of the cache where it did not.

    Several data folders may share a cache, and scans may have left a data folder or changed their role.

    Raises:
        NoImageError: there is none.
    """
    target = folder(config) / role
    try:
        found = [target / name for name in json.loads(_index(config, role).read_text("utf-8"))]
    except FileNotFoundError:
        found = list(target.glob("[!.]*.npz"))
    if not found:
        raise NoImageError(
            "The CT noise cache holds no slice of this run", where=target,
            hint="`medidiff train` fills it before training, with slices at least as large as [data] patch.",
        )  # fmt: skip
    return sorted(found)


def _index(config: TrainConfig, role: str) -> Path:
    """Where it is noted which slices of the cache are those of a data folder."""
    root = str(data_root(config.data.root).resolve())
    return folder(config) / f"{role}-{hashlib.sha256(root.encode()).hexdigest()[:10]}.json"


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


def _prepare_scan(config: TrainConfig, scan: Scan, target: Path) -> list[str]:
    """Makes the missing slices of a scan; gives the names of all."""
    names: list[str] = []
    seen: Counter[tuple[int, ...]] = Counter()
    for volume in read_scan(scan):
        # Series of one size in one folder are told apart, else the first would stand for all of them.
        seen[volume.array.shape] += 1
        again = seen[volume.array.shape]
        named = scan if again == 1 else replace(scan, label=f"{scan.label} {again}")
        for task in _tasks(config, named, volume, target):
            if stopped():
                return names
            names.append(task.path.name)
            if not _is_made(task):
                _make(task, config.data.views)
    return names


def _is_made(task: _Task) -> bool:
    """Whether the cache has this slice, of these very pixels."""
    try:
        with np.load(task.path, allow_pickle=False) as made:
            same = np.array_equal(made["hu"], _stored(task.hu)) and float(made["pixel_mm"]) == task.pixel_mm
            return bool(same and str(made["scan"]) == task.scan)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def _stored(hu: FloatArray) -> NDArray[np.int16]:
    return np.rint(hu).astype(np.int16)


def _tasks(config: TrainConfig, scan: Scan, volume: Volume, target: Path) -> Iterator[_Task]:
    """Evenly spaced slices of a volume, then slab means binned to half the matrix for the clean pool."""
    hu = np.clip(volume.array, *HU_RANGE)
    if volume.padding is not None:
        hu[volume.padding] = HU_RANGE[0]  # NaN is read as 0: water, which would be part of the body
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

    for centre in spread(count, min(count, most)):
        yield task(hu, int(centre), apart, clean=False, scale=1.0)
    if count >= 9 and may_be_binned(hu.shape, config.data.patch):
        small = binned(slab_means(hu))
        for centre in spread(len(small), min(len(small), 12)):
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
    try:
        np.savez(
            beside,
            hu=_stored(task.hu),
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
