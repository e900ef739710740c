"""``medidiff denoise`` from the outside: outputs, refusals, exit codes, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_scans import body, ct_series, mr_nifti, tree

from medidiff.errors import PixelError
from medidiff.report import hashed

NOISE = ("--sigma", "20")


def test_a_ct_series_becomes_a_derived_series(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    ran = run("denoise", source, "-o", tmp_path / "out", *NOISE, "--save-residual", "--save-uncertainty")
    assert ran.code == 0, ran.err
    denoised, uncertainty, residual = map(Path, ran.lines)
    assert denoised.parent == tmp_path / "out"
    assert residual.name == f"{denoised.name}_residual"
    assert uncertainty.name == f"{denoised.name}_uncertainty"
    assert len(list(denoised.iterdir())) == 4
    first, was = (pydicom.dcmread(sorted(p.iterdir())[0]) for p in (denoised, source))
    assert first.ImageType[0] == "DERIVED"
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == was.SOPInstanceUID
    assert "20 HU (given)" in first.DerivationDescription
    hu, old, removed = (pydicom.dcmread(sorted(p.iterdir())[0]) for p in (denoised, source, residual))
    total = hu.pixel_array * float(hu.RescaleSlope) + float(hu.RescaleIntercept)
    total = total + removed.pixel_array * float(removed.RescaleSlope) + float(removed.RescaleIntercept)
    assert np.abs(total - old.pixel_array).max() <= 1.0  # the denoised image is rounded to whole HU
    assert not np.array_equal(hu.pixel_array, old.pixel_array)


def test_strength_0_gives_the_very_values_back(run: Callable, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    source = mr_nifti(tmp_path / "in" / "scan_T1w.nii.gz")
    ran = run("denoise", source, "-o", tmp_path / "out", "--strength", "0")
    assert ran.code == 0, ran.err
    assert ran.lines == [str(tmp_path / "out" / "scan_T1w_desc-denoised.nii.gz")]
    old, new = (np.asarray(nib.load(p).dataobj) for p in (source, ran.lines[0]))
    assert new.dtype == old.dtype
    assert np.array_equal(old, new)


def test_nrrd_in_nrrd_out_with_the_modality_said(run: Callable, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(body(2))
    image.SetSpacing((0.8, 0.8, 3.0))
    (tmp_path / "in").mkdir()
    sitk.WriteImage(image, str(tmp_path / "in" / "volume.nrrd"))
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", "--modality", "ct", *NOISE)
    assert ran.code == 0, ran.err
    out = sitk.ReadImage(ran.lines[0])
    assert Path(ran.lines[0]).name == "volume_desc-denoised.nrrd"
    assert out.GetSpacing() == image.GetSpacing()
    assert out.GetPixelID() == image.GetPixelID()


def test_stdout_carries_paths_and_stderr_the_rest(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE)
    assert all(Path(line).exists() for line in ran.lines)
    assert "1 file: not an image file" in ran.err
    assert "20 HU (given)" in ran.err
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out2", *NOISE, "-q")
    assert ran.err == ""


def test_the_report_accounts_for_everything(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "ct")
    ct_series(tmp_path / "in" / "pet", modality="PT", series="2", stored=np.abs(body(2)), slices=2)
    (tmp_path / "in" / "notes.txt").write_text("hello")
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE, "--seed", "7")
    assert ran.code == 4
    text = (tmp_path / "out" / "report.json").read_text()
    report = json.loads(text)
    assert report["exit_code"] == 4
    assert report["settings"]["seed"] == 7
    assert report["models"][0]["name"] == "ct"
    assert len(report["models"][0]["sha256"]) == 64
    assert report["models"][0]["licence"] == "Apache-2.0"
    assert report["engines"][0]["precision"] == "float32"
    by_modality = {s["modality"]: s for s in report["series"]}
    assert by_modality["CT"]["status"] == "denoised"
    assert by_modality["CT"]["sigma"] == 20.0
    assert by_modality["CT"]["outputs"] == {"denoised": Path(ran.lines[0]).name}
    assert by_modality["PT"]["status"] == "refused"
    assert "no model" in by_modality["PT"]["reason"]
    assert report["skipped_files"][0]["paths"] == [hashed(str(tmp_path / "in" / "notes.txt")) + ".txt"]
    assert "Doe" not in text  # the patient's name
    assert "PID4711" not in text
    assert str(tmp_path) not in text


def test_existing_output_is_refused_without_overwrite(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    args = ("denoise", source, "-o", tmp_path / "out", *NOISE)
    first = run(*args)
    stamp = {p: p.stat().st_mtime_ns for p in Path(first.lines[0]).iterdir()}
    again = run(*args)
    assert again.code == 5
    assert again.out == ""
    assert "--overwrite" in again.sentence
    assert stamp == {p: p.stat().st_mtime_ns for p in Path(first.lines[0]).iterdir()}
    assert json.loads((tmp_path / "out" / "report-1.json").read_text())["exit_code"] == 0  # the first run's
    assert run(*args, "--overwrite").code == 0
    assert stamp != {p: p.stat().st_mtime_ns for p in Path(first.lines[0]).iterdir()}


def test_an_input_is_never_overwritten(run: Callable, tmp_path: Path) -> None:
    source = mr_nifti(tmp_path / "scan_T1w_desc-denoised.nii.gz")
    shutil.copy(source, tmp_path / "scan_T1w.nii.gz")
    before = source.read_bytes()
    ran = run("denoise", tmp_path / "scan_T1w.nii.gz", source, "-o", tmp_path, "--sigma", "20", "--overwrite")
    assert ran.code == 4
    assert "would replace an input" in ran.err
    assert source.read_bytes() == before


def test_dry_run_writes_nothing(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    ran = run("denoise", source, "-o", tmp_path / "out", "--save-residual", "--dry-run")
    assert ran.code == 0
    assert len(ran.lines) == 2
    assert not (tmp_path / "out").exists()
    planned = set(ran.lines)
    assert set(run("denoise", source, "-o", tmp_path / "out", "--save-residual", *NOISE).lines) == planned


def test_a_dry_run_ends_as_the_run_would(run: Callable, tmp_path: Path) -> None:
    """With a damaged file beside a scan, and then with the output there and a way to go on."""
    source = ct_series(tmp_path / "in")
    (source / "bad.zip").write_bytes(b"PK\x03\x04 no zip")
    todo = ("denoise", source, "-o", tmp_path / "out", "--strength", "0")
    assert run(*todo, "--dry-run").code == run(*todo).code == 4
    (source / "bad.zip").unlink()
    again = run(*todo)
    assert run(*todo, "--dry-run").code == again.code == 5
    assert "Use --resume to go on" in again.err
    assert run(*todo, "--dry-run", "--resume").code == run(*todo, "--resume").code == 0


def test_earlier_outputs_below_the_input_are_not_denoised_again(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    run("denoise", source, "-o", source / "out", *NOISE)
    ran = run("denoise", source, "-o", source / "out", *NOISE, "--overwrite")
    assert ran.code == 0
    assert len(ran.lines) == 1
    assert "earlier run" in ran.err


def test_a_file_of_unknown_modality_needs_a_word(run: Callable, tmp_path: Path) -> None:
    source = mr_nifti(tmp_path / "scan.nii.gz")
    ran = run("denoise", source, "-o", tmp_path / "out", "--sigma", "20")
    assert ran.code == 5
    assert "--modality" in ran.sentence
    assert run("denoise", source, "-o", tmp_path / "out", "--sigma", "20", "--model", "mr").code == 0
    ran = run("denoise", source, "-o", tmp_path / "out2", "--sigma", "20", "--modality", "mr")
    assert ran.code == 0


def test_a_model_for_another_modality_is_refused(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    ran = run("denoise", source, "-o", tmp_path / "out", "--model", "mr", *NOISE)
    assert ran.code == 5
    assert "is CT" in ran.sentence
    ran = run("denoise", source, "-o", tmp_path / "out", "--model", "mr", "--modality", "ct", *NOISE)
    assert ran.code == 2
    assert "Received: --modality ct" in ran.sentence


def test_a_noise_map_must_lie_on_the_grid(run: Callable, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    source = mr_nifti(tmp_path / "scan_T1w.nii.gz")
    image = nib.load(source)
    nib.save(nib.Nifti1Image(np.full(image.shape, 20.0, np.float32), image.affine), tmp_path / "sd.nii.gz")
    nib.save(nib.Nifti1Image(np.full((4, 4, 3), 20.0, np.float32), image.affine), tmp_path / "small.nii.gz")
    ran = run("denoise", source, "-o", tmp_path / "out", "--sigma", tmp_path / "sd.nii.gz")
    assert ran.code == 0, ran.err
    assert "20 a.u. (map)" in ran.err
    ran = run("denoise", source, "-o", tmp_path / "out2", "--sigma", tmp_path / "small.nii.gz")
    assert ran.code == 2
    assert "noise map" in ran.sentence


def test_other_series_go_on_when_one_fails(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medidiff import io

    ct_series(tmp_path / "in" / "good")
    bad = ct_series(tmp_path / "in" / "bad", series="2")
    path = sorted(bad.iterdir())[1]

    def read(item: io.SeriesItem) -> object:
        if item.path == bad:
            raise PixelError("cannot be decoded", where=path)
        return io.read(item)

    monkeypatch.setattr("medidiff.batch.series.read", read)
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE)
    assert ran.code == 4
    assert len(ran.lines) == 1
    assert path.name in ran.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sorted(s["status"] for s in report["series"]) == ["denoised", "refused"]
    assert tree(tmp_path / "out") == sorted(
        [
            "report.json",
            Path(ran.lines[0]).name,
            *(f"{Path(ran.lines[0]).name}/000{k}.dcm" for k in (1, 2, 3, 4)),
        ]
    )


def test_a_damaged_slice_is_told_with_the_exit_code(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    path = sorted(source.iterdir())[1]
    path.write_bytes(path.read_bytes()[:-1500])
    ran = run("denoise", source, "-o", tmp_path / "out", *NOISE)
    assert ran.code == 4
    assert len(list(Path(ran.lines[0]).iterdir())) == 3
    assert "1 file: the file ends early" in ran.err


# Bad input: one sentence, the right exit code, no traceback, no partial file.


def refused(run: Callable, tmp_path: Path, source: Path, code: int, *args: str) -> str:
    """The sentence of a run that must end with `code` and leave nothing but a report."""
    ran = run("denoise", source, "-o", tmp_path / "out", *args)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert tree(tmp_path / "out") in ([], ["report.json"])
    return ran.sentence


def test_an_empty_folder(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "no CT or MR image" in refused(run, tmp_path, tmp_path / "in", 3)
    assert not (tmp_path / "out").exists()


def test_a_text_file(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    assert "not an image file" in refused(run, tmp_path, tmp_path / "a.txt", 3)


def test_an_rgb_image(run: Callable, tmp_path: Path) -> None:
    def colour(ds: pydicom.Dataset, k: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = bytes(3 * ds.Rows * ds.Columns)
        ds["PixelData"].VR = "OB"

    ct_series(tmp_path / "in", slices=1, change=colour)
    assert "colour image" in refused(run, tmp_path, tmp_path / "in", 5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["exit_code"] == 5
    assert report["skipped_files"][0]["reason"] == "a colour image"


def test_a_truncated_dicom_file(run: Callable, tmp_path: Path) -> None:
    path = sorted(ct_series(tmp_path / "in", slices=1).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-500])
    assert "the file ends early" in refused(run, tmp_path, tmp_path / "in", 5)


def test_a_series_without_positions(run: Callable, tmp_path: Path) -> None:
    def lose(ds: pydicom.Dataset, k: int) -> None:
        del ds.ImagePositionPatient

    ct_series(tmp_path / "in", change=lose)
    assert "position" in refused(run, tmp_path, tmp_path / "in", 5)


def test_nan_in_a_nifti_comes_back_untouched(run: Callable, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    source = mr_nifti(tmp_path / "scan_T1w.nii")
    image = nib.load(source)
    values = np.asarray(image.dataobj).copy()
    values[:5, :5] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), source)
    ran = run("denoise", source, "-o", tmp_path / "out", "--sigma", "20")
    assert ran.code == 0, ran.err
    new = np.asarray(nib.load(ran.lines[0]).dataobj)
    assert np.array_equal(np.isnan(new), np.isnan(values))


def test_a_nifti_of_nothing_but_nan(run: Callable, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    source = tmp_path / "scan_T1w.nii"
    nib.save(nib.Nifti1Image(np.full((20, 20, 3), np.nan, np.float32), np.eye(4)), source)
    refused(run, tmp_path, source, 5)


def test_a_constant_image_has_no_noise_level(run: Callable, tmp_path: Path) -> None:
    stored = np.full((2, 64, 64), -1000, np.int16)
    source = ct_series(tmp_path / "in", slices=2, stored=stored)
    assert "--sigma" in refused(run, tmp_path, source, 5)


def test_an_unknown_model(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    assert "no such model" in refused(run, tmp_path, source, 7, "--model", "cat")
    assert not (tmp_path / "out").exists()


def test_a_damaged_model(run: Callable, tmp_path: Path, model_home: Path) -> None:
    source = ct_series(tmp_path / "in")
    shutil.copytree(model_home / "models" / "ct", tmp_path / "mine")
    with (tmp_path / "mine" / "network.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    assert "sha256" in refused(run, tmp_path, source, 7, "--model", str(tmp_path / "mine"))


@pytest.mark.parametrize("value", ["-3", "0", "nan", "inf", "much", ""])
def test_a_noise_level_that_is_none(run: Callable, tmp_path: Path, value: str) -> None:
    source = ct_series(tmp_path / "in")
    sentence = refused(run, tmp_path, source, 2, "--sigma", value)
    assert f"Received: {value}" in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "args",
    [("--mode", "mean", "--steps", "4"), ("--samples", "3"), ("--strength", "1.5"), ("--seed", "-1"),
     ("--engine", "torch"), ("--threads", "0")],
    ids=" ".join,
)  # fmt: skip
def test_options_that_make_no_sense(run: Callable, tmp_path: Path, args: tuple[str, ...]) -> None:
    refused(run, tmp_path, ct_series(tmp_path / "in"), 2, *args)


def test_an_engine_that_is_not_installed(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    source = ct_series(tmp_path / "in")
    assert "pip install" in refused(run, tmp_path, source, 7, "--engine", "onnxruntime")


def test_out_is_a_folder(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    ran = run("denoise", source, "-o", tmp_path / "out.mhd")
    assert ran.code == 2
    assert "folder" in ran.sentence
    (tmp_path / "file").write_text("x")
    ran = run("denoise", source, "-o", tmp_path / "file")
    assert ran.code == 1
    assert "a file is where" in ran.sentence


def test_a_foreign_report_is_left_alone(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text('{"mine": 1}')
    ran = run("denoise", source, "-o", tmp_path / "out", *NOISE)
    assert ran.code == 1
    assert "not a report of medidiff" in ran.sentence
    assert tree(tmp_path / "out") == ["report.json"]


def test_out_of_memory(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def big(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("medidiff.denoise.Denoiser.run", big)
    assert "out of memory" in refused(run, tmp_path, ct_series(tmp_path / "in"), 8, *NOISE)


def test_a_bug_in_one_series_is_a_sentence(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise IndexError("odd\nfile")

    monkeypatch.setattr("medidiff.denoise.Denoiser.run", broken)
    assert "IndexError: odd file" in refused(run, tmp_path, ct_series(tmp_path / "in"), 1, *NOISE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    (tmp_path / "locked").mkdir(mode=0o555)
    ran = run("denoise", source, "-o", tmp_path / "locked" / "out", *NOISE)
    assert ran.code == 1
    assert "read-only" in ran.sentence
