"""Which format a file has, told by its content; names and extensions do not count."""

from __future__ import annotations

import gzip
import zlib
from enum import Enum
from pathlib import Path
from typing import IO, cast

HEAD_BYTES = 1024


class Format(Enum):
    """What the first bytes of a file say."""

    DICOM = "DICOM"
    DICOM_HEADLESS = "DICOM without preamble"
    NIFTI = "NIfTI"
    NIFTI_PAIR = "NIfTI or Analyze header/image pair"
    NRRD = "NRRD"
    META = "MetaImage"
    ARCHIVE = "archive"
    JSON = "JSON"
    EMPTY = "empty"
    OTHER = "other"


def is_gzip(head: bytes) -> bool:
    """True for a gzip stream (RFC 1952)."""
    return head[:2] == b"\x1f\x8b"


def head_of(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a file, unpacked where it is gzip; an unreadable gzip stream gives b"".

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(size)
        if not is_gzip(head):
            return head
        file.seek(0)
        try:
            return gzip.GzipFile(fileobj=file).read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return b""


def is_packed(path: Path) -> bool:
    """True for a gzip file."""
    with path.open("rb") as file:
        return is_gzip(file.read(2))


def open_image(path: Path) -> IO[bytes]:
    """Opens a file for reading, unpacking gzip on the way."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


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
        return Format.EMPTY if path.stat().st_size == 0 else Format.OTHER
    if head[128:132] == b"DICM":
        return Format.DICOM
    if head[344:348] == b"n+1\0" or head[4:12] == b"n+2\0\r\n\032\n":
        return Format.NIFTI
    size = head[:4]
    if head[344:348] == b"ni1\0" or head[4:12] == b"ni2\0\r\n\032\n":
        return Format.NIFTI_PAIR
    if size in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and len(head) >= 348:  # 348: Analyze 7.5
        return Format.NIFTI_PAIR
    if head[:6] == b"NRRD00":
        return Format.NRRD
    if head[:4] == b"PK\x03\x04" or head[257:262] == b"ustar":
        return Format.ARCHIVE
    if b"\0" not in head[:64]:
        lines = [line.split(b"=")[0].strip() for line in head.splitlines()[:12] if b"=" in line]
        if b"NDims" in lines:
            return Format.META
        if head.lstrip()[:1] in (b"{", b"["):
            return Format.JSON
    return Format.DICOM_HEADLESS if _looks_headless(head) else Format.OTHER
