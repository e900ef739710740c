"""A series that fails gives its memory back, above all one that had too little of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from cli_scans import mr_nifti

from medidiff.batch import series
from medidiff.denoise import evaluator
from medidiff.io import SeriesItem
from medidiff.volume import Volume


def test_a_series_that_fails_does_not_keep_its_scan(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(3):
        mr_nifti(tmp_path / "in" / f"{k}_T1w.nii.gz", seed=k)
    scans: list[weakref.ref[Volume]] = []
    alive: list[int] = []
    whole = series.read

    def read(item: SeriesItem) -> Volume:
        alive.append(sum(scan() is not None for scan in scans))
        volume = whole(item)
        scans.append(weakref.ref(volume))
        return volume

    def too_much(*_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(series, "read", read)
    monkeypatch.setattr(evaluator, "run_tiled", too_much)
    gc.disable()
    try:
        ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", "-v")
    finally:
        gc.enable()
    assert ran.code == 8, ran.err
    assert alive == [0, 0, 0]
    assert ran.err.count("too_much") == 3  # -v still tells where
