"""What medidiff simulate leaves: derived series with the noise that was asked for, which denoise takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_scans import ct_series, mr_nifti


def test_simulate_ct_makes_a_derived_series_that_denoise_takes(run: Callable, tmp_path: Path) -> None:
    import pydicom

    source = ct_series(tmp_path / "in", slices=2)
    args = ("simulate", "ct", source, "-o", tmp_path / "noisy", "--dose", "0.25", "--full-sigma", "20",
            "--views", "60", "--seed", "3")  # fmt: skip
    ran = run(*args)
    assert ran.code == 0, ran.err
    made = Path(ran.lines[0])
    assert made.name.endswith("_dose25")
    header = pydicom.dcmread(sorted(made.iterdir())[0])
    assert header.DerivationDescription.startswith("dose25: Noise added by medidiff")
    assert "seed 3" in header.DerivationDescription
    assert header.SyntheticData == "YES"
    added = header.pixel_array.astype(float) - pydicom.dcmread(sorted(source.iterdir())[0]).pixel_array
    y, x = np.ogrid[:64, :64]
    inside = np.hypot(y - 32, x - 32) < 20
    assert added[inside].std() == pytest.approx(20 * np.sqrt(3), rel=0.15)
    assert run(*args).code == 1  # there already
    ran = run("denoise", tmp_path / "noisy", "-o", tmp_path / "out", "--sigma", "40")
    assert ran.code == 0, ran.err
    assert len(ran.lines) == 1


def test_simulate_mr_in_percent(run: Callable, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    source = mr_nifti(tmp_path / "scan_T1w.nii.gz")
    ran = run("simulate", "mr", source, "-o", tmp_path / "noisy", "--sigma", "6%")
    assert ran.code == 0, ran.err
    assert ran.lines == [str(tmp_path / "noisy" / "scan_T1w_desc-noise6pct.nii.gz")]
    old, new = (np.asarray(nib.load(p).dataobj) for p in (source, ran.lines[0]))
    # The foreground is 500 with noise of 20: its p99 of block means lies a little above 500.
    assert (new - old)[20:28, 16:24].std() == pytest.approx(0.06 * 510, rel=0.2)
    ran = run("denoise", tmp_path / "noisy", "-o", tmp_path / "out", "--sigma", "36")
    assert ran.code == 0, ran.err


def test_simulate_mr_through_a_window(run: Callable, tmp_path: Path) -> None:
    """Neighbouring pixels of white noise differ by sqrt(2) of its SD, of a Hann window's by sqrt(2/3)."""
    nib = pytest.importorskip("nibabel")
    from medidiff.cli.simulate import WINDOWS
    from medidiff.noise.kspace import NAMED

    assert WINDOWS == ("none", *NAMED)
    scan = tmp_path / "flat_T1w.nii.gz"
    nib.save(nib.Nifti1Image(np.full((64, 64, 6), 500.0, np.float32), np.diag([1.0, 1.0, 3.0, 1.0])), scan)
    for window, expected in (("none", np.sqrt(2.0)), ("hann", np.sqrt(2.0 / 3.0))):
        ran = run("simulate", "mr", scan, "-o", tmp_path / window, "--sigma", "20", "--window", window)
        assert ran.code == 0, ran.err
        noisy = np.asarray(nib.load(ran.lines[0]).dataobj)[8:-8, 8:-8]
        assert np.diff(noisy, axis=0).std() / 20.0 == pytest.approx(expected, rel=0.04)
