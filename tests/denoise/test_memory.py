"""What was looked at is handed back: memory grows neither with the slices of a scan nor with the scans."""

from __future__ import annotations

import gc
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import PixelWiener, bundle, ct_volume

from medidiff import scratch
from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.context import independent_step
from medidiff.denoise.run import Run
from medidiff.noise.estimate import estimate
from medidiff.volume import Volume

SLICES = 60


def resident(array: np.ndarray) -> float:
    """Slices of an array in memory, as the system counts the pages of its file."""
    inside, start = False, array.ctypes.data
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head:
            low, high = (int(a, 16) for a in head.split("-"))
            inside = low <= start < high
        elif inside and head == "Rss:":
            return int(line.split()[1]) * 1024 / array[0].nbytes
    raise AssertionError("the array lies in no mapping")


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> Volume:
    volume = ct_volume((SLICES, 128, 128))
    monkeypatch.setattr(scratch, "LARGE", 1)
    kept = scratch.copy(volume.array)
    scratch.release(kept)
    return Volume(kept, volume.affine, volume.modality, volume.unit)


@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux counts it")
def test_slices_are_handed_back_before_the_first_is_denoised(scan: Volume) -> None:
    assert resident(scan.array) == 0
    assert scan.array[5, 3, 3] != 0
    assert 0 < resident(scan.array) < 2
    estimate(scan)
    assert resident(scan.array) == 0
    independent_step(scan.array)
    assert resident(scan.array) == 0
    Run(bundle(), PixelWiener(), scan, Settings(mode="sample", sigma=50.0), None)
    assert resident(scan.array) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux counts it")
def test_magnitudes_are_handed_back(scan: Volume) -> None:
    scan.array[...] += 1000
    scan.array[:, :40] -= 900
    scratch.release(scan.array)
    estimate(Volume(scan.array, scan.affine, "MR", "a.u."))
    assert resident(scan.array) == 0


@pytest.mark.parametrize("mode", ["mean", "natural", "sample"])
def test_a_scan_is_gone_with_its_result(mode: str) -> None:
    """Without Python's search for circles of objects, which may come long after the disk is full."""
    volume = ct_volume((3, 64, 64))
    padding = np.zeros(volume.array.shape, bool)
    padding[:, :20, :30] = True
    volume = replace(volume, padding=padding)
    alive = weakref.ref(volume)
    gc.disable()
    try:
        result = Denoiser(bundle(), PixelWiener()).run(volume, Settings(mode=mode, uncertainty=True))
        del volume
        assert alive() is None
        alive = weakref.ref(result.volume)
        del result
        assert alive() is None
    finally:
        gc.enable()
