"""Pack: one file with what a run needs of its scans, small enough to carry to a machine that has neither.

A zip of plain arrays. CT: slices, noise bases quantised to a quarter of their SD (which adds 0.5 % to
their variance), level and kernel of each as measured on the whole cache. MR: whole
volumes in steps of a thousandth of the foreground p99.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import ModelError, UsageError
from medidiff.io.atomic import staged
from medidiff.training.config import TrainConfig

if TYPE_CHECKING:
    from medidiff.training.ct_reference import Reference
    from medidiff.training.mr_stacks import Stack

VERSION = 1
BASE_STEP = 1.0 / 4.0
"""Quantum of a noise base, of which the SD in soft tissue is 1."""

NOISY_STEP = 2
"""Quantum in HU of slices with noise of their own; those of the clean pool keep every HU."""

MR_STEP = 1e-3
"""Quantum of MR values, in units of the foreground p99."""

MAP_STEP = 4
"""The map of local noise SD is smooth: every fourth pixel is kept."""

AIR = -950.0
"""HU below which a margin of a slice is air and cut off."""

LEAST = 192
"""Pixels in each direction that a slice keeps if it has them: room for patches."""

VAL_SHARE = 0.15
"""Share of the file for validation."""

Arrays = dict[str, NDArray[Any]]


def write(
    path: Path, config: TrainConfig, megabytes: float = 60.0, say: Callable[[str], None] | None = None
) -> Path:
    """Writes the pack of a run; its scans take turns until the size is reached.

    Args:
        path: file to write.
        config: the run, whose cache (CT) or scans (MR) are at hand.
        megabytes: largest size.
        say: called with a line for each role.

    Raises:
        UsageError: not even one item of each role fits.
        NoImageError: there is no data to pack.
        OutputError: the file is there already, or cannot be written.
    """
    with staged(path, folder=False, overwrite=False, inputs=()) as beside:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as pack:
            pack.writestr("meta.json", json.dumps({"version": VERSION, "modality": config.modality}))
            for role, share in (("train", 1.0 - VAL_SHARE), ("val", VAL_SHARE)):
                left, count = int(share * megabytes * 1e6), 0
                for item in _items(config, role):
                    data = _compressed(item)
                    if len(data) > left:
                        break
                    pack.writestr(f"{role}/{count:05d}.zip", data)
                    left, count = left - len(data), count + 1
                if count == 0:
                    raise UsageError("Not one item fits into the pack", received=f"{megabytes:g} MB",
                                     hint="Allow more.")  # fmt: skip
                if say:
                    say(f"{role}: {count} items, {share * megabytes - left / 1e6:.1f} MB")
    return path


def references(config: TrainConfig, role: str) -> list[Reference]:
    """CT slices of a pack that are as large as a patch, as `cached_references` gives them of a cache."""
    from medidiff.training.ct_reference import reference_of

    found = []
    for a in _read(config, role):
        item = _ct_item(a)
        if min(item.hu.shape[1:]) < config.data.patch:
            continue
        found.append(reference_of(item, float(a["sigma"]), a["own"], config.optimiser.soft_weight))
    return found


def stacks(config: TrainConfig, role: str) -> list[Stack]:
    """MR volumes of a pack in all their orientations."""
    from medidiff.training.mr_stacks import views

    found: list[Stack] = []
    for a in _read(config, role):
        slices = a["slices"].astype(np.float32) * np.float32(MR_STEP)
        dz, dy, dx = map(float, a["spacing"])
        found += views(slices, (dz, dy, dx), float(a["sigma"]), str(a["label"]), config.data.patch)
    return found


def _items(config: TrainConfig, role: str) -> Iterator[Arrays]:
    """Encoded items; scans take turns, so that a small pack still holds all of them."""
    if config.modality == "mr":
        from medidiff.training.mr_stacks import volumes
        from medidiff.training.scans import data_root, list_scans

        for scan in _shuffled(list_scans(data_root(config.data.root), "mr", role)):
            for slices, spacing, sigma in volumes(scan):
                quanta = np.clip(np.rint(slices / MR_STEP), 0, 32767).astype(np.int16)
                yield {
                    "slices": quanta,
                    "spacing": np.array(spacing),
                    "sigma": np.array(sigma),
                    "label": np.array(_pseudonym(scan.label)),
                }
        return
    from medidiff.training.ct_reference import cached_references

    queues: dict[tuple[str, bool], list[Reference]] = {}
    for r in cached_references(config, role):
        queues.setdefault((r.item.scan, r.item.clean), []).append(r)
    turns = [_shuffled(q) for q in queues.values()]
    for k in range(max(map(len, turns))):
        for turn in _shuffled(turns, k):
            if k < len(turn):
                yield _encoded(turn[k])


def _pseudonym(label: str) -> str:
    """A scan's label is a path, and folders are often named after patients."""
    return hashlib.sha256(label.encode()).hexdigest()[:12]


def _shuffled(things: Sequence[Any], seed: int = 0) -> list[Any]:
    return [things[i] for i in np.random.default_rng(seed).permutation(len(things))]


def _encoded(reference: Reference) -> Arrays:
    """A CT slice cut to the body, its bases quantised."""
    item = reference.item
    box = _body(item.hu[1])
    hu = np.clip(item.hu[:, box[0], box[1]].astype(np.int32), -1024, 3071)
    hu = np.where(item.present[:, None, None], hu, hu[1])  # an absent neighbour costs nothing
    bases = np.rint(item.bases[:, box[0], box[1]].astype(np.float32) / BASE_STEP)
    step = 1 if item.clean else NOISY_STEP
    raised = ((hu + 1024 + step // 2) // step).astype(np.uint16)
    return {
        "step": np.array(step),
        "low": (raised & 255).astype(np.uint8),
        "high": (raised >> 8).astype(np.uint8),
        "bases": np.clip(bases, -127, 127).astype(np.int8),
        "relative": item.relative_sd[box[0], box[1]][::MAP_STEP, ::MAP_STEP],
        "present": item.present,
        "electronic_ratio": np.array(item.electronic_ratio),
        "pixel_mm": np.array(item.pixel_mm),
        "clean": np.array(item.clean),
        "scan": np.array(_pseudonym(item.scan)),
        "sigma": np.array(reference.sigma),
        "own": reference.own.astype(np.float32),
    }


def _ct_item(a: Arrays) -> Any:
    """The cached slice of encoded arrays."""
    from scipy import ndimage

    from medidiff.training.ct_cache import Item

    raised = a["low"].astype(np.int32) + 256 * a["high"].astype(np.int32)
    hu = np.minimum(raised * int(a["step"]) - 1024, 3071).astype(np.int16)
    h, w = hu.shape[1:]
    rows, columns = (np.arange(n) / MAP_STEP for n in (h, w))
    grid = np.meshgrid(rows, columns, indexing="ij")
    relative = ndimage.map_coordinates(a["relative"].astype(np.float32), grid, order=1, mode="nearest")
    return Item(
        hu=hu,
        present=a["present"],
        bases=(a["bases"].astype(np.float32) * np.float32(BASE_STEP)).astype(np.float16),
        electronic_ratio=float(a["electronic_ratio"]),
        relative_sd=relative.astype(np.float16),
        pixel_mm=float(a["pixel_mm"]),
        clean=bool(a["clean"]),
        scan=str(a["scan"]),
    )


def _body(hu: NDArray[np.int16], margin: int = 16) -> tuple[slice, slice]:
    """Rows and columns that hold the body, with a margin of air; multiples of 16 for quick transforms."""
    inside = hu > AIR
    box = []
    for axis in (1, 0):
        lines = np.flatnonzero(inside.mean(axis) > 0.02)
        count = hu.shape[1 - axis]
        first, last = (int(lines[0]), int(lines[-1]) + 1) if lines.size else (0, count)
        first, last = max(0, first - margin), min(count, last + margin)
        want = min(count, max(LEAST, -(-(last - first) // 16) * 16))
        first = max(0, min(first - (want - (last - first)) // 2, count - want))
        box.append(slice(first, first + want))
    return box[0], box[1]


def _compressed(arrays: Arrays) -> bytes:
    """Arrays as a zip of .npy members, packed as tightly as the standard library can."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as inner:
        for name, array in arrays.items():
            with inner.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _read(config: TrainConfig, role: str) -> Iterator[Arrays]:
    """The encoded items of a role."""
    path = Path(config.data.pack)
    try:
        with zipfile.ZipFile(path) as pack:
            meta = json.loads(pack.read("meta.json"))
            if meta != {"version": VERSION, "modality": config.modality}:
                raise UsageError(
                    "The pack is of another modality or version", where=path, received=meta,
                    hint="Make it again with medidiff train --pack.",
                )  # fmt: skip
            for name in sorted(n for n in pack.namelist() if n.startswith(f"{role}/")):
                with np.load(io.BytesIO(pack.read(name)), allow_pickle=False) as arrays:
                    yield {k: arrays[k] for k in arrays.files}
    except FileNotFoundError:
        raise UsageError(
            "There is no such pack of training data", where=path, hint="Make it with medidiff train --pack."
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"The pack of training data is damaged ({error})", where=path) from None
