"""A file that is packed or has no telling name is read as it is when unpacked, and leaves nothing behind."""

from __future__ import annotations

import gzip
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from itk_files import save
from one_item import only

from medidiff.io import Derivation, read, write
from medidiff.io.itk_reader import open_reader, quiet


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
@pytest.mark.parametrize("how", ["gz", "zip", "gz in zip", "no name"])
def test_packed_and_unnamed_files(
    tmp_path: Path, derivation: Derivation, extension: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    plain = tmp_path / f"a.{extension}"
    save(plain, values)
    source = tmp_path / f"a.{extension}.gz" if how == "gz" else tmp_path / "scan"
    data = plain.read_bytes()
    if "zip" in how:
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"in/a.{extension}", gzip.compress(data) if "gz" in how else data)
    else:
        source.write_bytes(gzip.compress(data) if how == "gz" else data)
    volume = read(only(source))
    np.testing.assert_array_equal(volume.array, read(only(plain)).array)
    written = write(volume, tmp_path / "out", derivation=derivation)
    assert written.path.suffix == f".{extension}"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(written.path))), values)
    assert not list((tmp_path / "tmp").iterdir())


def test_warnings_of_itk_are_hushed_and_come_back(tmp_path: Path) -> None:
    save(tmp_path / "a.nrrd", np.zeros((3, 4, 5), np.int16))
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    try:
        for before in (True, False):
            sitk.ProcessObject.SetGlobalWarningDisplay(before)
            with open_reader(tmp_path / "a.nrrd"):
                assert not sitk.ProcessObject.GetGlobalWarningDisplay()
            with pytest.raises(KeyError), quiet():
                raise KeyError
            assert sitk.ProcessObject.GetGlobalWarningDisplay() is before
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
