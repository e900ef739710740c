"""Elements that pydicom cannot parse, in files that discovery takes: one sentence, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medidiff.errors import PixelError
from medidiff.io import Derivation, Reason, discover, read, write

THICKNESS = b"\x18\x00\x50\x00DS"
PADDING = b"\x28\x00\x20\x01SS"


def spoiled(folder: Path, element: bytes, kind: str) -> Path:
    """An image of which one element has a VR that does not exist."""
    path = folder / "in" / "IM000.dcm"
    if kind == "classic":
        make_series(folder / "in", slices=1, padding=-2000)
    else:
        make_enhanced(path, slices=3, padding=-2000)
    data = path.read_bytes()
    assert element in data
    path.write_bytes(data.replace(element, element[:4] + b"ZZ"))
    return path


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_an_element_that_is_only_copied(tmp_path: Path, kind: str) -> None:
    (item,) = discover([spoiled(tmp_path, THICKNESS, kind)]).items
    volume = read(item)
    with pytest.raises(PixelError, match=r"IM000\.dcm: the element \(0018,0050\) .* cannot be parsed"):
        write(volume, tmp_path / "out", derivation=Derivation("m"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_an_element_that_reading_needs(tmp_path: Path, kind: str) -> None:
    (item,) = discover([spoiled(tmp_path, PADDING, kind)]).items
    with pytest.raises(PixelError, match=r"IM000\.dcm: .* cannot be parsed"):
        read(item)


@pytest.mark.parametrize("vr", [b"PN", b"LO", b"DS"])
def test_a_transfer_syntax_that_is_no_uid(tmp_path: Path, vr: bytes) -> None:
    make_series(tmp_path, slices=1)
    path = tmp_path / "IM000.dcm"
    path.write_bytes(path.read_bytes().replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x10\x00" + vr))
    assert [s.reason for s in discover([path]).skipped] == [Reason.DAMAGED_HEADER]


@pytest.mark.parametrize(
    ("keyword", "value", "detail"),
    [
        ("PixelSpacing", "0,9766\\0,9766", "Pixel Spacing (0028,0030) 0,9766\\0,9766"),
        ("ImagePositionPatient", "-1,5\\2,5\\3", "Image Position (0020,0032) -1,5\\2,5\\3"),
        ("RescaleSlope", "1,0", "Rescale Slope 1,0 (0028,1053), Intercept 0.0 (0028,1052)"),
        ("RescaleIntercept", "", "Rescale Slope 1.0 (0028,1053), Intercept missing (0028,1052)"),
    ],
)
def test_a_number_that_is_none_is_quoted(tmp_path: Path, keyword: str, value: str, detail: str) -> None:
    """A decimal comma, which DS does not have (PS3.5 6.2), and GDCM reads up to the comma."""

    def change(ds: Dataset, k: int) -> None:
        ds[keyword] = RawDataElement(Tag(keyword), "DS", len(value), value.encode(), 0, False, True)

    make_series(tmp_path, slices=1, change=change)
    (skipped,) = discover([tmp_path]).skipped
    assert skipped.detail == detail
