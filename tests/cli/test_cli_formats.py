"""What goes in and comes out at the command line: stacks of a series, export, copies, reason codes."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_scans import SMALL, body, ct_series, mr_nifti, tree
from dicom_enhanced import make_enhanced
from dicom_series import make_series

from medidiff.errors import PixelError
from medidiff.io import Reason, discover, read

NOISE = ("--sigma", "20")


def two_stacks(folder: Path) -> Path:
    """A CT series of which two slices have another pixel spacing."""
    ct_series(folder, slices=4)
    ct_series(folder, slices=2, spacing=(1.4, 1.6), first=10, name="B{:03d}".format)
    return folder


def report(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def test_the_stacks_of_a_series_make_one_series(run: Callable, tmp_path: Path) -> None:
    ran = run("denoise", two_stacks(tmp_path / "in"), "-o", tmp_path / "out", *NOISE)
    assert ran.code == 0, ran.err
    (folder,) = ran.lines
    headers = [pydicom.dcmread(f) for f in sorted(Path(folder).iterdir())]
    assert len(headers) == 6
    assert len({h.SeriesInstanceUID for h in headers}) == 1
    assert [s["stack"] for s in report(tmp_path / "out")["series"]] == [[1, 2], [2, 2]]
    assert "stack 1 of 2" in ran.err


def test_a_stack_that_fails_does_not_cost_the_other(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_all_but_one(item: object) -> object:
        if item.part[0] == 2:  # type: ignore[attr-defined]
            raise PixelError("cannot be decoded", where=item.files[0])  # type: ignore[attr-defined]
        return read(item)  # type: ignore[arg-type]

    monkeypatch.setattr("medidiff.batch.series.read", read_all_but_one)
    ran = run("denoise", two_stacks(tmp_path / "in"), "-o", tmp_path / "out", *NOISE)
    assert ran.code == 4
    found = report(tmp_path / "out")["series"]
    assert sorted((s["status"], s["code"]) for s in found) == [("denoised", ""), ("refused", "PIXELS")]
    assert len(list(Path(ran.lines[0]).iterdir())) in (2, 4)


def test_an_enhanced_image_comes_back_as_one(run: Callable, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    depths = [6.0, 0.0, 3.0]
    stored = rng.normal(40, 20, (3, *SMALL)).astype(np.int16)
    make_enhanced(tmp_path / "in" / "x", depths=depths, stored=stored, slope=[1.0, 0.5, 2.0])
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE, "--save-residual")
    assert ran.code == 0, ran.err
    volumes = {}
    for word, line in zip(("denoised", "residual"), ran.lines, strict=True):
        (file,) = Path(line).iterdir()
        header = pydicom.dcmread(file)
        assert header.SOPClassUID.name == "Enhanced CT Image Storage"
        places = [float(g.PlanePositionSequence[0].ImagePositionPatient[2])
                  for g in header.PerFrameFunctionalGroupsSequence]  # fmt: skip
        assert [p - 5 for p in places] == depths
        volumes[word] = read(discover([file]).items[0]).array
    source = read(discover([tmp_path / "in"]).items[0]).array
    assert not np.array_equal(volumes["denoised"], source)
    np.testing.assert_allclose(source - volumes["denoised"], volumes["residual"], atol=1.01)


def test_a_full_disk_leaves_nothing_of_any_stack(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medidiff.io.dicom import writer as dicom_writer

    save = dicom_writer.save

    def full(new: object, path: Path) -> None:
        if path.name == "0005.dcm":  # the first slice of the second stack
            raise OSError(28, "No space left on device")
        save(new, path)  # type: ignore[arg-type]

    monkeypatch.setattr(dicom_writer, "save", full)
    ran = run("denoise", two_stacks(tmp_path / "in"), "-o", tmp_path / "out", *NOISE)
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert tree(tmp_path / "out") == ["report.json"]
    assert {s["code"] for s in report(tmp_path / "out")["series"]} == {"OUTPUT"}


@pytest.mark.parametrize(("name", "end"), [("nifti", ".nii.gz"), ("nrrd", ".nrrd"), ("mha", ".mha")])
def test_a_series_is_exported(run: Callable, tmp_path: Path, name: str, end: str) -> None:
    source = ct_series(tmp_path / "in")
    again = ("denoise", source, "-o", tmp_path / "out", *NOISE)
    ran = run(*again, "--format", name, "--save-residual")
    assert ran.code == 0, ran.err
    assert [Path(line).name.endswith(f"_desc-{word}{end}") for line, word in
            zip(ran.lines, ("denoised", "residual"), strict=True)] == [True, True]  # fmt: skip
    (dicom,) = run(*again).lines
    kinds = [read(discover([Path(p)]).items[0]) for p in (ran.lines[0], dicom)]
    np.testing.assert_array_equal(kinds[0].array, kinds[1].array)
    np.testing.assert_allclose(kinds[0].affine, kinds[1].affine, atol=1e-4)


def test_an_irregular_series_is_refused_before_any_work(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in", tilt=15.0)
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE, "-f", "nifti")
    assert ran.code == 5
    assert "tilt 15.0 degrees" in ran.sentence
    assert [s["code"] for s in report(tmp_path / "out")["series"]] == ["NOT_REGULAR"]


def test_strength_0_needs_no_model(run: Callable, tmp_path: Path) -> None:
    """PET, an image of unknown modality and one too small to measure its noise all come back as they are."""
    stored = make_series(tmp_path / "in" / "pet", modality="PT", slope=[1.5, 0.3, 2.0, 1.0, 0.7])
    mr_nifti(tmp_path / "in" / "unknown.nii.gz", (6, 5, 3))
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out", "--strength", "0")
    assert ran.code == 0, ran.err
    pet = next(Path(line) for line in ran.lines if Path(line).is_dir())
    files = sorted(pet.iterdir())
    np.testing.assert_array_equal([pydicom.dcmread(f).pixel_array for f in files], stored)
    header = pydicom.dcmread(files[0])
    assert "pixel values unchanged" in header.DerivationDescription
    assert header.SeriesDescription.endswith("medidiff copy (research)")
    assert "DerivationCodeSequence" not in header
    assert {s["model"] for s in report(tmp_path / "out")["series"]} == {None}
    assert "strength 0" in ran.err


def test_pet_is_refused_with_a_reason(run: Callable, tmp_path: Path) -> None:
    make_series(tmp_path / "in", modality="PT")
    ran = run("denoise", tmp_path / "in", "-o", tmp_path / "out")
    assert ran.code == 5
    assert "no model" in ran.sentence
    assert [s["code"] for s in report(tmp_path / "out")["series"]] == ["NO_MODEL"]
    assert tree(tmp_path / "out") == ["report.json"]


def test_reasons_have_the_same_names_in_inspect_and_report(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "ct")
    ct_series(tmp_path / "in" / "cut", series="2", slices=1)
    path = next((tmp_path / "in" / "cut").iterdir())
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "in" / "notes.txt").write_text("hello")
    inspected = json.loads(run("inspect", tmp_path / "in", "--json").out)["skipped"]
    run("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE)
    reported = report(tmp_path / "out")["skipped_files"]
    assert {s["code"] for s in inspected} == {s["code"] for s in reported} == {"TRUNCATED", "NOT_AN_IMAGE"}
    assert {s["code"] for s in inspected} <= set(Reason.__members__)


def test_options_reach_the_header(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in", stored=body(2, SMALL), slices=2)
    out = tmp_path / "out"
    args = ("--series-description", "Quarter dose", "--synthetic-data")
    ran = run("denoise", source, "-o", out, *NOISE, *args)
    header = pydicom.dcmread(sorted(Path(ran.lines[0]).iterdir())[0])
    assert header.SeriesDescription == "Quarter dose medidiff denoised (research)"
    assert header.SyntheticData == "YES"
    plain = run("denoise", source, "-o", tmp_path / "plain", *NOISE)
    other = pydicom.dcmread(sorted(Path(plain.lines[0]).iterdir())[0])
    assert "SyntheticData" not in other
    assert other.SeriesInstanceUID != header.SeriesInstanceUID


def test_a_stopped_run_goes_on(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "a")
    again = ("denoise", tmp_path / "in", "-o", tmp_path / "out", *NOISE)
    (first,) = run(*again).lines
    ct_series(tmp_path / "in" / "b", series="2")
    assert run(*again).code == 4  # the first output is in the way
    (second,) = set(run(*again, "--overwrite").lines) - {first}
    before = {p: p.stat().st_mtime_ns for p in Path(first).iterdir()}
    for path in Path(second).iterdir():
        path.unlink()
    Path(second).rmdir()
    ran = run(*again, "--resume")
    assert ran.code == 0
    assert ran.lines == [second]
    assert {p: p.stat().st_mtime_ns for p in Path(first).iterdir()} == before
    codes = [(s["status"], s["code"]) for s in report(tmp_path / "out")["series"]]
    assert sorted(codes) == [("denoised", ""), ("skipped", "DONE")]
    ran = run(*again, "--resume")
    assert ran.code == 0
    assert ran.lines == []


@pytest.mark.parametrize("packing", ["zip", "gzip"])
def test_packed_scans_come_with_a_report(run: Callable, tmp_path: Path, packing: str) -> None:
    source = ct_series(tmp_path / "in")
    (plain,) = run("denoise", source, "-o", tmp_path / "plain", *NOISE).lines
    if packing == "zip":
        given = Path(shutil.make_archive(str(tmp_path / "scan"), "zip", source))
    else:
        given = tmp_path / "packed"
        given.mkdir()
        for path in source.iterdir():
            (given / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    ran = run("denoise", given, "-o", tmp_path / "out", *NOISE, "--report", "--identify")
    assert ran.code == 0, ran.err
    assert "Doe^Jane" in (tmp_path / "out" / "report.html").read_text()
    for a, b in zip(sorted(Path(plain).iterdir()), sorted(Path(ran.lines[0]).iterdir()), strict=True):
        old, new = pydicom.dcmread(a), pydicom.dcmread(b)
        assert old.SOPInstanceUID == new.SOPInstanceUID
        assert old.PixelData == new.PixelData


@pytest.mark.parametrize(("tier", "planes"), [("standard", 3), ("fast", 1)])
def test_a_volume_of_cubic_voxels_says_that_all_planes_were_looked_at(
    run: Callable, tmp_path: Path, tier: str, planes: int
) -> None:
    scan, out = mr_nifti(tmp_path / "T1w.nii.gz", (64, 66, 65), apart=1.1), tmp_path / "out"
    assert run("denoise", scan, "-o", out, *NOISE, "--tier", tier).code == 0
    assert json.loads((out / "report.json").read_text("utf-8"))["series"][0]["planes"] == planes
    told = "".join(p.read_text("utf-8") for p in out.glob("*.json"))
    assert ("planes 3" in told) == (planes == 3)
