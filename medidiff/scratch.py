"""Scratch: room for large arrays outside of memory, so that a scan may be larger than it.

A large array lies in a temporary file without a name (in `$TMPDIR`, or where the system keeps such files)
that is mapped into memory: it is used as any array, and `release` hands back the memory of what is done with.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 32 * 2**20
"""Bytes from which an array lies in a file: 32 slices of 512 x 512."""


def zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A float32 array of zeros; in memory where it is small, or where there is no room for a file.

    Args:
        shape: of the array.
    """
    size = 4 * int(np.prod(shape, dtype=np.int64))
    if size < LARGE:
        return np.zeros(shape, np.float32)
    try:
        with tempfile.TemporaryFile(prefix="medidiff-") as file:
            if sys.platform == "linux":
                # A sparse file on a disk that fills up would end the process (SIGBUS) at some later write.
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), np.float32).reshape(shape)
    except OSError:
        return np.zeros(shape, np.float32)


def copy(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy with memory of its own.

    Args:
        array: float32, copied along its first axis.
    """
    new = zeros(array.shape)
    for old, part in zip(array, new, strict=True):
        part[...] = old
        release(array, new)
    return new


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """a - b.

    Args:
        a: float32, taken along its first axis.
        b: float32 of the same shape.
    """
    new = zeros(a.shape)
    for one, other, part in zip(a, b, new, strict=True):
        np.subtract(one, other, out=part)
        release(a, b, new)
    return new


def release(*arrays: NDArray[Any] | None) -> None:
    """Hands back the memory of arrays that lie in files; their values stay, and are read again when used.

    Args:
        arrays: of `zeros`, or views of such; nothing happens to others.
    """
    for array in arrays:
        mapped = _mapped(array)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(array: Any) -> mmap.mmap | None:
    """The file under an array."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, memoryview):
        array = array.obj
    return array if isinstance(array, mmap.mmap) else None
