"""An output tells from which scan it was made, as far as anything can be read of it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from one_item import only

from medidiff.errors import PixelError
from medidiff.io import Derivation, read, write
from medidiff.io.provenance import made_from, source_digest


def test_the_digest_is_that_of_the_file(tmp_path: Path, derivation: Derivation) -> None:
    source = tmp_path / "in" / "a.nii.gz"
    source.parent.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), source)
    written = write(read(only(source)), tmp_path, derivation=derivation)
    sidecar = json.loads((tmp_path / "a_desc-denoised.json").read_text())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert sidecar["GeneratedBy"][-1]["SourceDigest"] == digest
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(source, "a.nii.gz")
    assert made_from(written.path, only(tmp_path / "in.zip")) is True
    item = only(source)
    source.unlink()
    with pytest.raises(PixelError, match=r"a\.nii\.gz"):
        source_digest(item)


def test_the_digest_of_an_image_that_was_derived_twice(tmp_path: Path, derivation: Derivation) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), tmp_path / "a.nrrd")
    first = write(read(only(tmp_path / "a.nrrd")), tmp_path, derivation=derivation, suffix="dose25")
    second = write(read(only(first.path)), tmp_path, derivation=derivation)
    assert made_from(second.path, only(first.path)) is True
    assert made_from(second.path, only(tmp_path / "a.nrrd")) is False


def test_dicom_is_known_by_its_source_images(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "enhanced" / "x", series="3")
    make_series(tmp_path / "1")
    make_series(tmp_path / "2", series="2")
    items = [only(tmp_path / name) for name in ("enhanced", "1", "2")]
    for k, item in enumerate(items):
        for suffix in ("denoised", "uncertainty"):
            path = write(read(item), tmp_path / "out", derivation=derivation, suffix=suffix).path
            assert [made_from(path, other) for other in items] == [n == k for n in range(3)]


def test_what_tells_nothing(tmp_path: Path) -> None:
    make_series(tmp_path / "in")
    item = only(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0001.dcm").write_bytes(b"damaged")
    make_series(tmp_path / "not derived", slices=1)
    (tmp_path / "a.nrrd").write_bytes(b"NRRD")
    (tmp_path / "b.nii").write_bytes(b"")
    (tmp_path / "b.json").write_text('{"GeneratedBy": [3]}')
    (tmp_path / "c.nii").write_bytes(b"")
    (tmp_path / "c.json").write_text('{"GeneratedBy": "me"}')
    for name in ("out", "not derived", "a.nrrd", "b.nii", "c.nii"):
        assert made_from(tmp_path / name, item) is None
