"""Pairing: which series of one folder shows the same place as which series of another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medidiff.batch.single import find_one
from medidiff.batch.skips import nothing_found
from medidiff.errors import GeometryError, UsageError
from medidiff.evaluation import check_same_grid
from medidiff.io import SeriesItem, discover, read
from medidiff.report import pseudonym
from medidiff.volume import Volume

MAP = re.compile(r"(medidiff |_desc-)(residual|uncertainty)")
"""Marks of what `medidiff denoise` writes beside a result."""

DERIVED = re.compile(r"_desc-[A-Za-z0-9.]+")
SUBJECT = re.compile(r"(?:^|[_/])(sub-[A-Za-z0-9]+)")
SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class Pair:
    """One reference series and what is compared with it.

    Attributes:
        reference: the reference.
        tests: for each test path its series; None where it has none for this reference.
    """

    reference: SeriesItem
    tests: tuple[SeriesItem | None, ...]


def pairs_of(reference: Path, tests: Sequence[Path]) -> tuple[Pair, ...]:
    """The series under a reference path, each with its partner under every test path.

    One reference series: there must be one series under each test path. Several: partners have the same
    matrix, spacing and patient, and if that leaves several, the same file name (but for ``_desc-...``), and
    then the same place. Residual and uncertainty maps of medidiff are no partners.

    Args:
        reference: file or folder.
        tests: files or folders.

    Raises:
        NoImageError: nothing lies there.
        UsageError: several series qualify as a partner, or none does for any reference under a test path.
    """
    found = _series(reference)
    if len(found) == 1:
        return (Pair(found[0], tuple(find_one(path, "The test scan") for path in tests)),)
    partners = []
    for path in tests:
        candidates = _series(path)
        mine = [_partner(item, candidates, path) for item in found]
        if not any(mine):
            raise UsageError(
                "No test scan belongs to a reference scan: matrix, spacing or patient differ", where=path
            )
        partners.append(mine)
    return tuple(Pair(item, tuple(arm[k] for arm in partners)) for k, item in enumerate(found))


def patient_of(item: SeriesItem) -> str:
    """A pseudonym that the scans of a patient share, as far as can be known.

    DICOM: a hash of the patient's identity. Other files: the BIDS subject in the name, or the file itself.
    """
    known = pseudonym(item.files[0]) if item.kind == "dicom" else None
    subject = SUBJECT.search(item.name)
    return known or (subject.group(1) if subject else item.name)


def _series(path: Path) -> list[SeriesItem]:
    found = discover([path])
    kept = [i for i in found.items if not MAP.search(i.description if i.kind == "dicom" else i.path.name)]
    if not kept:
        raise nothing_found([path], found.skipped)
    return kept


def _partner(reference: SeriesItem, candidates: list[SeriesItem], where: Path) -> SeriesItem | None:
    """The series that belongs to a reference; None if there is none."""
    like = [c for c in candidates if _alike(reference, c)]
    if len(like) > 1:
        named = [c for c in like if _stem(c) == _stem(reference)]
        like = named or like
    if len(like) > 1:
        truth = read(reference)
        like = [c for c in like if _same_place(truth, c)]
    if len(like) > 1:
        raise UsageError(
            f"{len(like)} test scans could belong to the reference {reference.label}",
            where=where,
            received=", ".join(c.label for c in like[:4]),
            hint="Give the folder or file of one reference and of its test scan.",
        )
    return like[0] if like else None


def _alike(a: SeriesItem, b: SeriesItem) -> bool:
    """Same matrix and spacing, and not of different patients."""
    if a.shape != b.shape or any(abs(s - t) > SPACING * s for s, t in zip(a.spacing, b.spacing, strict=True)):
        return False
    if a.kind != "dicom" or b.kind != "dicom":
        return True
    return pseudonym(a.files[0]) == pseudonym(b.files[0])


def _stem(item: SeriesItem) -> str:
    """What a file is called, without what was done to it; "" for DICOM, whose names tell nothing."""
    return "" if item.kind == "dicom" else DERIVED.sub("", item.path.name.split(".")[0])


def _same_place(truth: Volume, item: SeriesItem) -> bool:
    try:
        check_same_grid(truth, read(item))
    except GeometryError:
        return False
    return True
