"""Output that appears whole or not at all: built beside its place, then renamed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

OWN_FILE = re.compile(r"\d{4,}\.dcm")
"""Names of the files in a folder that medidiff wrote; nothing else is ever replaced with a folder."""

UNSAFE_AGE = 60.0
"""Seconds after which a temporary folder without a lock belongs to no run."""

TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def check_target(final: Path, *, overwrite: bool, inputs: Collection[Path]) -> None:
    """Refuses an output place that is taken or that would hit an input.

    Args:
        final: folder or file to be made.
        overwrite: True lets an earlier output be replaced.
        inputs: resolved paths that must survive.

    Raises:
        OutputError: with what to do.
    """
    place = final.resolve()
    inside = f"{place}{os.sep}"  # of a folder, or of a zip file
    if place in inputs or any(str(path).startswith(inside) for path in inputs):
        raise OutputError(
            "the output would replace an input", where=final, hint="Choose another output folder (-o)."
        )
    if not final.exists() and not final.is_symlink():
        return
    if not overwrite:
        raise _exists(final)
    if final.is_dir() and (strange := [p.name for p in final.iterdir() if not OWN_FILE.fullmatch(p.name)]):
        raise OutputError(
            "the output folder holds files that medidiff did not write", where=final,
            received=sorted(strange)[0], hint="Move them away first.",
        )  # fmt: skip


def _exists(final: Path) -> OutputError:
    return OutputError(
        "the output exists", where=final, hint="Use --overwrite, or another output folder (-o).",
        code="OUTPUT_EXISTS",
    )  # fmt: skip


@contextmanager
def staged(
    final: Path, *, folder: bool, overwrite: bool, inputs: Collection[Path], extension: str = ""
) -> Iterator[Path]:
    """Gives a temporary place beside `final` and renames it to `final` on success.

    On any exception, Ctrl-C included, nothing new is left and an earlier output is untouched. Of two runs
    that make the same output without `overwrite`, the first to finish keeps it, and the other is told.

    Args:
        final: the folder or file to make.
        folder: True gives an empty folder, False the name of a file to write.
        overwrite: see `check_target`.
        inputs: see `check_target`.
        extension: file extension of the temporary name, for libraries that choose by it.

    Raises:
        OutputError: the disk is full, the folder is read-only, the output exists ...
    """
    with reported(final):
        check_target(final, overwrite=overwrite, inputs=inputs)
        made = _make_parents(final.parent)
        try:
            remove_leftovers(final.parent)
            work = Path(tempfile.mkdtemp(prefix=".medidiff-", suffix=".part", dir=final.parent))
        except BaseException:
            _remove_empty(made)
            raise
        done = False
        lock = _lock(work)
        try:
            new = work / f"new{extension}"
            if folder:
                new.mkdir()
            yield new
            check_target(final, overwrite=overwrite, inputs=inputs)  # much may have happened meanwhile
            if overwrite:
                _swap(new, final, work / "old")
            else:
                _place(new, final)
            done = True
        finally:
            shutil.rmtree(work, ignore_errors=True)
            _unlock(lock)
            if not done:
                _remove_empty(made)


@contextmanager
def reported(final: Path) -> Iterator[None]:
    """Turns an OSError into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            what, hint = (
                "cannot be written: the disk is full",
                "Free some space or choose another folder (-o).",
            )
        elif error.errno in DENIED:
            what, hint = "cannot be written: permission denied or read-only", "Choose another folder (-o)."
        else:
            what, hint = (
                f"cannot be written: {error.strerror or type(error).__name__}",
                "Choose another folder (-o).",
            )
        raise OutputError(what, where=final, hint=hint) from error


def _lock(work: Path) -> int | None:
    """Marks a temporary folder as in use while this process lives; None where that cannot be done."""
    try:
        import fcntl

        handle = os.open(work, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, or a file system without locks
        os.close(handle)
        return None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Removes what killed runs left in a folder.

    A young one may be about to be locked, and one with an earlier output in it is not ours to judge.
    """
    for work in folder.glob(".medidiff-*.part"):
        try:
            old = time.time() - work.stat().st_mtime > UNSAFE_AGE and not (work / "old").exists()
        except OSError:
            continue
        if old and not work.is_symlink() and (lock := _lock(work)) is not None:
            shutil.rmtree(work, ignore_errors=True)
            _unlock(lock)


def _place(new: Path, final: Path) -> None:
    """Renames `new` to `final`, unless something is there by now.

    A folder cannot be renamed to one that holds something, nor on Windows a file to another. Elsewhere a hard
    link does what a rename does, but never replaces; a file system without links leaves a short moment.
    """
    try:
        if new.is_dir() or os.name == "nt":
            os.rename(new, final)
            return
        try:
            os.link(new, final)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            if os.path.lexists(final):
                raise _exists(final) from None
            os.rename(new, final)
    except OSError as error:
        if error.errno in TAKEN and os.path.lexists(final):
            raise _exists(final) from error
        raise


def _swap(new: Path, final: Path, old: Path) -> None:
    """Renames `new` to `final`; a folder in the way moves to `old` and comes back on failure."""
    if not final.is_dir():
        os.replace(new, final)
        return
    os.replace(final, old)
    try:
        os.replace(new, final)
    except BaseException:
        os.replace(old, final)
        raise


def _make_parents(folder: Path) -> list[Path]:
    """Makes a folder with its parents; gives the new ones, innermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.insert(0, path)
    except BaseException:
        _remove_empty(made)
        raise
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # another run uses it by now
            return
