"""Damaged MetaImage headers: refused before ITK's parser, which prints on some and crashes on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medidiff.errors import PixelError
from medidiff.io import Derivation, Reason, discover, read, write

VALUES = np.random.default_rng(3).integers(-900, 900, (4, 5, 6)).astype(np.int16)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"NDims = 3", b"NDims = 65535", Reason.DAMAGED_HEADER),  # ITK crashes on these three
        (b"NDims = 3", b"NDims = -1", Reason.DAMAGED_HEADER),
        (b"NDims = 3", b"NDims = 2020-01-01", Reason.DAMAGED_HEADER),
        (b"NDims = 3", b"NDims = 4", Reason.UNSUPPORTED_LAYOUT),
        (b"DimSize = 6 5 4", b"DimSize = 6 5", Reason.DAMAGED_HEADER),
        (b"DimSize = 6 5 4", b"DimSize = 6 5 nan", Reason.DAMAGED_HEADER),
        (b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 x", Reason.DAMAGED_HEADER),
        (b"Offset = 0 0 0", b"Offset = 0 0 inf", Reason.DAMAGED_HEADER),
        (b"MET_SHORT", b"MET_SHIRT", Reason.DAMAGED_HEADER),
        (b"MET_SHORT", b"MET_SHORT_ARRAY", Reason.UNSUPPORTED_LAYOUT),
        (b"BinaryData = True", b"BinaryData = False", Reason.UNSUPPORTED_LAYOUT),
        (b"Offset = 0 0 0", b"DimSize = 6 5 4", Reason.DAMAGED_HEADER),
        (b"Offset = 0 0 0", b"Off\xffset = 0 0 0", Reason.DAMAGED_HEADER),
        (b"Offset = 0 0 0", b"Comment = a\x00b", Reason.DAMAGED_HEADER),
        (b"Offset = 0 0 0", b"no field at all", Reason.DAMAGED_HEADER),
        (b"Offset = 0 0 0", b"HeaderSize = 7", Reason.DAMAGED_HEADER),
        (b"CompressedData = False", b"CompressedData = True", Reason.DAMAGED_HEADER),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = ", Reason.DAMAGED_HEADER),
    ],
)
def test_what_is_refused(
    tmp_path: Path, old: bytes, new: bytes, reason: Reason, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), path)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    assert [s.reason for s in discover([path]).skipped] == [reason]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damage", ["flipped", "empty"])
def test_damaged_packed_voxels(tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), path, True)
    data = bytearray(path.read_bytes())
    start = data.index(b"LOCAL\n") + 6
    packed = data[start:]
    data[start:] = bytes(b ^ 0x55 for b in packed) if damage == "flipped" else bytes(len(packed))
    path.write_bytes(data)
    (item,) = discover([path]).items
    with pytest.raises(PixelError, match="a.mha"):
        read(item)
    assert capfd.readouterr() == ("", "")


def test_a_second_file_name_does_not_count(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), tmp_path / "a.mhd")
    with (tmp_path / "a.mhd").open("a") as file:
        file.write("ElementDataFile = other.raw\n")
    (item,) = discover([tmp_path / "a.mhd"]).items
    np.testing.assert_array_equal(read(item).array, VALUES)


def test_fields_of_others_are_kept(tmp_path: Path, derivation: Derivation) -> None:
    image = sitk.GetImageFromArray(VALUES)
    image.SetMetaData("Site|0042 (x)", "Zürich")
    sitk.WriteImage(image, tmp_path / "a.mha")
    data = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(data.replace(b"NDims", b"Latin = \xe9\nNDims", 1))
    (item,) = discover([tmp_path]).items
    written = write(read(item), tmp_path / "out", derivation=derivation)
    assert sitk.ReadImage(written.path).GetMetaData("Site|0042 (x)") == "Zürich"
    assert written.notes == ("1 fields of the header cannot be kept: empty, or no UTF-8 text",)
