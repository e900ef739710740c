"""The validators of the kit can find faults: each is shown some."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from validators import inconsistent, introduced, missing, newly_missing, required, unreadable

CT = "1.2.840.10008.5.1.4.1.1.2"
LOST = {"PositionReferenceIndicator", "Manufacturer", "KVP", "AcquisitionNumber",
        "SliceThickness"}  # fmt: skip
"""What SimpleITK's example of writing a series loses of a CT."""


@pytest.fixture
def scan(tmp_path: Path) -> list[Path]:
    make_series(tmp_path / "in", slices=3)
    return sorted((tmp_path / "in").iterdir())


def broken(path: Path, **values: str | None) -> Path:
    """A copy with other values; None takes an element out."""
    ds = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.save_as(path.with_name("broken.dcm"))
    return path.with_name("broken.dcm")


def test_the_standard_has_types() -> None:
    assert {("FrameOfReferenceUID", "1"), ("KVP", "2"), ("PatientName", "2")} <= set(required(CT))
    assert not {k for k, _ in required(CT)} & {"SeriesDescription", "RescaleType"}  # types 3 and 1C


def test_type_1_may_not_be_empty_and_type_2_may(scan: list[Path]) -> None:
    assert missing(broken(scan[0], FrameOfReferenceUID="")) - missing(scan[0]) == {"FrameOfReferenceUID"}
    assert missing(broken(scan[0], PatientName="")) == missing(scan[0])
    assert missing(broken(scan[0], PatientName=None)) - missing(scan[0]) == {"PatientName"}


def test_a_writer_that_loses_attributes(scan: list[Path], tmp_path: Path) -> None:
    image = sitk.ReadImage(str(scan[0]))
    for key in ("0020|000d", "0020|0032", "0020|0037", "0008|0060"):
        image.SetMetaData(key, image.GetMetaData(key))
    for key in image.GetMetaDataKeys():
        if key.startswith(("0018", "0020|0052", "0020|1040", "0020|0012", "0008|0070")):
            image.EraseMetaData(key)
    sitk.WriteImage(image, str(tmp_path / "sitk.dcm"))
    assert newly_missing(scan[:1], [tmp_path / "sitk.dcm"]) >= LOST


def test_dciodvfy_finds_what_is_new(scan: list[Path]) -> None:
    assert introduced(scan, scan[1:]) == set()
    found = introduced(scan, [broken(scan[0], FrameOfReferenceUID=None)])
    assert any("FrameOfReferenceUID" in line for line in found)


def test_dcentvfy_finds_two_patients(scan: list[Path]) -> None:
    assert inconsistent(scan) == ""
    assert "PatientName" in inconsistent(
        [*scan, broken(scan[0], PatientName="Roe^Joe", SOPInstanceUID="1.2")]
    )


@pytest.mark.parametrize("damage", [lambda data: data[:-300], lambda data: data[132:]])
def test_second_parsers_find_damage(scan: list[Path], damage: object) -> None:
    assert unreadable(scan[0]) == ""
    scan[0].write_bytes(damage(scan[0].read_bytes()))  # type: ignore[operator]
    assert unreadable(scan[0]) != ""
