"""Input streams that cost no more memory than the file holds, whatever its header claims."""

from __future__ import annotations

import errno
import gzip
import io
import os
import sys
import zipfile
import zlib
from typing import IO, Any

from .items import Reason

PIECE = 1 << 24
"""Bytes read at once: a length field of 2 GB in a file of 1 kB must not allocate 2 GB."""

FREE = 1 << 28
RATIO = 200
"""Packed data may unpack to `FREE` bytes, or to `RATIO` times its size. Scans pack to a half or a tenth."""

MEMBER = 1 << 16
"""Bytes of a gzip stream that are read at once: bgzip makes a member of so many."""

NO_MEMBER = "Not a gzipped file"
"""What Python's gzip says of bytes that do not begin as a member does."""

DEFLATE_RATIO = 1032
"""No deflate stream (RFC 1951) unpacks to more: 258 bytes from 2 bits."""


class BadStream(OSError):
    """Packed data that must not or cannot be unpacked.

    Args:
        reason: the cause.
        detail: what exactly was found.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(errno.EIO, reason.value)
        self.reason = reason
        self.detail = detail


def cause(error: OSError) -> tuple[Reason, str]:
    """The reason why a file could not be read, and its detail."""
    if isinstance(error, BadStream):
        return error.reason, error.detail
    return Reason.UNREADABLE, error.strerror or type(error).__name__


class Stream(io.BufferedReader):
    """A file for reading, which never allocates more than it gives."""

    def read(self, size: int | None = -1) -> bytes:
        """Reads like any file; a large read goes piece by piece."""
        if size is None or size <= PIECE:
            return super().read(size)
        parts = []
        while size > 0 and (part := super().read(min(size, PIECE))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class Unpacked(io.RawIOBase):
    """What a gzip stream or a zip member unpacks to.

    It moves only when it is read: the end of a zip member is known without unpacking it.

    Args:
        packed: a `gzip.GzipFile` or a `zipfile.ZipExtFile`.
        below: what `packed` reads from; closed with it.
        size: bytes that it unpacks to, None where unknown.
        limit: bytes that it may unpack to.
        damaged: the reason where it cannot be unpacked.
    """

    name = ""  # pydicom asks any buffered reader for one

    def __init__(
        self, packed: Any, below: IO[bytes] | None, *, size: int | None, limit: int, damaged: Reason
    ) -> None:
        self._packed = packed
        self._below = below
        self._size = size
        self._limit = limit
        self._damaged = damaged
        self._there = 0
        self._wanted = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True; going back unpacks from the start again."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Sets the place of the next read."""
        if whence == os.SEEK_CUR:
            offset += self._wanted
        elif whence == os.SEEK_END:
            offset += self._end()
        self._wanted = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        """Unpacks the next bytes.

        Raises:
            BadStream: damaged, or more than the limit.
        """
        if self._wanted < self._there:
            self._packed.seek(0)
            self._there = 0
        while self._there < self._wanted:
            if not self._next(min(self._wanted - self._there, PIECE)):
                return 0
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        self._wanted = self._there
        return len(data)

    def _next(self, size: int) -> bytes:
        """Some of the next bytes, so that what comes before a damaged place can be read."""
        if self._there == self._size:
            return b""
        try:
            data: bytes = self._packed.read1(size)
        except gzip.BadGzipFile as error:
            if not self._there or not str(error).startswith(NO_MEMBER):
                raise BadStream(self._damaged) from error
            self._size = self._there  # what is behind the last member is left out, as gzip(1) does
            return b""
        except (EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise BadStream(self._damaged) from error
        self._there += len(data)
        if self._there > self._limit:
            raise BadStream(Reason.PACKING_BOMB, f"more than {self._limit >> 20} MB")
        return data

    def _end(self) -> int:
        if self._size is None:
            while self._next(PIECE):
                pass
            self._size = self._there
        return self._size

    def close(self) -> None:
        """Closes the packed data too."""
        if not self.closed:
            self._packed.close()
            if self._below is not None:
                self._below.close()
        super().close()


def unpacks(file: IO[bytes], size: int, left: int = sys.maxsize) -> bool:
    """True where packed voxels are whole, by their check sum, and unpack to `size` bytes at least.

    A damaged bit seldom ends a deflate stream: what follows is other data, which only the check sum behind
    it tells (RFC 1950, RFC 1952). Who stops at the last voxel does not see that.

    Args:
        file: at the start of a zlib stream, or of a gzip stream of one or more members.
        size: bytes of the image.
        left: bytes of the stream, where that is known.
    """
    inflate, found, ended = _inflater(), 0, False
    while not ended and found <= most_unpacked(size):
        packed = inflate.unconsumed_tail or file.read(min(left, MEMBER))
        left -= 0 if inflate.unconsumed_tail else len(packed)
        try:
            found += len(inflate.decompress(packed, PIECE))
        except zlib.error:
            return False
        if not packed:
            return False
        ended = inflate.eof
        if ended and found < size:  # in the next member
            file.seek(-len(inflate.unused_data), os.SEEK_CUR)
            left += len(inflate.unused_data)
            inflate, ended = _inflater(), False
    return ended


def _inflater() -> Any:
    return zlib.decompressobj(32 + zlib.MAX_WBITS)  # gzip or zlib


def most_unpacked(size: int) -> int:
    """Bytes that packed data of a size may unpack to."""
    return max(FREE, RATIO * size)
