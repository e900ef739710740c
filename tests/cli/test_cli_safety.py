"""Patient text goes nowhere but into DICOM elements; a killed run leaves no half of an output."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from cli_scans import body, ct_series
from pydicom.uid import JPEG2000Lossless

WORDS = ("Qvortrup", "Zebedee", "ZQX99123", "Grimoald")


def named(dataset: pydicom.Dataset, k: int) -> None:
    """Puts the patient's name wherever a scanner or a tired hand may put it."""
    dataset.PatientName, dataset.PatientID, dataset.OtherPatientIDs = (
        "Qvortrup^Zebedee",
        "ZQX99123",
        "ZQX99123",
    )
    dataset.ReferringPhysicianName = dataset.OperatorsName = "Grimoald^Ada"
    dataset.SeriesDescription = "Qvortrup 3 mm zebedee"
    dataset.StudyDescription = dataset.ImageComments = dataset.ProtocolName = "Qvortrup, Zebedee: ZQX99123"
    dataset.PatientComments = "Qvortrup"
    dataset.StudyID = dataset.AccessionNumber = "ZQX99123"


def scans(folder: Path) -> Path:
    """Series of every fate: fine, damaged in header, in pixels, in values, no image, twice."""
    ct_series(folder / "a", change=named)
    ct_series(folder / "b", change=named)  # twice
    ct_series(folder / "c", change=named, series="2", compress=JPEG2000Lossless)
    broken = folder / "c" / "IM001.dcm"
    data = bytearray(broken.read_bytes())
    at = data.index(b"\xff\x4f\xff\x51")
    data[at : at + 2000] = b"Qvortrup" * 250
    broken.write_bytes(data)

    def odd(dataset: pydicom.Dataset, k: int) -> None:
        named(dataset, k)
        dataset["RescaleSlope"]._value = "Zebedee"

    ct_series(folder / "d", change=odd, series="3")
    for series, keyword in ((4, "PixelSpacing"), (5, "ImagePositionPatient"), (6, "InstanceNumber")):

        def other(dataset: pydicom.Dataset, k: int, keyword: str = keyword) -> None:
            named(dataset, k)
            dataset[keyword]._value = "Grimoald"

        ct_series(folder / keyword, change=other, series=str(series))
    whole = (folder / "a" / "IM000.dcm").read_bytes()
    (folder / "cut").write_bytes(whole[:900])
    (folder / "note.txt").write_text("Qvortrup")
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_planted_name_is_nowhere(run: Callable, tmp_path: Path) -> None:
    source = scans(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (p for p in source.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(source))
    said = []
    for path in (source, tmp_path / "in.zip"):
        out = tmp_path / f"out-{path.name}"
        for args in (
            ("inspect", path, "-v"), ("inspect", path, "--json", "--noise"),
            ("denoise", path, "-o", tmp_path / "dry", "--dry-run", "-v"),
            ("denoise", path, "-o", out / "1", "--sigma", "20", "--save-residual", "-v"),
            ("denoise", path, "-o", out / "2", "--strength", "0", "-f", "nifti", "-v"),
            ("denoise", path, "-o", out / "3", "--strength", "0", "-f", "nrrd",
             "--progress", "jsonl"),
        ):  # fmt: skip
            ran = run(*args)
            assert "Traceback" not in ran.err or "-v" in args
            said.append((args, ran.out + ran.err))
    for args, text in said:
        assert len(text) > 50
        assert not [w for w in WORDS if w.lower() in text.lower()], (args, text)
    outputs = [p for p in tmp_path.rglob("*") if p.name in ("1", "2", "3") and p.is_dir()]
    assert len(outputs) == 6
    files = [p for folder in outputs for p in folder.rglob("*")]
    assert {p.suffix for p in files} >= {".dcm", ".json", ".gz", ".nrrd"}
    for path in files:
        relative = str(path.relative_to(tmp_path))
        assert not [w for w in WORDS if w.lower() in relative.lower()]
        if path.is_file() and path.suffix != ".dcm":
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
            assert not [w for w in WORDS if w.lower().encode() in data.lower()], relative


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_file_names_that_are_no_text(run: Callable, tmp_path: Path) -> None:
    """A scan is denoised whatever its name, and its name does no harm on the way."""
    (tmp_path / "in").mkdir()
    values = np.random.default_rng(0).normal(100, 5, (16, 16, 4)).astype(np.float32)
    data = nib.Nifti1Image(values, np.eye(4)).to_bytes()
    for name in (b"latin-\xfc.nii", b"\x1b[2Jclear.nii", b"new\nline.nii", "läuft 你好.nii".encode()):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "in"), name))).write_bytes(data)
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "in"), b"\xff.txt"))).write_text("x")
    for args in (("inspect",), ("inspect", "--json"), ("denoise", "-o", tmp_path / "out", "--strength", "0")):
        ran = run(args[0], tmp_path / "in", *args[1:])
        assert ran.code == 0, ran.err
        assert "Traceback" not in ran.err
        assert "\x1b" not in ran.out + ran.err
    assert len(list((tmp_path / "out").glob("*_desc-denoised.nii"))) == 4


def content(path: Path) -> str:
    """A checksum over names, times and bytes of all that lies at a path."""
    digest = hashlib.sha256()
    for file in sorted([path, *path.rglob("*")]):
        digest.update(f"{file} {file.stat().st_mtime_ns}".encode())
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def big_scan(folder: Path, kind: str) -> Path:
    """A scan that takes a while to write."""
    if kind == "nifti":
        folder.mkdir()
        values = np.random.default_rng(0).normal(500, 50, (128, 128, 60)).astype(np.float32)
        nib.save(nib.Nifti1Image(values, np.eye(4)), folder / "T1w.nii.gz")
        return folder
    ct_series(folder, stored=np.tile(body(4, (128, 128)), (15, 1, 1)), slices=60)
    if kind == "dicom":
        return folder
    with zipfile.ZipFile(folder / "scans.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.glob("*.dcm"):
            archive.write(file, file.name)
            file.unlink()
    return folder / "scans.zip"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("kind", ["dicom", "zip", "nifti"])
def test_kill_9_in_mid_write(tmp_path: Path, environment: dict[str, str], run: Callable, kind: str) -> None:
    source = big_scan(tmp_path / "in", kind)
    before = content(tmp_path / "in")
    out = tmp_path / "out"
    command = ["denoise", str(source), "-o", str(out), "--strength", "0"]
    process = subprocess.Popen([sys.executable, "-m", "medidiff", *command], env=environment)
    try:
        while not [p for p in out.glob(".medidiff-*.part/new*") if p.is_file() or any(p.iterdir())]:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = [p.name for p in out.iterdir()]
    assert left
    assert all(name.startswith(".medidiff-") and name.endswith(".part") for name in left)
    assert content(tmp_path / "in") == before
    ran = run("inspect", out)
    assert ran.code == 3  # no image: half an output is never taken for one
    for name in left:
        os.utime(out / name, (0, 0))
    assert run(*command, "--overwrite").code == 0
    assert not [p.name for p in out.iterdir() if p.name.endswith(".part")]
    assert content(tmp_path / "in") == before
    assert len(list(out.rglob("*"))) == {"dicom": 62, "zip": 62, "nifti": 3}[kind]
