"""DICOMDIR: the files that a DICOM directory names (PS3.3 F.3, PS3.10 8.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats import head_of
from ..items import Reason, Skipped
from .file import open_dicom
from .slice_header import lenient
from .sop_classes import DICOMDIR

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IN_USE = 0xFFFF  # Record In-use Flag (0004,1410)


@dataclass(frozen=True)
class Directory:
    """What a DICOMDIR names.

    Attributes:
        found: files that are there.
        missing: files that are not.
        skipped: the DICOMDIR itself: why it is no image, or why it is not followed.
    """

    found: tuple[Path, ...]
    missing: tuple[Path, ...]
    skipped: Skipped


def is_dicomdir(path: Path) -> bool:
    """True for a Media Storage Directory that can be read, by its content."""
    try:
        head = head_of(path)
    except OSError:
        return False
    return head[128:132] == b"DICM" and b"\2\0\2\0UI\x14\0" + DICOMDIR.encode() in head


def look_up(path: Path, files: Iterable[Path]) -> Directory:
    """Compares a DICOMDIR with the files below its folder.

    A copied disc may have its names in small letters, so case does not count. A name that is not that of a
    file below the folder is never looked up.

    Args:
        path: the DICOMDIR.
        files: files that are there, the others of its folder among them.
    """
    try:
        names = _references(path)
    except Exception as error:  # a damaged header makes pydicom raise almost anything
        return Directory((), (), Skipped(path, Reason.DAMAGED_HEADER, type(error).__name__))
    plain = [name for name in names if all(_is_plain(part) for part in name)]
    there = {str(file).casefold(): file for file in files}
    wanted = {str(file).casefold(): file for file in (path.parent.joinpath(*name) for name in plain)}
    found = tuple(there[key] for key in wanted if key in there)
    missing = tuple(file for key, file in wanted.items() if key not in there)
    unsafe = len(names) - len(plain)
    skipped = Skipped(path, Reason.DICOMDIR)
    if unsafe:
        skipped = Skipped(path, Reason.DICOMDIR_UNSAFE, f"{unsafe} of {len(names)} names")
    return Directory(found, missing, skipped)


def _references(path: Path) -> list[tuple[str, ...]]:
    """Referenced File ID (0004,1500) of every record in use: folder names and a file name."""
    import pydicom

    with lenient(), open_dicom(path) as file:
        dataset = pydicom.dcmread(file, specific_tags=["DirectoryRecordSequence"])
        records: Iterable[Dataset] = dataset.get("DirectoryRecordSequence") or ()
        used = [r for r in records if r.get("RecordInUseFlag", IN_USE) != 0]
        ids: list[Any] = [r.get("ReferencedFileID") for r in used]
    return [(i,) if isinstance(i, str) else tuple(map(str, i)) for i in ids if i]


def _is_plain(part: str) -> bool:
    """True for a name that stays in its folder, on any system."""
    return part not in ("", ".", "..") and not any(c in "/\\:\0" or ord(c) < 32 for c in part)
