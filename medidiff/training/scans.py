"""Scans: the series of a data folder by modality and role, as volumes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from medidiff.errors import MedidiffError, NoImageError
from medidiff.training.manifest import Scan, listed
from medidiff.volume import Volume

if TYPE_CHECKING:
    from medidiff.io import SeriesItem, Skipped


def data_root(configured: str) -> Path:
    """The folder of scans: ``$MEDIDIFF_DATA``, else as configured."""
    return Path(os.environ.get("MEDIDIFF_DATA") or configured)


def list_scans(root: Path, modality: str, role: str) -> list[Scan]:
    """The scans of one role, see `find`.

    Raises:
        NoImageError: no data, or no scan of this role.
    """
    return find(root, modality, role)[0]


def find(root: Path, modality: str, role: str) -> tuple[list[Scan], list[Skipped]]:
    """The scans of one role, and the files beside them that are no such scans.

    Args:
        root: data folder. It holds ``<modality>/manifest.csv`` (`medidiff.training.manifest`), or simply
            ``<modality>/train`` and ``<modality>/val`` with a folder or file for each patient.
        modality: ``"ct"`` or ``"mr"``.
        role: ``"train"`` or ``"val"``.

    Raises:
        NoImageError: no data, or no scan of this role.
        UsageError: a manifest that cannot be understood.
    """
    manifest, folder = root / modality / "manifest.csv", root / modality / role
    skipped: list[Skipped] = []
    if manifest.is_file():
        scans = listed(manifest, role)
    elif folder.is_dir():
        scans, skipped = _searched(folder, modality)
    else:
        raise NoImageError(
            "No training data: there is no such folder", where=folder,
            hint=f"Put the {role} patients there, a folder each, or set [data] root or MEDIDIFF_DATA to the "
            f"folder that holds {modality}/{role}. See docs/training.md.",
        )  # fmt: skip
    if not scans:
        from_where = manifest if manifest.is_file() else folder
        raise NoImageError(
            f"No {modality.upper()} scan of role {role!r}", where=from_where,
            hint=f"Skipped: {unused(skipped)}." if skipped else None,
        )  # fmt: skip
    return scans, skipped


def read_scan(scan: Scan) -> list[Volume]:
    """The volumes of one scan (several where a folder holds several stacks).

    Raises:
        NoImageError: there is no image.
        PixelError: a file cannot be read.
    """
    from medidiff import io

    with naming(scan):
        found = io.discover([scan.path])
        if not found.items:
            raise NoImageError(f"No image to train on: {unused(found.skipped)}")
        items: Iterable[SeriesItem] = found.items if scan.place is None else [found.items[scan.place]]
        return [io.read(item) for item in items]


@contextmanager
def naming(scan: Scan) -> Iterator[None]:
    """Tells of every error which scan it is about."""
    try:
        yield
    except MedidiffError as error:
        raise type(error)(
            error.what, where=error.where or scan.path, received=error.received,
            hint=f"{error.hint or ''} Mend it, or take it out of the training data.".strip(),
        ) from error  # fmt: skip


def unused(skipped: Sequence[Skipped]) -> str:
    """Skips for people, by reason, with one file of each."""
    reasons: dict[str, list[Skipped]] = {}
    for skip in skipped:
        reasons.setdefault(skip.reason.value, []).append(skip)
    return "; ".join(f"{len(s)} x {reason} ({s[0].path.name})" for reason, s in reasons.items()) or "nothing"


def _searched(folder: Path, modality: str) -> tuple[list[Scan], list[Skipped]]:
    """Every series below a folder whose entries are patients."""
    from medidiff import io

    scans: list[Scan] = []
    skipped: list[Skipped] = []
    for patient in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        found = io.discover([patient])
        skipped += found.skipped
        name = patient.name.split(".")[0] if patient.is_file() else patient.name
        for place, item in enumerate(found.items):
            if item.own_output:
                skipped.append(io.Skipped(item.path, io.Reason.EARLIER_OUTPUT))
            elif item.modality not in (modality.upper(), "OT"):
                skipped.append(io.Skipped(item.path, io.Reason.OTHER_MODALITY, item.modality))
            else:
                label = f"{patient.name}/{item.name}" + (f"#{item.part[0]}" if item.part[1] > 1 else "")
                scans.append(Scan(patient, folder.name, name, _thickness(item), label, place))
    return scans, skipped


def _thickness(item: SeriesItem) -> float:
    """Slice Thickness (0018,0050) in mm of a classic DICOM series; 0 where it is not said."""
    if item.kind != "dicom":
        return 0.0
    from medidiff.io.dicom.file import open_dicom, parse

    with open_dicom(item.files[0]) as file:
        header = parse(file, stop_before_pixels=True, specific_tags=["SliceThickness"])
    try:
        thickness = float(header.get("SliceThickness") or 0.0)
    except (TypeError, ValueError):
        return 0.0
    return thickness if 0.0 <= thickness < math.inf else 0.0
