"""Scans: the series of a data folder with a manifest, by modality and role, as volumes."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from medidiff.errors import NoImageError
from medidiff.volume import Volume


@dataclass(frozen=True)
class Scan:
    """One series of the manifest.

    Attributes:
        path: folder of a DICOM series or NIfTI file.
        source: collection.
        patient: pseudonym of the collection; the unit by which data are split.
        thickness_mm: slice thickness, 0 if unknown.
        label: short name, unique within the manifest.
    """

    path: Path
    source: str
    patient: str
    thickness_mm: float
    label: str


def data_root(configured: str) -> Path:
    """The folder of scans: ``$MEDIDIFF_DATA``, else as configured."""
    return Path(os.environ.get("MEDIDIFF_DATA", configured))


def list_scans(root: Path, modality: str, role: str) -> list[Scan]:
    """The scans of one role, in the order of the manifest.

    Args:
        root: data folder, holds ``<modality>/manifest.csv``.
        modality: ``"ct"`` or ``"mr"``.
        role: ``"train"`` or ``"val"``; the manifest splits them by patient.

    Raises:
        NoImageError: no manifest, or no scan of this role.
    """
    manifest = root / modality / "manifest.csv"
    if not manifest.is_file():
        raise NoImageError(
            "No training data: manifest.csv is missing",
            where=manifest,
            hint="Set [data] root or MEDIDIFF_DATA to the folder of scans.",
        )
    scans: dict[Path, Scan] = {}
    with manifest.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["role"] != role:
                continue
            path = root / modality / row["path"]
            path = path.parent if modality == "ct" else path
            if path not in scans:
                patient = row.get("patient") or row["subject"]
                thickness = float(row.get("thickness_mm") or 0.0)
                label = str(path.relative_to(root / modality / role))
                scans[path] = Scan(path, row["source"], patient, thickness, label)
    if not scans:
        raise NoImageError(f"No scan of role {role!r}", where=manifest)
    return list(scans.values())


def read_scan(scan: Scan) -> list[Volume]:
    """The volumes of one scan (several where a folder holds several stacks)."""
    from medidiff import io

    discovery = io.discover([scan.path])
    return [io.read(item) for item in discovery.items]
