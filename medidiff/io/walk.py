"""Walk: the files at and below a path, in folders, zip files and DICOM directories."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from . import archive
from .dicom.directory import is_dicomdir, look_up
from .formats import is_zip
from .items import Reason
from .streams import cause

Entry = tuple[Path, Path | None, tuple[Reason, str] | None]
"""A file, the input folder it was found under (None where named itself), and why it is skipped unseen."""


def walk(path: Path) -> Iterator[Entry]:
    """Gives the files at or below a path in a fixed order; links to folders are followed, once each.

    A zip file stands for its members, and a DICOMDIR that is named itself for the files that it names.
    """
    if not os.path.exists(path):  # also for a name too long for the system
        yield path, None, (Reason.NOT_FOUND, "")
    elif path.is_dir():
        yield from _walk_folder(path)
    else:
        yield from _named(path)


def _walk_folder(path: Path) -> Iterator[Entry]:
    visited: set[Path] = set()
    problems: list[Path] = []
    for folder, subfolders, names in os.walk(
        path, followlinks=True, onerror=lambda e: problems.append(Path(str(e.filename)))
    ):
        real = Path(folder).resolve()
        if real in visited:  # a link back up the tree
            subfolders.clear()
            continue
        visited.add(real)
        hidden = [name for name in subfolders if name.startswith(".")]
        yield from ((Path(folder, name), path, (Reason.HIDDEN, "")) for name in hidden)
        subfolders[:] = sorted(set(subfolders) - set(hidden))
        for name in sorted(names):
            yield from _file(Path(folder, name), path)
    yield from ((problem, path, (Reason.UNREADABLE, "")) for problem in problems)


def _file(path: Path, root: Path | None) -> Iterator[Entry]:
    """A file, or what a zip file holds."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or pipe: opening one could wait for ever
            yield path, root, (Reason.NOT_AN_IMAGE, "")
        elif is_zip(path):
            yield from _walk_zip(path, root or path)
        else:
            yield path, root, None
    except OSError as error:
        yield path, root, cause(error)


def _walk_zip(path: Path, root: Path) -> Iterator[Entry]:
    """The members of a zip file; hidden folders in it are not searched."""
    inside = archive.members(path)
    if not inside or archive.is_document(path):
        reason = Reason.NOT_AN_IMAGE if inside else Reason.EMPTY
        yield path, root, (reason, "an office document or program" if inside else "a zip file without files")
        return
    hidden = set()
    for member in inside:
        parents = reversed(member.relative_to(path).parents[:-1])
        if above := next((p for p in parents if p.name.startswith(".")), None):
            hidden.add(path / above)
        else:
            yield member, root, None
    yield from ((folder, root, (Reason.HIDDEN, "")) for folder in sorted(hidden))


def _named(path: Path) -> Iterator[Entry]:
    """A file that the user names; a DICOMDIR means the files that it names."""
    yield from _file(path, None)
    if path.is_file() and is_dicomdir(path):
        there = {file: reason for file, _, reason in _walk_folder(path.parent)}
        for file in look_up(path, there).found:
            yield file, None, there[file]
