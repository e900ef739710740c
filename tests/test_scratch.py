"""Scratch: large arrays lie in files, keep their values, and take no memory when they are done with."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from medidiff import scratch

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux counts it")
GROWTH = """
import numpy as np
from medidiff import scratch

def peak():
    return [int(l.split()[1]) / 1024 for l in open("/proc/self/status") if l.startswith("VmHWM")][0]

before = peak()
array = scratch.zeros((200, 512, 512))
for k in range(200):
    array[k] = k
    scratch.release(array)
other = scratch.copy(array)
assert all(float(other[k].min()) == float(other[k].max()) == k for k in (0, 99, 199))
print(peak() - before)
"""


@pytest.mark.parametrize("large", [1, 2**40])
def test_values_stay(large: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(scratch, "LARGE", large)
    array = scratch.zeros((5, 7, 9))
    assert array.dtype == np.float32
    assert array.flags.writeable
    assert array.flags.c_contiguous
    assert not array.any()
    values = rng.normal(size=array.shape).astype(np.float32)
    array[...] = values
    scratch.release(array, None, values, array[1:3].T)
    np.testing.assert_array_equal(array, values)
    new = scratch.copy(array[:, ::2])
    np.testing.assert_array_equal(scratch.difference(new, array[:, ::2] * 2), values[:, ::2] * -1)
    array[...] = 0
    np.testing.assert_array_equal(new, values[:, ::2])


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "LARGE", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = scratch.zeros((4, 4, 4))
    array += 1
    assert not list(tmp_path.iterdir())
    assert array.sum() == 64


def test_memory_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder for temporary files, or a full one: the array is in memory."""
    monkeypatch.setattr(scratch, "LARGE", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    assert scratch.zeros((2, 3)).shape == (2, 3)


@LINUX
def test_more_than_a_disk_holds_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room is taken when the array is made: a full disk must not end the process at some later write."""
    asked = []

    def full(descriptor: int, offset: int, size: int) -> None:
        asked.append(size)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "LARGE", 1)
    monkeypatch.setattr("os.posix_fallocate", full)
    array = scratch.zeros((2, 3))
    scratch.release(array)
    assert asked == [24]
    assert array.shape == (2, 3)


@LINUX
def test_peak_memory_does_not_grow_with_what_is_done_with() -> None:
    """Two arrays of 200 MB, a few MB at a time."""
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 30.0
