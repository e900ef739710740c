"""CT cache: training slices with precomputed noise bases, made once, kept outside the repository.

Projecting a slice and back-projecting its noise takes seconds; drawing a new dose, kernel and mix of the
stored bases takes milliseconds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import NoImageError, OutputError
from medidiff.training.binning import binned, may_be_binned, slab_means
from medidiff.training.config import TrainConfig
from medidiff.training.ct_task import Task, is_made, make
from medidiff.training.manifest import Scan
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.training.workers import stopped
from medidiff.training.workers import workers as processes
from medidiff.volume import HU_RANGE, FloatArray, Volume, spread

VERSION = 1


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
            if not is_made(task):
                make(task, config.data.views)
    return names


def _tasks(config: TrainConfig, scan: Scan, volume: Volume, target: Path) -> Iterator[Task]:
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

    def task(planes: FloatArray, centre: int, step: int, clean: bool, scale: float) -> Task:
        where = np.array([centre - step, centre, centre + step])
        present = (where >= 0) & (where < len(planes))
        three = planes[np.clip(where, 0, len(planes) - 1)]
        name = f"{stem}_{'clean' if clean else 'slice'}_{centre:04d}"
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        return Task(three, present, volume.pixel_mm, scale, clean, scan.label, seed, target / f"{name}.npz")

    for centre in spread(count, min(count, most)):
        yield task(hu, int(centre), apart, clean=False, scale=1.0)
    if count >= 9 and may_be_binned(hu.shape, config.data.patch):
        small = binned(slab_means(hu))
        for centre in spread(len(small), min(len(small), 12)):
            # Binned slices play small patients at the original pixel size; doubled paths keep their noise.
            yield task(small, int(centre), 1, clean=True, scale=2.0)
