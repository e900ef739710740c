"""Pairing: which series of one folder shows the same place as which series of another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.batch.single import find_one, is_map
from medidiff.batch.skips import nothing_found
from medidiff.errors import UsageError
from medidiff.evaluation.compare import on_same_grid
from medidiff.io import SeriesItem, discover
from medidiff.io.grid import affine_for
from medidiff.io.names import image_stem
from medidiff.report import hashed, pseudonym

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


@dataclass(frozen=True, eq=False)
class Pairing:
    """All references with their partners.

    Attributes:
        pairs: one for each reference.
        left_over: for each test path the series that belong to no reference.
    """

    pairs: tuple[Pair, ...]
    left_over: tuple[tuple[SeriesItem, ...], ...]


def pairs_of(reference: Path, tests: Sequence[Path]) -> Pairing:
    """The series under a reference path, each with its partner under every test path.

    One reference series: there must be one series under each test path, whatever it is called. Several:
    partners have the same matrix, spacing and place; two DICOM series are of the same patient, two files have
    the same name (but for ``_desc-...``) and BIDS subject. Where that leaves several, files have the same
    folder too. No series is the partner of two. Residual and uncertainty maps of medidiff are no partners.

    Args:
        reference: file or folder.
        tests: files or folders.

    Raises:
        NoImageError: nothing lies there.
        UsageError: several series qualify as a partner, or none does for any reference under a test path.
    """
    found = _series(reference)
    if len(found) == 1:
        only = Pair(found[0], tuple(find_one(path, "The test scan", result=True) for path in tests))
        return Pairing((only,), ((),) * len(tests))
    arms, left_over = [], []
    for path in tests:
        candidates = _series(path)
        mine = _partners(found, candidates, path)
        if not any(mine):
            raise UsageError(
                "No test scan belongs to a reference scan: matrix, spacing, place, patient or name differ",
                where=path,
                hint="Files of several references need the references' names, but for _desc-...; one file "
                "is compared with one file whatever their names.",
            )
        arms.append(mine)
        left_over.append(tuple(c for c in candidates if c not in mine))
    pairs = (Pair(item, tuple(arm[k] for arm in arms)) for k, item in enumerate(found))
    return Pairing(tuple(pairs), tuple(left_over))


def patient_of(item: SeriesItem) -> str:
    """A pseudonym that the scans of a patient share, as far as can be known.

    DICOM: a hash of the patient's identity. Other files: the BIDS subject in the name, or the file itself,
    its folder hashed.
    """
    known = pseudonym(item.files[0]) if item.kind == "dicom" else None
    subject = SUBJECT.search(item.name)
    if known or subject:
        return known or (subject.group(1) if subject else "")
    folder, _, stem = item.name.rpartition("/")
    return f"{hashed(str(item.path.parent.absolute()))}/{stem}" if folder else stem


def _series(path: Path) -> list[SeriesItem]:
    found = discover([path])
    kept = [item for item in found.items if not is_map(item)]
    if not kept:
        raise nothing_found([path], found.skipped)
    return kept


def _partners(
    references: list[SeriesItem], candidates: list[SeriesItem], where: Path
) -> list[SeriesItem | None]:
    """For each reference the series that belongs to it; None if there is none."""
    fitting = [[c for c in candidates if _alike(item, c)] for item in references]
    for k, item in enumerate(references):
        fitting[k] = [c for c in fitting[k] if _in_same_folder(item, c)] or fitting[k]
    sure = [
        f[0] if len(f) == 1 and _in_same_folder(r, f[0]) else None
        for r, f in zip(references, fitting, strict=True)
    ]
    partners: list[SeriesItem | None] = []
    for k, item in enumerate(references):
        like = [c for c in fitting[k] if sure[k] is c or c not in sure]
        if len(like) > 1:
            raise _ambiguous(
                f"{len(like)} test scans could belong to the reference {item.label}", like, where
            )
        partners.append(like[0] if like else None)
    for partner in partners:
        users = [r for r, p in zip(references, partners, strict=True) if p is partner]
        if partner is not None and len(users) > 1:
            text = f"{len(users)} reference scans could belong to the test scan {partner.label}"
            raise _ambiguous(text, users, where)
    return partners


def _ambiguous(text: str, items: list[SeriesItem], where: Path) -> UsageError:
    return UsageError(
        text,
        where=where,
        received=", ".join(item.label for item in items[:4]),
        hint="Give the folder or file of one reference and of its test scan.",
    )


def _alike(a: SeriesItem, b: SeriesItem) -> bool:
    """Same matrix, spacing and place, and nothing that speaks for different patients."""
    if a.kind == "dicom" and b.kind == "dicom":
        same = pseudonym(a.files[0]) == pseudonym(b.files[0])
    elif a.kind == "dicom" or b.kind == "dicom":
        same = True
    else:
        subjects = {found.group(1) for found in map(SUBJECT.search, (a.name, b.name)) if found}
        same = stem_of(a) == stem_of(b) and len(subjects) < 2
    return same and in_one_place(a, b)


def in_one_place(a: SeriesItem, b: SeriesItem) -> bool:
    """Same matrix, spacing and place."""
    if a.shape != b.shape or any(abs(s - t) > SPACING * s for s, t in zip(a.spacing, b.spacing, strict=True)):
        return False
    return on_same_grid(a.shape, _affine(a), _affine(b), a.spacing)


def stem_of(item: SeriesItem) -> str:
    """What a file is called, without what was done to it."""
    return DERIVED.sub("", image_stem(item.path))


def _in_same_folder(a: SeriesItem, b: SeriesItem) -> bool:
    """Two files of the same name below the folders that were named."""
    return "dicom" not in (a.kind, b.kind) and DERIVED.sub("", a.name) == DERIVED.sub("", b.name)


def _affine(item: SeriesItem) -> NDArray[np.float64]:
    """That of the volume, from the headers alone."""
    if item.kind == "dicom":
        found: NDArray[np.float64] = item.headers.stack.affine
        return found
    return affine_for(item.headers.affine, item.headers.slices)
