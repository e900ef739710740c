"""``--resume`` leaves out what is done, and never takes the output of another scan for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from cli_scans import ct_series
from dicom_series import uid

COPY = ("--strength", "0")
FILES = ("nii", "nii.gz", "nrrd", "mha", "nhdr", "mhd")


def scan(path: Path, seed: int) -> np.ndarray:
    """Writes a file of random values; gives them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(-900, 900, (4, 9, 8)).astype(np.int16)
    if ".nii" in path.name:
        nib.save(nib.Nifti1Image(values, np.diag([1, 1, 3, 1])), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values), path)
    return values


def contents(folder: Path) -> dict[Path, bytes]:
    """All images below a folder with their side-cars."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "report" not in p.name}


def codes(out: Path) -> list[tuple[str, str]]:
    return [(s["status"], s["code"]) for s in json.loads((out / "report.json").read_text())["series"]]


@pytest.mark.parametrize("extension", FILES)
def test_a_scan_of_the_same_name_is_refused(run: Callable, tmp_path: Path, extension: str) -> None:
    for seed, folder in enumerate(("sub1", "sub2")):
        scan(tmp_path / folder / f"ct.{extension}", seed)
    out = tmp_path / "out"
    assert run("denoise", tmp_path / "sub1", "-o", out, *COPY).code == 0
    (out / "report.json").unlink()  # a run that was killed has none
    before = contents(out)
    again = run("denoise", tmp_path / "sub2", "-o", out, *COPY, "--resume")
    assert again.code == 5
    assert again.lines == []
    assert "sub2" in again.err
    assert "belongs to another scan" in again.err
    assert "another output folder" in again.err
    assert contents(out) == before
    assert codes(out) == [("refused", "OTHER_SOURCE")]
    assert run("denoise", tmp_path / "sub2", "-o", out, *COPY, "--resume", "--dry-run").code == 5
    own = run("denoise", tmp_path / "sub1", "-o", out, *COPY, "--resume")
    assert (own.code, own.lines) == (0, [])
    assert codes(out) == [("skipped", "DONE")]
    assert "does not tell" not in own.err
    assert contents(out) == before


def test_the_others_are_denoised(run: Callable, tmp_path: Path) -> None:
    scan(tmp_path / "sub1" / "ct.nii", 0)
    scan(tmp_path / "sub2" / "ct.nii", 1)
    scan(tmp_path / "sub2" / "more.nii", 2)
    out = tmp_path / "out"
    assert run("denoise", tmp_path / "sub1", "-o", out, *COPY).code == 0
    ran = run("denoise", tmp_path / "sub2", "-o", out, *COPY, "--resume")
    assert ran.code == 4
    assert [Path(line).name for line in ran.lines] == ["more_desc-denoised.nii"]


@pytest.mark.parametrize("extension", FILES)
def test_a_scan_that_was_moved_is_known(run: Callable, tmp_path: Path, extension: str) -> None:
    scan(tmp_path / "a" / f"ct.{extension}", 0)
    out = tmp_path / "out"
    assert run("denoise", tmp_path / "a", "-o", out, *COPY, "--save-residual").code == 0
    (tmp_path / "a").rename(tmp_path / "b")
    ran = run("denoise", tmp_path / "b", "-o", out, *COPY, "--save-residual", "--resume")
    assert (ran.code, ran.lines) == (0, [])


@pytest.mark.parametrize("voxels", [False, True])
@pytest.mark.parametrize("extension", ["hdr", "nhdr", "mhd"])
def test_the_voxels_of_a_detached_header_count(
    run: Callable, tmp_path: Path, extension: str, voxels: bool
) -> None:
    source = tmp_path / "a" / f"ct.{extension}"
    if extension == "hdr":
        source.parent.mkdir()
        values = np.zeros((4, 9, 8), np.int16)
        nib.save(nib.Nifti1Pair(values, np.diag([1, 1, 3, 1])), source)
    else:
        scan(source, 0)
    again = ("denoise", source.parent, "-o", tmp_path / "out", *COPY, "--resume")
    assert run(*again).code == 0
    changed = next(p for p in source.parent.iterdir() if (p != source) == voxels)
    data = changed.read_bytes()
    changed.write_bytes(data[:-1] + b"\x07" if voxels else data.replace(b"\n", b"\n#\n", 1))
    if extension == "nhdr" or voxels:  # a comment is no part of the other headers
        assert run(*again).code == 5


@pytest.mark.parametrize("extension", FILES)
def test_an_output_without_a_record_is_taken_for_the_scans(
    run: Callable, tmp_path: Path, extension: str
) -> None:
    """Those of earlier versions, and those whose side-car is lost."""
    scan(tmp_path / "in" / f"ct.{extension}", 0)
    out = tmp_path / "out"
    assert run("denoise", tmp_path / "in", "-o", out, *COPY).code == 0
    for path in contents(out):
        data = path.read_bytes()
        if path.suffix == ".json":
            assert b"SourceDigest" in data
            path.unlink()
        elif ".nii" not in path.name:
            plain = re.sub(rb"medidiff_source.*\n", b"", data, count=1)
            assert plain != data
            path.write_bytes(plain)
    before = contents(out)
    ran = run("denoise", tmp_path / "in", "-o", out, *COPY, "--resume")
    assert (ran.code, ran.lines) == (0, [])
    assert "does not tell from which scan" in ran.err
    assert codes(out) == [("skipped", "DONE")]
    assert contents(out) == before


def test_a_run_that_was_killed_between_side_car_and_image(run: Callable, tmp_path: Path) -> None:
    for seed, folder in enumerate(("a", "b")):
        scan(tmp_path / folder / "ct.nii", seed)
    again = ("-o", tmp_path / "out", *COPY, "--resume")
    (image,) = run("denoise", tmp_path / "a", *again).lines
    before = Path(image).read_bytes()
    Path(image).unlink()
    sidecar = Path(image.replace(".nii", ".json")).read_bytes()
    other = run("denoise", tmp_path / "b", *again)
    assert (other.code, other.lines) == (1, [])
    assert "ct_desc-denoised.json: the output exists" in other.err
    assert Path(image.replace(".nii", ".json")).read_bytes() == sidecar
    assert run("denoise", tmp_path / "a", *again).lines == [image]
    assert Path(image).read_bytes() == before


@pytest.mark.parametrize("name", ["o.nii", "o.nrrd", "o.mha"])
def test_a_named_output_file(run: Callable, tmp_path: Path, name: str) -> None:
    extension = Path(name).suffix
    for seed, folder in enumerate(("a", "b")):
        scan(tmp_path / folder / f"{folder}{extension}", seed)
    assert run("denoise", tmp_path / "a", "-o", tmp_path / name, *COPY).code == 0
    before = (tmp_path / name).read_bytes()
    assert run("denoise", tmp_path / "a", "-o", tmp_path / name, *COPY, "--resume").lines == []
    assert run("denoise", tmp_path / "b", "-o", tmp_path / name, *COPY, "--resume").code == 5
    assert (tmp_path / name).read_bytes() == before


def series(folder: Path, study: str) -> Path:
    """A CT series whose folder name, description and end of the UID are those of any other."""

    def change(ds: pydicom.Dataset, k: int) -> None:
        ds.StudyInstanceUID = uid(study)
        ds.SeriesInstanceUID = f"{uid(study)[:40]}.12345678"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(study, k)

    return ct_series(folder, slices=3, change=change)


@pytest.mark.parametrize("file_format", ["same", "nifti", "nrrd", "mha"])
def test_dicom_series_of_one_name(run: Callable, tmp_path: Path, file_format: str) -> None:
    a, b = series(tmp_path / "a", "A"), series(tmp_path / "b", "B")
    again = ("-o", tmp_path / "out", *COPY, "--format", file_format, "--resume")
    assert run("denoise", a, *again).code == 0
    before = contents(tmp_path / "out")
    assert run("denoise", a, *again).lines == []
    ran = run("denoise", b, *again)
    assert ran.code == 5
    assert "belongs to another scan" in ran.err
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("file_format", ["same", "nifti"])
def test_every_stack_of_a_series_is_known(run: Callable, tmp_path: Path, file_format: str) -> None:
    ct_series(tmp_path / "in", slices=3, spacing=(0.7, 0.7))
    ct_series(tmp_path / "in", slices=3, spacing=(0.9, 0.9), first=3, name="B{:03d}.dcm".format)
    again = ("denoise", tmp_path / "in", "-o", tmp_path / "out", *COPY, "--format", file_format, "--resume")
    assert run(*again).code == 0
    ran = run(*again)
    assert (ran.code, ran.lines) == (0, [])
    assert codes(tmp_path / "out") == [("skipped", "DONE")] * 2
    assert "does not tell" not in ran.err
