"""Zip files, read in place: nothing is unpacked to disk, and no name from inside is ever made a file.

A member has a path below the zip file: ``scans.zip/inner/IM1``. An archive is taken whole or refused whole,
so that nobody reads half of one that was made to do harm.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from .items import Reason
from .streams import BadStream, Stream, Unpacked, most_unpacked

MAX_MEMBERS = 100_000
MAX_DIRECTORY = 32 << 20
"""Bytes of the list of members, which is read whole."""

MAX_NAME = 1000
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ENCRYPTED = 0x2041  # bits 0, 6 and 13 of the general purpose flag (APPNOTE 4.4.4)
LOCAL_HEADER = 30
END = b"PK\5\6"
END64 = b"PK\6\6"
TAIL = 66_000
"""The end record may have a comment of 65,535 bytes behind it (APPNOTE 4.3.16)."""

DOCUMENTS = ("[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF")
"""Members by which office files, e-books and Java programs are known."""


@dataclass(frozen=True, eq=False)
class Archive:
    """An open zip file that was found harmless.

    Attributes:
        file: the open file.
        members: its files by their path inside.
    """

    file: ZipFile
    members: Mapping[str, ZipInfo]


def members(path: Path) -> tuple[Path, ...]:
    """The files in a zip file, as paths below it, in a fixed order.

    Raises:
        BadStream: the archive is refused; with its reason.
        OSError: it cannot be read.
    """
    return tuple(path / name for name in sorted(_opened(path).members))


def is_document(path: Path) -> bool:
    """True for a zip file that is an office document or a program, by its members."""
    return any(name in _opened(path).members for name in DOCUMENTS)


def find(path: Path) -> tuple[Archive, ZipInfo] | None:
    """The zip file and the member that a path names, None for any other path.

    Raises:
        OSError: the archive cannot be read.
    """
    for parent in path.parents:
        if parent.is_dir():
            break
        if parent.is_file():
            archive = _opened(parent)
            info = archive.members.get(path.relative_to(parent).as_posix())
            return None if info is None else (archive, info)
    return None


def open_member(path: Path) -> Stream:
    """Opens a member of a zip file.

    Raises:
        OSError: there is no such member, or it cannot be read.
    """
    found = find(path)
    if found is None:
        raise FileNotFoundError(2, "No such file or directory", str(path))
    archive, info = found
    try:
        packed = archive.file.open(info)
    except (BadZipFile, NotImplementedError) as error:
        raise BadStream(Reason.DAMAGED_ZIP) from error
    return Stream(
        Unpacked(packed, None, size=info.file_size, limit=info.file_size, damaged=Reason.DAMAGED_ZIP)
    )


def _opened(path: Path) -> Archive:
    now = path.stat()
    return _open(path.resolve(), now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=4)
def _open(path: Path, changed: int, size: int) -> Archive:
    """Opens a zip file; `changed` and `size` tell one that was replaced since."""
    if _directory_size(path, size) > MAX_DIRECTORY:
        raise BadStream(Reason.PACKING_BOMB, "too many members")
    try:
        file = ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # names that are no text, fields that contradict each other ...
        raise BadStream(Reason.DAMAGED_ZIP) from error
    try:
        return Archive(file, _checked(file, size))
    except BaseException:
        file.close()
        raise


def _directory_size(path: Path, size: int) -> int:
    """The largest size of the list of members that an end record claims."""
    with path.open("rb") as file:
        file.seek(max(size - TAIL, 0))
        tail = file.read(TAIL)
    claims = [int.from_bytes(tail[m.start() + 12 : m.start() + 16], "little") for m in re.finditer(END, tail)]
    wide = [int.from_bytes(tail[m.start() + 40 : m.start() + 48], "little") for m in re.finditer(END64, tail)]
    return max([*(c for c in claims if c != 0xFFFFFFFF), *wide], default=0)


def _checked(file: ZipFile, size: int) -> dict[str, ZipInfo]:
    """The members of an archive that does no harm.

    Raises:
        BadStream: it could.
    """
    infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise BadStream(Reason.PACKING_BOMB, f"{len(infos)} members")
    found: dict[str, ZipInfo] = {}
    for info in infos:
        name = info.orig_filename.replace("\\", "/")
        if problem := _unsafe(name, info):
            raise BadStream(Reason.UNSAFE_ZIP, problem)
        if info.flag_bits & ENCRYPTED:
            raise BadStream(Reason.ENCRYPTED_ZIP)
        if name.endswith("/"):
            continue
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise BadStream(Reason.ZIP_METHOD, f"method {info.compress_type}")
        if found.setdefault(PurePosixPath(name).as_posix(), info) is not info:
            raise BadStream(Reason.UNSAFE_ZIP, "two members of one name")
    total = sum(info.file_size for info in infos)
    if total > most_unpacked(size):
        raise BadStream(Reason.PACKING_BOMB, f"{total >> 20} MB from {size} bytes")
    _check_overlap(infos, file.start_dir)
    return found


def _unsafe(name: str, info: ZipInfo) -> str:
    """What is wrong with the name or kind of a member, "" where nothing is."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "an absolute name"
    if ".." in name.split("/"):
        return "a name with .."
    if len(name) > MAX_NAME or CONTROL.search(name) or name in ("", "."):
        return "a name that no file has"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link"
    return ""


def _check_overlap(infos: list[ZipInfo], end: int) -> None:
    """Members that share bytes unpack to more than they hold (Fifield 2019, "A better zip bomb")."""
    spans = sorted((i.header_offset, i.header_offset + LOCAL_HEADER + i.compress_size) for i in infos)
    starts = [*(start for start, _ in spans), end]
    if any(stop > start for (_, stop), start in zip(spans, starts[1:], strict=True)):
        raise BadStream(Reason.PACKING_BOMB, "members that overlap")
