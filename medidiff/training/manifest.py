"""Manifest: a table that says which scans of a data folder are for training and which for validation."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medidiff.errors import NoImageError, UsageError

ROLES = ("train", "val")

IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""A file of these names is a scan; any other is one slice of a DICOM series, its folder."""


@dataclass(frozen=True)
class Scan:
    """One series of a data folder.

    Attributes:
        path: file or folder that it lies in.
        source: collection.
        patient: pseudonym of the collection; the unit by which data are split.
        thickness_mm: slice thickness, 0 if unknown.
        label: short name, unique within the data folder.
        place: which of the series under `path` it is, counted from 0; None for all of them.
    """

    path: Path
    source: str
    patient: str
    thickness_mm: float
    label: str
    place: int | None = None


def listed(manifest: Path, role: str) -> list[Scan]:
    """The scans of one role, in the order of the table.

    Columns ``role`` and ``path`` (relative to the manifest: a folder of DICOM series, a slice in it, or an
    image file) are needed; ``patient`` or ``subject``, ``thickness_mm`` and ``source`` are used if there.

    Args:
        manifest: the CSV file.
        role: ``"train"`` or ``"val"``.

    Raises:
        UsageError: a column is missing, or a value makes no sense.
        NoImageError: a path does not exist.
    """
    scans: dict[Path, Scan] = {}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets write a mark of order
            table = csv.DictReader(lines)
            columns = table.fieldnames or []
            if missing := {"role", "path"} - set(columns):
                raise UsageError(
                    f"The manifest has no column {sorted(missing)[0]!r}", where=manifest,
                    received=", ".join(columns) or "an empty file", hint="Columns are separated by commas.",
                )  # fmt: skip
            for number, row in enumerate(table, start=2):
                if row["role"] not in ROLES:
                    raise UsageError(
                        f"A role is {' or '.join(ROLES)}", where=f"{manifest}, line {number}",
                        received=row["role"],
                    )  # fmt: skip
                if row["role"] == role and row["path"]:
                    scan = _scan(manifest.parent, role, row, f"{manifest}, line {number}")
                    scans.setdefault(scan.path, scan)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"Not a readable CSV file ({error})", where=manifest) from None
    return list(scans.values())


def _scan(folder: Path, role: str, row: Mapping[str, str | None], where: str) -> Scan:
    """The scan of one line."""
    path = folder / (row["path"] or "")
    if not path.exists():
        raise NoImageError("There is no such scan", where=where, received=row["path"])
    if path.is_file() and not path.name.lower().endswith(IMAGES):
        path = path.parent
    inside = folder / role
    label = str(path.relative_to(inside if path.is_relative_to(inside) else folder))
    try:
        thickness = float(row.get("thickness_mm") or 0.0)
    except ValueError:
        thickness = math.nan
    if not 0.0 <= thickness < math.inf:
        raise UsageError("thickness_mm is a number in mm", where=where, received=row.get("thickness_mm"))
    patient = row.get("patient") or row.get("subject") or label
    return Scan(path, row.get("source") or folder.name, patient, thickness, label)
