"""medidiff evaluate: several scans at once, results without a reference, removed noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_scans import ROWS, body, ct_series, patients

SHAPE = (128, 128)


def nifti(path: Path, array: np.ndarray, shift: float = 0.0) -> Path:
    """``[z, y, x]`` as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    affine[2, 3] = shift
    nib.save(nib.Nifti1Image(array.T.astype(np.float32), affine), path)
    return path


def test_several_scans_have_intervals_and_paired_differences(run: Callable, tmp_path: Path) -> None:
    truth, noisy = patients(tmp_path / "t", 0), patients(tmp_path / "n", 8)
    half = patients(tmp_path / "h", 4, which=(0, 2))
    ran = run("evaluate", "--reference", truth, "--test", f"noisy={noisy}", "--test", f"half={half}",
              "--json", tmp_path / "f.json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "3 scans of 3 patients" in ran.out
    assert "half - noisy" in ran.out
    assert "half has no scan for" in ran.out
    assert "window abdomen" in ran.out
    assert "95% bootstrap over 3 patients" in ran.out
    assert "Doe" not in ran.out
    content = json.loads((tmp_path / "f.json").read_text())
    assert "Doe" not in (tmp_path / "f.json").read_text()
    assert [len(s["tests"]) for s in content["scans"]] == [2, 1, 2]
    assert len({s["patient"] for s in content["scans"]}) == 3
    rmse = {s["arm"]: s["per_patient"] for s in content["cohort"]["summaries"] if s["metric"] == "RMSE"}
    assert rmse["noisy"]["value"] == pytest.approx((8 + 16 + 24) / 3, rel=1e-6)
    assert (rmse["noisy"]["low"], rmse["noisy"]["high"]) == pytest.approx((8, 24), rel=1e-6)
    assert rmse["half"]["value"] == pytest.approx((4 + 12) / 2, rel=1e-6)
    (difference,) = (d for d in content["cohort"]["differences"] if d["metric"] == "RMSE")
    assert difference["per_patient"]["value"] == pytest.approx((-4 - 12) / 2, rel=1e-6)
    assert difference["scans"] == 2


def test_scans_of_one_matrix_are_told_apart_by_patient_not_by_order(run: Callable, tmp_path: Path) -> None:
    """Under other folder names and numbers, each scan still meets its own patient's."""
    truth = patients(tmp_path / "t", 0)
    noisy = patients(tmp_path / "n", 8, name="x")
    (noisy / "0").rename(noisy / "z")
    ran = run("evaluate", "--reference", truth, "--test", noisy, "--json", "-")
    assert ran.code == 0, ran.err
    scans = json.loads(ran.out)["scans"]
    assert sorted(s["tests"][0]["rmse"]["mean"] for s in scans) == pytest.approx([8, 16, 24], rel=1e-6)


def test_niftis_are_told_apart_by_name_and_maps_are_no_tests(run: Callable, tmp_path: Path) -> None:
    clean = body(3, SHAPE, sd=0.0).astype(np.float32)
    for k in (1, 2):
        nifti(tmp_path / "t" / f"sub-{k}_CT.nii.gz", clean)
        nifti(tmp_path / "d" / f"sub-{k}_CT_desc-denoised.nii.gz", clean + 5 * k)
        nifti(tmp_path / "d" / f"sub-{k}_CT_desc-uncertainty.nii.gz", np.ones_like(clean))
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "d", "--modality", "ct",
              "--json", "-")  # fmt: skip
    assert ran.code == 0, ran.err
    scans = json.loads(ran.out)["scans"]
    assert [s["patient"] for s in scans] == ["sub-1", "sub-2"]
    assert [s["tests"][0]["rmse"]["mean"] for s in scans] == pytest.approx([5, 10], rel=1e-6)


def test_what_cannot_be_paired_is_refused(run: Callable, tmp_path: Path) -> None:
    truth = patients(tmp_path / "t", 0)
    twice = patients(tmp_path / "n", 8)
    patients(tmp_path / "n" / "again", 8, name="again")
    other = ct_series(tmp_path / "o", slices=4)
    image = nifti(tmp_path / "m.nii.gz", np.ones((3, *SHAPE)))
    for args, code, part in (
        (("--test", twice), 2, "2 test scans could belong"),
        (("--test", other), 2, "No test scan belongs"),
        (("--test", truth, "--mask", image), 2, "has no mask"),
        (("--test", truth, "--scan", truth / "0"), 2, "go with one reference scan"),
    ):
        ran = run("evaluate", "--reference", truth, *args)
        assert ran.code == code, args
        assert part in ran.sentence


def test_the_same_name_at_several_places_is_told_apart_by_place(run: Callable, tmp_path: Path) -> None:
    clean = body(3, SHAPE, sd=0.0).astype(np.float32)
    for k in (1, 2):
        nifti(tmp_path / "t" / str(k) / "ct.nii.gz", clean, shift=100.0 * k)
        nifti(tmp_path / "n" / f"case{k}" / "ct.nii.gz", clean + 5 * k, shift=100.0 * k)
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "n", "--modality", "ct",
              "--json", "-")  # fmt: skip
    assert ran.code == 0, ran.err
    scans = json.loads(ran.out)["scans"]
    assert [s["tests"][0]["rmse"]["mean"] for s in scans] == pytest.approx([5, 10], rel=1e-6)
    assert len({s["patient"] for s in scans}) == 2


def test_ct_and_mr_are_not_averaged(run: Callable, tmp_path: Path) -> None:
    truth = patients(tmp_path / "t", 0, which=(0,))
    ct_series(tmp_path / "t" / "mr", slices=4, modality="MR", slope=None, intercept=None, signed=False,
              stored=np.abs(body(4, SHAPE)).astype(np.uint16), series="mr")  # fmt: skip
    ran = run("evaluate", "--reference", truth, "--test", truth)
    assert ran.code == 2
    assert "must not be averaged" in ran.sentence


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A clean scan, a noisy one and one that has lost four fifths of the noise."""
    clean, noisy = body(3, SHAPE, sd=0.0), body(3, SHAPE, sd=25.0)
    most = np.rint(clean + 0.2 * (noisy - clean)).astype(np.int16)
    return tuple(  # type: ignore[return-value]
        ct_series(tmp_path / name, slices=3, stored=a)
        for name, a in (("clean", clean), ("noisy", noisy), ("most", most))
    )


def test_without_a_reference(run: Callable, tmp_path: Path, pair: tuple[Path, Path, Path]) -> None:
    _, noisy, most = pair
    ran = run("evaluate", "--scan", noisy, "--test", most, "--json", tmp_path / "f.json")
    assert ran.code == 0, ran.err
    assert "no reference; body (largest connected region above -500 HU)" in ran.out
    assert "Noise: blind estimate" in ran.out
    (changes,) = json.loads((tmp_path / "f.json").read_text())["changes"]
    assert changes["noise_left"] == pytest.approx(0.2, abs=0.04)
    assert changes["flags"] == []
    assert [s["removed_sd"] for s in changes["slices"]] == pytest.approx([20.0] * 3, rel=0.05)
    same = run("evaluate", "--scan", noisy, "--test", noisy)
    assert same.code == 0, same.err
    assert "Flag: slices 1, 2, 3: the result is the scan itself." in same.out


def test_with_a_reference_the_removed_noise_is_a_ratio(
    run: Callable, tmp_path: Path, pair: tuple[Path, Path, Path]
) -> None:
    clean, noisy, most = pair
    ran = run("evaluate", "--reference", clean, "--scan", noisy, "--test", most, "--test", noisy,
              "--json", tmp_path / "f.json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "Removed noise: SD(scan - test) / SD(scan - reference)" in ran.out
    content = json.loads((tmp_path / "f.json").read_text())
    assert [t["removed_noise"]["ratio"] for t in content["tests"]] == pytest.approx([0.8, 0.0], abs=0.01)
    assert len(content["changes"]) == 2


def test_misuse_is_one_sentence(run: Callable, tmp_path: Path, pair: tuple[Path, Path, Path]) -> None:
    _, noisy, most = pair
    elsewhere = ct_series(tmp_path / "e", slices=3, shape=(64, 64))
    for args, code, part in (
        (("--test", most), 2, "--reference or --scan"),
        (("--scan", noisy), 2, "at least one --test"),
        (("--scan", noisy, "--test", most, "--report", tmp_path / "r"), 2, "--report needs --reference"),
        (("--scan", noisy, "--test", elsewhere), 5, str(elsewhere)),
        (("--scan", noisy, "--test", most, "--mask", elsewhere), 5, f"{elsewhere}: Reference and mask have"),
        (("--scan", noisy, "--test", f"={most}"), 2, "name before = is missing"),
        (("--scan", noisy, "--test", most, "--reference-sd", 3), 2, "goes with --uncertainty"),
        (("--cohort", tmp_path, "--test", most, "--body"), 2, "Received: --test, --body"),
    ):
        ran = run("evaluate", *args)
        assert ran.code == code, (args, ran.err)
        assert part in ran.sentence


def test_a_slice_identical_in_one_arm_leaves_the_arms_comparable(run: Callable, tmp_path: Path) -> None:
    """Its PSNR is infinite and is left out, which must not make a protocol of its own."""
    for k in (0, 1):
        truth = body(3, SHAPE, sd=0.0)
        noisy, half = truth + 8 * ROWS.astype(np.int16), truth + 4 * ROWS.astype(np.int16)
        half[0] = truth[0]
        paths = [
            ct_series(tmp_path / name / str(k), slices=3, stored=a)
            for name, a in (("t", truth), ("n", noisy), ("h", half))
        ]
        ran = run("evaluate", "--reference", paths[0], "--test", f"noisy={paths[1]}", "--test",
                  f"half={paths[2]}", "--report", tmp_path / "r" / str(k))  # fmt: skip
        assert ran.code == 0, ran.err
    ran = run("evaluate", "--cohort", tmp_path / "r")
    assert ran.code == 0, ran.err
    found = json.loads((tmp_path / "r" / "cohort.json").read_text())["differences"]
    (psnr,) = (d["difference"]["value"] for d in found if d["key"] == "psnr")
    assert psnr == pytest.approx(20 * np.log10(2), abs=1e-4)
