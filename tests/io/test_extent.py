"""Files whose data set is encoded otherwise than their file meta information says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medidiff.io import Derivation, Reason, discover, read, write


def lie(path: Path, claimed: str) -> None:
    """Changes the Transfer Syntax UID (0002,0010), and nothing behind the file meta information."""
    data = path.read_bytes()
    start = data.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(data[start + 6 : start + 8], "little")
    new = claimed.encode() + bytes(len(claimed) % 2)
    data = data[: start + 6] + len(new).to_bytes(2, "little") + new + data[start + 8 + length :]
    group = int.from_bytes(data[140:144], "little") + len(new) - length  # (0002,0000)
    path.write_bytes(data[:140] + group.to_bytes(4, "little") + data[144:])


@pytest.mark.parametrize(
    ("true", "claimed"),
    [(ImplicitVRLittleEndian, ExplicitVRLittleEndian), (ExplicitVRLittleEndian, ImplicitVRLittleEndian)],
)
def test_what_other_readers_read(tmp_path: Path, derivation: Derivation, true: str, claimed: str) -> None:
    stored = make_series(tmp_path / "in", slices=3, syntax=true)
    for path in (tmp_path / "in").iterdir():
        lie(path, claimed)
        with pytest.warns(UserWarning, match="Expected"):
            assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == claimed
    if true == ImplicitVRLittleEndian:  # GDCM reads only these
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
        assert any((image == values).all() for values in stored)
    found = discover([tmp_path / "in"])
    assert not found.skipped
    (item,) = found.items
    volume = read(item)
    np.testing.assert_array_equal(volume.array, stored)
    new = write(volume, tmp_path / "out", derivation=derivation)
    for file, values in zip(new.files, stored, strict=True):
        ds = pydicom.dcmread(file)
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(ds.pixel_array, values)


@pytest.mark.parametrize("true", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("claimed", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_an_early_end_is_still_told(tmp_path: Path, true: str, claimed: str) -> None:
    make_series(tmp_path, slices=1, syntax=true)
    (path,) = tmp_path.iterdir()
    lie(path, claimed)
    assert discover([tmp_path]).items
    path.write_bytes(path.read_bytes()[:-2])
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.TRUNCATED]
