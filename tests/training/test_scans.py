"""Data folders: with a table or without, what is in them and what is left out is told."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from toy import toy_config

from medidiff.errors import NoImageError, RefusedError, UsageError
from medidiff.training import ct_cache, ct_task
from medidiff.training.manifest import Scan
from medidiff.training.scans import find, list_scans, read_scan, unused


def save_nifti(path: Path, level: float = 40.0, shape: tuple[int, int, int] = (72, 64, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).normal(level, 10.0, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-0.8, -0.8, 2.0, 1.0])), path)


def save_series(folder: Path, number: int, thickness: float, modality: str = "CT") -> None:
    """Three slices of pydicom's CT, 2 mm apart."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid(entropy_srcs=[str(folder), str(number)])
    for k in range(3):
        slice_ = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        slice_.SeriesInstanceUID, slice_.SeriesNumber = series, number
        slice_.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(k)])
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
        slice_.ImagePositionPatient = [0.0, 0.0, 2.0 * k]
        slice_.SliceThickness, slice_.Modality = thickness, modality
        if modality == "PT":
            slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
        slice_.save_as(folder / f"{number}_{k}.dcm")


def test_folders_of_patients_need_no_table(tmp_path: Path) -> None:
    """A folder or file each; every series below is a scan of its own, and what is none is told."""
    train = tmp_path / "ct/train"
    save_series(train / "p1/visit", 4, 5.0)
    save_series(train / "p1/visit", 5, 1.25)
    save_series(train / "p1/pet", 6, 3.0, modality="PT")
    save_nifti(train / "p2.nii.gz")
    (train / "p1/notes.txt").write_text("not an image")
    (train / ".hidden").mkdir()
    scans, skipped = find(tmp_path, "ct", "train")
    assert [s.patient for s in scans] == ["p1", "p1", "p2"]
    assert sorted(s.thickness_mm for s in scans) == [0.0, 1.25, 5.0]
    assert len({s.label for s in scans}) == 3
    assert [len(read_scan(s)) for s in scans] == [1, 1, 1]
    assert [read_scan(s)[0].array.shape for s in scans] == [(3, 128, 128), (3, 128, 128), (5, 64, 72)]
    told = unused(skipped)
    assert "not an image file (notes.txt)" in told
    assert "of another modality" in told
    with pytest.raises(NoImageError, match="no such folder"):
        find(tmp_path, "ct", "val")
    (tmp_path / "ct/val").mkdir()
    with pytest.raises(NoImageError, match="No CT scan of role 'val'"):
        find(tmp_path, "ct", "val")


def test_thickness_is_found_wherever_the_reader_finds_slices(tmp_path: Path) -> None:
    """In a zip file and without file meta information too; nonsense counts as unknown."""
    source = tmp_path / "source"
    save_series(source, 1, 5.0)
    headless = tmp_path / "ct/train/headless"
    headless.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "ct/train/packed.zip", "w") as packed:
        for path in sorted(source.iterdir()):
            packed.write(path, path.name)
            dataset = pydicom.dcmread(path)
            dataset.save_as(headless / path.name, enforce_file_format=False)
            data = (headless / path.name).read_bytes()
            (headless / path.name).write_bytes(data[data.index(b"\x08\x00\x05\x00") :])
    save_series(tmp_path / "ct/train/wrong", 2, -1.0)
    found = {s.patient: s.thickness_mm for s in list_scans(tmp_path, "ct", "train")}
    assert found == {"headless": 5.0, "packed": 5.0, "wrong": 0.0}


def write_table(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text(text, "utf-8")


def test_a_folder_in_the_table_is_that_folder(tmp_path: Path) -> None:
    """Not its parent, which would hold the other patients too; two columns are enough."""
    for name in ("a", "b"):
        save_series(tmp_path / "ct/scans" / name, 1, 2.0)
    write_table(tmp_path / "ct", "\ufeffrole,path\ntrain,scans/a\nval,scans/b/1_0.dcm\n")
    for role, name in (("train", "a"), ("val", "b")):
        (scan,) = list_scans(tmp_path, "ct", role)
        assert scan.path == tmp_path / "ct/scans" / name
        assert scan.patient == scan.label == f"scans/{name}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'path'.*an empty file"),
        ("role;path\ntrain;x\n", "no column 'path'.*role;path"),
        ("role,file\ntrain,x\n", "no column 'path'"),
        ("role,path\nTrain,x\n", "line 2: A role is train or val.*Train"),
        ("role,path\ntrain,x\n", "line 2: There is no such scan.*x"),
        ("role,path,thickness_mm\ntrain,.,thick\n", "line 2: thickness_mm is a number.*thick"),
        ("role,path,thickness_mm\ntrain,.,-1\n", "line 2: thickness_mm is a number"),
    ],
)
def test_broken_tables_name_the_line(tmp_path: Path, text: str, says: str) -> None:
    write_table(tmp_path / "mr", text)
    with pytest.raises((UsageError, NoImageError), match=says):
        list_scans(tmp_path, "mr", "train")


def test_errors_name_the_scan(tmp_path: Path) -> None:
    from medidiff.training.mr_stacks import load_stacks

    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(NoImageError, match=r"broken.nii.gz.*take it out"):
        read_scan(Scan(tmp_path / "broken.nii.gz", "", "", 0.0, "a"))
    save_nifti(tmp_path / "air.nii.gz", level=-1000.0)
    with pytest.raises(RefusedError, match=r"air.nii.gz.*no positive value.*take it out"):
        load_stacks(Scan(tmp_path / "air.nii.gz", "", "", 0.0, "a"), 32)


def test_scans_smaller_than_a_patch_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medidiff.training.mr_source import MRSource

    monkeypatch.delenv("MEDIDIFF_DATA", raising=False)
    save_nifti(tmp_path / "mr/train/p.nii.gz", shape=(20, 20, 5))
    config = toy_config(tmp_path, modality="mr")
    config = replace(config, data=replace(config.data, root=str(tmp_path)))
    with pytest.raises(RefusedError, match="as large as a patch.*patch = 32"):
        MRSource(config)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Slices that `make` made, without the projections that take seconds."""
    done: list[Path] = []

    def make(task: ct_task.Task, views: int) -> None:
        done.append(task.path)
        np.savez(task.path, hu=ct_task.stored(task.hu), pixel_mm=task.pixel_mm, scan=task.scan)

    monkeypatch.setattr(ct_cache, "make", make)
    monkeypatch.delenv("MEDIDIFF_DATA", raising=False)
    return done


def prepare(config: object, role: str = "train") -> None:
    """`ct_cache.prepare` without its processes."""
    from concurrent.futures import ThreadPoolExecutor
    from unittest import mock

    pool = ThreadPoolExecutor(1)
    with mock.patch("concurrent.futures.ProcessPoolExecutor", return_value=pool):
        ct_cache.prepare(config, role)  # type: ignore[arg-type]


def test_two_data_folders_may_share_a_cache(tmp_path: Path, made: list[Path]) -> None:
    """Each run sees its own slices, also of folders named alike; a scan taken out is not seen again."""
    config = toy_config(tmp_path)
    first, second = (
        replace(config, data=replace(config.data, root=str(tmp_path / n), cache=str(tmp_path / "cache")))
        for n in "xy"
    )
    save_nifti(tmp_path / "x/ct/train/p1/scan.nii.gz", 40.0)
    save_nifti(tmp_path / "x/ct/train/p2/scan.nii.gz", 50.0)
    save_nifti(tmp_path / "y/ct/train/p1/scan.nii.gz", 60.0)
    prepare(first)
    assert len(ct_cache.paths(first, "train")) == 10
    assert len(made) == 10
    prepare(first)
    assert len(made) == 10, "made once"
    prepare(second)
    found = ct_cache.paths(second, "train")
    assert len(found) == 5
    for path in found:
        with np.load(path) as item:
            assert abs(item["hu"].mean() - 60.0) < 1.0, "not the pixels of the scan of that name in x"
    (tmp_path / "x/ct/train/p2/scan.nii.gz").unlink()
    prepare(first)
    with np.load(ct_cache.paths(first, "train")[0]) as item:
        assert abs(item["hu"].mean() - 40.0) < 1.0
    assert len(ct_cache.paths(first, "train")) == 5


def test_series_of_one_size_in_one_folder_are_both_used(tmp_path: Path, made: list[Path]) -> None:
    for k, level in enumerate((40.0, 60.0)):
        save_nifti(tmp_path / f"ct/p/{k}.nii.gz", level)
    write_table(tmp_path / "ct", "role,path\ntrain,p\n")
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, root=str(tmp_path), cache=str(tmp_path / "cache")))
    prepare(config)
    levels = []
    for path in ct_cache.paths(config, "train"):
        with np.load(path) as item:
            levels.append(round(float(item["hu"].mean()), -1))
    assert sorted(levels) == [40.0] * 5 + [60.0] * 5
    index = next((tmp_path / "cache").rglob("*.json"))
    assert len(json.loads(index.read_text())) == 10


def test_what_carries_no_image_is_air_in_training(tmp_path: Path, made: list[Path]) -> None:
    """NaN around a CT is no water."""
    array = np.full((72, 64, 5), 40.0, np.float32)
    array[:20] = np.nan
    path = tmp_path / "ct/train/p.nii.gz"
    path.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-0.8, -0.8, 2.0, 1.0])), path)
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, root=str(tmp_path), cache=str(tmp_path / "cache")))
    prepare(config)
    with np.load(ct_cache.paths(config, "train")[0]) as item:
        assert np.unique(item["hu"]).tolist() == [-1024, 40]
        assert (item["hu"] == -1024).sum() == 3 * 64 * 20
