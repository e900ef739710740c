"""Which format a file has, told by its content; names and extensions do not count."""

from __future__ import annotations

import gzip
import io
import os
from enum import Enum
from pathlib import Path
from typing import IO, cast

from . import archive
from .items import Reason
from .streams import Stream, Unpacked, most_unpacked

HEAD_BYTES = 1024
ZIP = (b"PK\3\4", b"PK\5\6")
ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd")
"""First bytes of 7z, rar, xz, bzip2 and Zstandard files."""


class Format(Enum):
    """What the first bytes of a file say."""

    DICOM = "DICOM"
    DICOM_HEADLESS = "DICOM without preamble"
    NIFTI = "NIfTI"
    NIFTI_PAIR = "header of a NIfTI header/image pair"
    ANALYZE = "header of an Analyze 7.5 pair"
    NRRD = "NRRD"
    META = "MetaImage"
    ZIP = "zip"
    ARCHIVE = "another archive"
    JSON = "JSON"
    EMPTY = "empty"
    OTHER = "other"


def open_stored(path: Path) -> Stream:
    """Opens a file on disk or a member of a zip file (``scans.zip/inner/IM1``) as it is stored.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return Stream(io.FileIO(path))
    except NotADirectoryError:
        return archive.open_member(path)


def open_image(path: Path) -> IO[bytes]:
    """Opens a file for reading, unpacking zip and gzip on the way.

    Raises:
        OSError: it cannot be read; reading may raise `BadStream`.
    """
    file = open_stored(path)
    try:
        if not is_gzip(file.peek(2)):
            return cast("IO[bytes]", file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    raw = Unpacked(
        gzip.GzipFile(fileobj=file), file, size=None, limit=most_unpacked(size), damaged=Reason.DAMAGED_GZIP
    )
    return cast("IO[bytes]", Stream(raw))


def is_gzip(head: bytes) -> bool:
    """True for a gzip stream (RFC 1952)."""
    return head[:2] == b"\x1f\x8b"


def is_packed(path: Path) -> bool:
    """True for a gzip file."""
    with open_stored(path) as file:
        return is_gzip(file.peek(2))


def is_zip(path: Path) -> bool:
    """True for a zip file on disk."""
    with path.open("rb") as file:
        return file.read(4) in ZIP


def stored_size(path: Path) -> int:
    """Bytes of a file as it is stored: on disk, or unpacked from a zip file but not from gzip."""
    with open_stored(path) as file:
        return file.seek(0, os.SEEK_END)


def exists(path: Path) -> bool:
    """True for a file on disk or in a zip file."""
    try:
        return path.exists() or archive.find(path) is not None
    except OSError:
        return False


def head_of(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, unpacked where it is gzip.

    Raises:
        OSError: the file cannot be read.
    """
    with open_image(path) as file:
        return file.read(size)


def _looks_headless(head: bytes) -> bool:
    """True for a data set that starts at once with group 0002 or 0008, in either byte order."""
    if len(head) < 16:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(head[0:2], order)
        element = int.from_bytes(head[2:4], order)
        if group not in (0x0002, 0x0008) or element > 0x0070:
            continue
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        length = int.from_bytes(head[4:8], order)
        if explicit or length <= 128:
            return True
    return False


def sniff(path: Path) -> Format:
    """Tells the format of a file from its first bytes (unpacked where gzip).

    Raises:
        OSError: the file cannot be read.
    """
    head = head_of(path)
    if not head:
        return Format.EMPTY if stored_size(path) == 0 else Format.OTHER
    if head[128:132] == b"DICM":
        return Format.DICOM
    if head[344:348] == b"n+1\0" or head[4:12] == b"n+2\0\r\n\032\n":
        return Format.NIFTI
    size = head[:4]
    if head[344:348] == b"ni1\0" or head[4:12] == b"ni2\0\r\n\032\n":
        return Format.NIFTI_PAIR
    if size in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and len(head) >= 348:  # 348: Analyze 7.5
        return Format.ANALYZE
    if head[:6] == b"NRRD00":
        return Format.NRRD
    if head.startswith(ZIP):
        return Format.ZIP
    if head[257:262] == b"ustar" or head.startswith(ARCHIVES):
        return Format.ARCHIVE
    if b"\0" not in head[:64]:
        lines = [line.split(b"=")[0].strip() for line in head.splitlines()[:12] if b"=" in line]
        if b"NDims" in lines:
            return Format.META
        if head.lstrip()[:1] in (b"{", b"["):
            return Format.JSON
    return Format.DICOM_HEADLESS if _looks_headless(head) else Format.OTHER
