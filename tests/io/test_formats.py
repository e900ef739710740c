"""Formats are told by content, whatever the name."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from pydicom.data import get_testdata_file

from medidiff.io.formats import Format, sniff
from medidiff.io.items import Reason
from medidiff.io.streams import BadStream


def test_dicom_with_and_without_preamble(tmp_path: Path) -> None:
    assert sniff(Path(get_testdata_file("CT_small.dcm"))) is Format.DICOM
    assert sniff(Path(get_testdata_file("ExplVR_LitEndNoMeta.dcm"))) is Format.DICOM_HEADLESS
    assert sniff(Path(get_testdata_file("ExplVR_BigEndNoMeta.dcm"))) is Format.DICOM_HEADLESS
    make_series(tmp_path, slices=1)
    data = (tmp_path / "IM000.dcm").read_bytes()
    (tmp_path / "packed").write_bytes(gzip.compress(data))
    assert sniff(tmp_path / "packed") is Format.DICOM


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, kind: type, extension: str) -> None:
    kind(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / f"a{extension}")
    (tmp_path / f"a{extension}").rename(tmp_path / "noname")
    assert sniff(tmp_path / "noname") is Format.NIFTI


def test_pairs_are_told_apart(tmp_path: Path) -> None:
    nib.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "a.hdr")
    nib.AnalyzeImage(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "b.hdr")
    assert sniff(tmp_path / "a.hdr") is Format.NIFTI_PAIR
    assert sniff(tmp_path / "b.hdr") is Format.ANALYZE


@pytest.mark.parametrize(
    ("extension", "kind"),
    [("nrrd", Format.NRRD), ("nhdr", Format.NRRD), ("mha", Format.META), ("mhd", Format.META)],
)
def test_itk(tmp_path: Path, extension: str, kind: Format) -> None:
    sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkInt16), str(tmp_path / f"a.{extension}"))
    assert sniff(tmp_path / f"a.{extension}") is kind


def test_other_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a", "b")
    (tmp_path / "empty").touch()
    (tmp_path / "text.dcm").write_text("DICOM is what I say I am\n")
    (tmp_path / "j").write_text('{"Modality": "MR"}')
    with tarfile.open(tmp_path / "t.gz", "w:gz") as tar:
        tar.add(tmp_path / "j", "j")
    (tmp_path / "7").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    kinds = {p.name: sniff(p) for p in tmp_path.iterdir()}
    assert kinds == {
        "z": Format.ZIP, "empty": Format.EMPTY, "text.dcm": Format.OTHER, "j": Format.JSON,
        "t.gz": Format.ARCHIVE, "7": Format.ARCHIVE,
    }  # fmt: skip


def test_damaged_gzip(tmp_path: Path) -> None:
    (tmp_path / "half.gz").write_bytes(gzip.compress(bytes(5000))[:12])
    with pytest.raises(BadStream) as caught:
        sniff(tmp_path / "half.gz")
    assert caught.value.reason is Reason.DAMAGED_GZIP
