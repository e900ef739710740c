"""The table of what a derived image carries, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pydicom
import pytest
from dicom_series import make_series, uid
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from medidiff.errors import PixelError
from medidiff.io import Derivation, discover, read, write
from medidiff.io.derivation import derived_number, derived_numbers, derived_uid, description
from medidiff.io.dicom.derived_header import derive
from medidiff.io.dicom.identity import Identity, Source

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
CT = "1.2.840.10008.5.1.4.1.1.2"
ME = Identity("1.2.3", "1.2.3.4", 1004, (Source(CT, "1.9.1"), Source(CT, "1.9.2")), "denoised", NOW)


@pytest.fixture
def source(tmp_path: Path) -> Dataset:
    make_series(tmp_path, slices=1)
    return pydicom.dcmread(tmp_path / "IM000.dcm")


def test_identity_and_type(source: Dataset, derivation: Derivation) -> None:
    new = derive(source, derivation, ME, keep_private=False)
    assert (new.SOPInstanceUID, new.SeriesInstanceUID, new.SeriesNumber) == ("1.2.3.4", "1.2.3", 1004)
    kept = "StudyInstanceUID FrameOfReferenceUID PatientName PatientID StudyDate AcquisitionDate"
    kept += " WindowCenter WindowWidth RescaleSlope InstanceNumber"
    for keyword in kept.split():
        assert new[keyword].value == source[keyword].value, keyword
    assert list(new.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert new.ContentQualification == "RESEARCH"
    assert "SyntheticData" not in new
    assert "PixelData" not in new
    assert new.SeriesDescription == "Chest Doe 3 mm medidiff denoised (research)"


@pytest.mark.parametrize("original", ["LOCALIZER", "AXIAL"])
def test_other_values_of_image_type_stay(source: Dataset, derivation: Derivation, original: str) -> None:
    source.ImageType = ["ORIGINAL", "SECONDARY", original, "X"]
    new = derive(source, derivation, ME, keep_private=False)
    assert list(new.ImageType) == ["DERIVED", "SECONDARY", original, "X"]
    del source.ImageType
    assert list(derive(source, derivation, ME, keep_private=False).ImageType) == [
        "DERIVED",
        "PRIMARY",
        "AXIAL",
    ]


@pytest.mark.parametrize(("kind", "purpose"), [("ORIGINAL", "109101"), ("DERIVED", "109102")])
def test_image_type_of_one_value(source: Dataset, derivation: Derivation, kind: str, purpose: str) -> None:
    """Two values at least (C.7.6.1.1.2), but pydicom gives a single one as text."""
    source.ImageType = kind
    new = derive(source, derivation, ME, keep_private=False)
    assert list(new.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    scanner = new.ContributingEquipmentSequence[0]
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == purpose


def test_how_it_was_made(source: Dataset, derivation: Derivation) -> None:
    new = derive(source, derivation, ME, keep_private=False)
    (code,) = new.DerivationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("113087", "DCM", "Smoothing")
    text = new.DerivationDescription
    for word in ("medidiff 0.1.0", "ct-test@0123456789ab", "mean", "seed 3", "23.4 HU", "Research use only"):
        assert word in text
    assert "Doe" not in text
    assert "\n" not in text
    assert [i.ReferencedSOPInstanceUID for i in new.SourceImageSequence] == ["1.9.1", "1.9.2"]
    for item in new.SourceImageSequence:
        assert item.ReferencedSOPClassUID == CT
        assert item.SpatialLocationsPreserved == "YES"
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


@pytest.mark.parametrize(("kind", "purpose"), [("ORIGINAL", "109101"), ("DERIVED", "109102")])
def test_equipment(source: Dataset, derivation: Derivation, kind: str, purpose: str) -> None:
    earlier = Dataset()
    earlier.Manufacturer = "Earlier"
    source.ContributingEquipmentSequence = Sequence([earlier])
    source.ImageType = [kind, "PRIMARY", "AXIAL"]
    new = derive(source, derivation, ME, keep_private=False)
    assert new.Manufacturer == "medidiff"
    assert list(new.SoftwareVersions) == ["medidiff 0.1.0", "ct-test@0123456789ab"]
    assert "DeviceSerialNumber" not in new
    assert "StationName" not in new
    kept, scanner, model = new.ContributingEquipmentSequence
    assert kept.Manufacturer == "Earlier"
    assert (scanner.Manufacturer, scanner.ManufacturerModelName) == ("ACME", "Scanner 3")
    assert (scanner.DeviceSerialNumber, scanner.StationName) == ("SN-42", "ROOM2")
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == purpose
    assert model.ManufacturerModelName == "ct-test"
    assert model.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    other = derive(source, replace(derivation, model_sha256="ff" * 32), ME, keep_private=False)
    assert other.ContributingEquipmentSequence[2].DeviceUID != model.DeviceUID
    assert len(source.ContributingEquipmentSequence) == 1  # the source is not touched


def test_unknown_manufacturer(source: Dataset, derivation: Derivation) -> None:
    source.Manufacturer = None
    new = derive(source, derivation, ME, keep_private=False)
    assert new.ContributingEquipmentSequence[0].Manufacturer == "unknown"


def test_dates(source: Dataset, derivation: Derivation) -> None:
    source.TimezoneOffsetFromUTC = "-0330"
    new = derive(source, derivation, ME, keep_private=False)
    for keyword in ("InstanceCreation", "Series", "Content"):
        assert new[f"{keyword}Date"].value == "20240506"
        assert new[f"{keyword}Time"].value == "033809.000000"
    source.Modality = "PT"  # Frame Reference Time and decay count from Series Time
    pet = derive(source, derivation, ME, keep_private=False)
    assert (pet.SeriesDate, pet.SeriesTime) == ("20200102", "101112")
    assert pet.ContentDate == "20240506"


def test_what_goes_and_what_stays(source: Dataset, derivation: Derivation) -> None:
    source.add_new(0x00280106, "SS", 1)  # SmallestImagePixelValue
    source.IconImageSequence = Sequence([Dataset()])
    source.DigitalSignaturesSequence = Sequence([Dataset()])
    source.LossyImageCompression, source.LossyImageCompressionRatio = "01", "12"
    source.BurnedInAnnotation, source.SyntheticData = "NO", "YES"
    inner = Dataset()
    inner.add_new(0x00090010, "LO", "ACME")
    inner.CodeMeaning = "x"
    source.ProcedureCodeSequence = Sequence([inner])
    block = source.private_block(0x0029, "ACME", create=True)
    block.add_new(0x01, "DS", "2.5")
    new = derive(source, derivation, ME, keep_private=False)
    for keyword in ("SmallestImagePixelValue", "IconImageSequence", "DigitalSignaturesSequence"):
        assert keyword not in new
    assert (new.LossyImageCompression, new.LossyImageCompressionRatio) == ("01", "12")
    assert (new.BurnedInAnnotation, new.SyntheticData) == ("NO", "YES")
    assert not any(e.tag.is_private for e in new.iterall())
    source.ProcedureCodeSequence[0].add_new(0x00090010, "LO", "ACME")
    kept = derive(source, derivation, ME, keep_private=True)
    assert kept[0x00291001].value == 2.5


def test_synthetic_data_only_on_request(source: Dataset, derivation: Derivation) -> None:
    asked = derive(source, replace(derivation, synthetic_data=True), ME, keep_private=False)
    assert asked.SyntheticData == "YES"


def test_simulation_is_not_called_smoothing(source: Dataset, derivation: Derivation) -> None:
    new = derive(source, replace(derivation, operation="simulate"), ME, keep_private=False)
    assert "DerivationCodeSequence" not in new
    assert "Noise added" in new.DerivationDescription


@given(st.text(max_size=100), st.sampled_from(["denoised", "residual", "uncertainty"]))
def test_description_keeps_the_notice(text: str, suffix: str) -> None:
    new = description(text, suffix)
    assert len(new) <= 64
    assert new.endswith(f"medidiff {suffix} (research)")
    assert "\\" not in new
    assert new.isprintable()


def test_description_of_nothing() -> None:
    assert description(None, "denoised") == "medidiff denoised (research)"


@given(
    st.builds(
        Derivation, model_id=st.text(max_size=300), sigma_text=st.text(max_size=900), seed=st.integers()
    )
)
def test_describe_fits_st(derivation: Derivation) -> None:
    text = derivation.describe()
    assert len(text) <= 1024
    assert text.endswith("Research use only. Not a medical device.")


def test_uids_follow_from_their_sources_alone() -> None:
    assert derived_uid("a", "b") == derived_uid("a", "b")
    assert derived_uid("a", "b") != derived_uid("a", "c")
    assert len(derived_uid("a")) <= 64


def test_fingerprint_ignores_the_clock(derivation: Derivation) -> None:
    assert replace(derivation, created=None).fingerprint() == derivation.fingerprint()
    assert replace(derivation, seed=4).fingerprint() != derivation.fingerprint()


def test_series_numbers_are_free() -> None:
    assert derived_number(4, frozenset({4, 5}), "denoised") == 1004
    assert derived_number(4, frozenset({4, 1004, 1005}), "denoised") == 1006
    assert derived_number(None, frozenset(), "residual") == 2000
    assert derived_number(2**31 - 1, frozenset(), "denoised") == 1000
    assert uid("x") != uid("y")


def test_series_derived_from_one_study_have_numbers_of_their_own() -> None:
    """Reconstructions 101 and 102, and 1101 of another scan, as Philips counts; 1001 beside 1's residual."""
    sources = [1, 101, 102, 1001, 1101, None]
    found = derived_numbers(sources, [n for n in sources if n is not None])
    assert [n["denoised"] for n in found] == [1002, 1102, 1103, 2001, 2101, 1000]
    every = [n for numbers in found for n in numbers.values()]
    assert len(set(every)) == len(every) == 18


def test_the_series_of_a_study_are_numbered_when_they_are_found(
    tmp_path: Path, derivation: Derivation
) -> None:
    for number in (102, 1101, 101):
        make_series(
            tmp_path / "in" / str(number), series=str(number), slices=2,
            change=lambda ds, k, n=number: setattr(ds, "SeriesNumber", n),
        )  # fmt: skip
    new = []
    for item in discover([tmp_path / "in"]).items:
        written = write(read(item), tmp_path / "out", derivation=derivation)
        new += [(item.number, pydicom.dcmread(f).SeriesNumber) for f in written.files]
    assert set(new) == {(101, 1102), (102, 1103), (1101, 2101)}


@pytest.mark.parametrize("inside", [False, True])
def test_an_element_that_cannot_be_parsed_is_named_and_not_quoted(
    source: Dataset, derivation: Derivation, inside: bool
) -> None:
    part = source
    if inside:
        part = Dataset()
        source.ReferencedStudySequence = Sequence([part])
    part._dict[Tag("StationName")] = RawDataElement(
        Tag("StationName"), "UL", 3, b"Doe", 0, False, True
    )  # 3 bytes of a 4-byte number
    part._dict[Tag("OperatorsName")] = RawDataElement(Tag("OperatorsName"), "ZZ", 3, b"Doe", 0, False, True)
    with pytest.raises(PixelError, match="cannot be parsed") as caught:
        derive(source, derivation, ME, keep_private=False)
    assert "Doe" not in str(caught.value)


def test_a_wrong_vr_of_what_is_written_anew_does_not_count(source: Dataset, derivation: Derivation) -> None:
    """In an explicit VR file, the VR of an element is what the file says."""
    for keyword, vr in (("Manufacturer", "DS"), ("SeriesTime", "AT"), ("SeriesDescription", "UL")):
        tag = Tag(keyword)
        source._dict[tag] = RawDataElement(tag, vr, 0, b"", 0, False, True)
    new = derive(source, derivation, ME, keep_private=False)
    assert (new.Manufacturer, new["Manufacturer"].VR) == ("medidiff", "LO")
    assert new["SeriesTime"].VR == "TM"
    assert new["SeriesDescription"].VR == "LO"
