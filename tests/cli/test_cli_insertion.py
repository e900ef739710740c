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


def flat_mr(path: Path) -> Path:
    nib = pytest.importorskip("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full((48, 48, 2), 500.0, np.float32), np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


def alike(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("g_map", ["0", "1"])
def test_files_of_one_folder_get_different_noise_and_each_the_same_again(
    run: Callable, tmp_path: Path, g_map: str
) -> None:
    """Whatever lies beside a file, and whether its folder or the file itself was given."""
    nib = pytest.importorskip("nibabel")

    def noise(scans: Path, out: str, seed: int = 1) -> dict[str, np.ndarray]:
        more = ("--sigma", "20", "--seed", seed, "--g-map", g_map)
        ran = run("simulate", "mr", scans, "-o", tmp_path / out, *more)
        assert ran.code == 0, ran.err
        return {Path(p).name[0]: np.asarray(nib.load(p).dataobj) - 500.0 for p in ran.lines}

    a, b = (flat_mr(tmp_path / "in" / f"{name}_T1w.nii.gz") for name in "ab")
    both = noise(tmp_path / "in", "both")
    assert alike(both["a"], both["b"]) == pytest.approx(0.0, abs=0.06)
    assert alike(both["a"][..., 0], both["a"][..., 1]) == pytest.approx(0.0, abs=0.1)
    alone = noise(a, "alone")
    assert np.array_equal(alone["a"], both["a"])
    b.rename(b.with_name("0_T1w.nii.gz"))
    assert np.array_equal(noise(tmp_path / "in", "other")["a"], both["a"])
    assert alike(noise(a, "seed", seed=2)["a"], both["a"]) == pytest.approx(0.0, abs=0.06)


def test_series_and_stacks_get_different_noise(run: Callable, tmp_path: Path) -> None:
    """Two series of one image, the second with two stacks of it: three different noises."""
    import pydicom

    image = np.rint(np.full((2, 64, 64), 40.0)).astype(np.int16)
    ct_series(tmp_path / "in" / "a", slices=2, stored=image, series="a")

    def wider(ds: pydicom.Dataset, k: int) -> None:
        if k >= 2:
            ds.PixelSpacing, ds.InstanceNumber = [2.0, 2.0], k + 1

    twice = np.concatenate([image, image])
    ct_series(tmp_path / "in" / "b", slices=4, stored=twice, series="b", change=wider)
    args = ("simulate", "ct", tmp_path / "in", "--sigma", "30", "--views", "60", "-o")
    ran = run(*args, tmp_path / "out")
    assert ran.code == 0, ran.err
    assert len(ran.lines) == 2

    def noises(folders: list[str]) -> list[np.ndarray]:
        found: dict[tuple[str, float], list[tuple[float, np.ndarray]]] = {}
        for folder in folders:
            for path in Path(folder).iterdir():
                ds = pydicom.dcmread(path)
                where = float(ds.ImagePositionPatient[2])
                key = (folder, float(ds.PixelSpacing[0]))
                found.setdefault(key, []).append((where, ds.pixel_array * ds.RescaleSlope))
        return [np.stack([a for _, a in sorted(v, key=lambda pair: pair[0])]) for v in found.values()]

    made = noises(ran.lines)
    assert len(made) == 3
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(alike(made[one], made[other])) < 0.1
    again = run(*args, tmp_path / "again")
    assert all(np.array_equal(x, y) for x, y in zip(made, noises(again.lines), strict=True))


def test_no_file_can_be_named_as_the_output(run: Callable, tmp_path: Path) -> None:
    clean = mr_nifti(tmp_path / "clean.nii.gz")
    ran = run("simulate", "mr", clean, "-o", tmp_path / "noisy.nii.gz", "--sigma", "6%")
    assert ran.code == 2
    assert f"The output (-o) is a folder. Received: {tmp_path / 'noisy.nii.gz'}." in ran.sentence
