"""Enhanced images out: the same class, frames in their order, and what was done told frame by frame."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series, uid
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless
from test_enhanced_reader import assert_same_stack, convert, only, scout
from validators import inconsistent, introduced

from medidiff.errors import OutputError
from medidiff.io import Derivation, WriteOptions, Written, discover, open_output, read, write
from medidiff.io.dicom.derived_file import set_pixels
from medidiff.volume import Volume

SHUFFLED = [6.0, 0.0, 9.0, 3.0]


def rewrite(source: Path, out: Path, derivation: Derivation, suffix: str = "denoised") -> Written:
    """All stacks of a series, unchanged, through the writer; gives the files of the last."""
    items = discover([source]).items
    with open_output(items[0], out, WriteOptions(suffix=suffix)) as output:
        return [output.add(read(item), derivation) for item in items][-1]


def frames_of(ds: Dataset) -> Sequence[Dataset]:
    return ds.PerFrameFunctionalGroupsSequence  # type: ignore[no-any-return]


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless])
def test_frames_come_back_in_their_order(
    tmp_path: Path, derivation: Derivation, modality: str, syntax: str
) -> None:
    compressed = syntax == JPEGLSLossless
    stored = make_enhanced(
        tmp_path / "in" / "x", modality=modality, depths=SHUFFLED, slope=[0.5, 2.0, 1.5, 1.0],
        intercept=-7.25, bits_stored=12, syntax=ExplicitVRLittleEndian if compressed else syntax,
        compress=syntax if compressed else None,
    )  # fmt: skip
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    assert (written.clipped, written.notes, len(written.files)) == (0, (), 1)
    old, new = pydicom.dcmread(tmp_path / "in" / "x"), pydicom.dcmread(written.files[0])
    np.testing.assert_array_equal(new.pixel_array, stored)
    assert new.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert new.SOPClassUID == old.SOPClassUID == new.file_meta.MediaStorageSOPClassUID
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID != old.SOPInstanceUID
    for a, b in zip(frames_of(old), frames_of(new), strict=True):
        for group in ("PlanePosition", "PlaneOrientation", "PixelMeasures", "PixelValueTransformation",
                      "FrameVOILUT", "FrameContent"):  # fmt: skip
            assert a.get(f"{group}Sequence") == b.get(f"{group}Sequence"), group
    assert_same_stack(only(tmp_path / "in"), only(written.path))
    assert only(written.path).own_output


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_legacy_converted(tmp_path: Path, derivation: Derivation, modality: str) -> None:
    def count(ds: Dataset, k: int) -> None:
        ds.add_new("LargestImagePixelValue", "SS", 1000 + k)

    make_series(tmp_path / "classic", modality=modality, slope=[0.5, 0.25], padding=100, change=count)
    source = convert(sorted((tmp_path / "classic").iterdir()), tmp_path / "in" / "x", seed=2)
    written = rewrite(source, tmp_path / "out", derivation)
    assert_same_stack(only(source), only(written.path))
    assert introduced([source], written.files) == set()
    for group in frames_of(pydicom.dcmread(written.files[0])):
        assert "LargestImagePixelValue" not in group.UnassignedPerFrameConvertedAttributesSequence[0]
        assert "ConversionSourceAttributesSequence" in group
        assert group.DerivationImageSequence


@pytest.mark.parametrize(
    "scan",
    [
        "fepegar__torchio/tests/image_data/dicom",
        "theibsi__data_sets/ibsi_validation/dicom/STS_001/CT/image",
        "theibsi__data_sets/ibsi_validation/dicom/STS_001/PET/image",
        "nipy__nibabel/nibabel/nicom/tests/data/philips_mprage.dcm.gz",
    ],
)
def test_identity_on_real_scans(io_data: Path, tmp_path: Path, derivation: Derivation, scan: str) -> None:
    source = io_data / scan
    if source.is_dir():
        source = convert(only(source).files, tmp_path / "in.dcm", seed=1)
    written = rewrite(source, tmp_path / "out", derivation)
    assert written.clipped == 0
    assert_same_stack(only(source), only(written.path))
    if source.suffix == ".dcm":
        np.testing.assert_array_equal(
            pydicom.dcmread(source).pixel_array, pydicom.dcmread(written.files[0]).pixel_array
        )
        assert introduced([source], written.files) == set()


@pytest.mark.parametrize("suffix", ["denoised", "residual", "uncertainty"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_validators_find_nothing_new(
    tmp_path: Path, derivation: Derivation, modality: str, suffix: str
) -> None:
    make_enhanced(tmp_path / "in" / "x", modality=modality, depths=SHUFFLED, padding=-2000)
    make_enhanced(tmp_path / "in" / "y", modality=modality, depths=[12, 15], padding=-2000, instance=2)
    volume = read(only(tmp_path / "in"))
    array = volume.array * np.float32(0.5 if suffix == "denoised" else 0.01)
    written = write(volume.with_array(array), tmp_path / "out", derivation=derivation, suffix=suffix)
    assert len(written.files) == 2
    assert introduced((tmp_path / "in").iterdir(), written.files) == set()
    assert inconsistent(written.files) == ""


def test_the_validator_can_fail(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x")
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    ds = pydicom.dcmread(written.files[0])
    del ds.DeviceSerialNumber, frames_of(ds)[0].DerivationImageSequence
    ds.save_as(tmp_path / "broken")
    assert any("DeviceSerialNumber" in x for x in introduced([tmp_path / "in" / "x"], [tmp_path / "broken"]))


def test_second_reader(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x", depths=SHUFFLED, slope=[0.5, 2.0, 1.5, 1.0], intercept=-7.0)
    volume = read(only(tmp_path / "in"))
    written = write(volume.with_array(volume.array * 0.75), tmp_path / "out", derivation=derivation)
    other = highdicom.imread(written.files[0]).get_volume(apply_real_world_transform=False)
    array = other.array if other.affine[:3, 0] @ volume.affine[:3, 2] > 0 else other.array[::-1]
    steps = np.array([2.0, 1.0, 0.5, 1.5])  # the slopes in order of position
    assert (np.abs(array - volume.array * 0.75) <= steps[:, None, None] / 2 + 1e-4).all()
    np.testing.assert_allclose(
        np.abs(np.linalg.det(other.affine[:3, :3])), np.abs(np.linalg.det(volume.affine[:3, :3]))
    )


def test_type_of_image_and_frames(tmp_path: Path, derivation: Derivation) -> None:
    def kind(group: Dataset, k: int) -> None:
        if k == 3:
            group.CTImageFrameTypeSequence[0].FrameType = ["DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"]

    make_enhanced(tmp_path / "a" / "x")
    new = pydicom.dcmread(rewrite(tmp_path / "a", tmp_path / "out", derivation).files[0])
    assert new.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "FILTERED"]
    assert all(g.CTImageFrameTypeSequence[0].FrameType == new.ImageType for g in frames_of(new))
    make_enhanced(
        tmp_path / "b" / "x", change_frame=kind, series="2",
        change=lambda ds: setattr(ds, "ImageType", ["MIXED", "PRIMARY", "VOLUME", "MIXED"]),
    )  # fmt: skip
    new = pydicom.dcmread(rewrite(tmp_path / "b", tmp_path / "out2", derivation).files[0])
    assert new.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "MIXED"]
    contrasts = [g.CTImageFrameTypeSequence[0].FrameType[3] for g in frames_of(new)]
    assert contrasts == ["FILTERED", "FILTERED", "FILTERED", "MAXIMUM", "FILTERED"]


@pytest.mark.parametrize(
    ("operation", "contrast", "code"),
    [("simulate", "ADDITION", "113042"), ("copy", "NONE", "110001"), ("denoise", "FILTERED", "113087")],
)
def test_operations(tmp_path: Path, derivation: Derivation, operation: str, contrast: str, code: str) -> None:
    make_enhanced(tmp_path / "in" / "x")
    done = replace(derivation, operation=operation)  # type: ignore[arg-type]
    written = rewrite(tmp_path / "in", tmp_path / "out", done)
    new = pydicom.dcmread(written.files[0])
    assert new.ImageType[3] == contrast
    assert frames_of(new)[0].DerivationImageSequence[0].DerivationCodeSequence[0].CodeValue == code
    assert introduced([tmp_path / "in" / "x"], written.files) == set()


def sources(group: Dataset) -> list[tuple[str, int]]:
    items = group.DerivationImageSequence[0].SourceImageSequence
    return [(i.ReferencedSOPInstanceUID, i.ReferencedFrameNumber) for i in items]


def test_every_frame_names_its_sources(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x", depths=[6.0, 0.0, 3.0], instance=1)
    make_enhanced(tmp_path / "in" / "y", depths=[9.0, 15.0], instance=2)
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    one, two = (pydicom.dcmread(p) for p in sorted(written.files))
    a, b = uid("enhanced", "1", 1), uid("enhanced", "1", 2)
    assert [sources(g) for g in frames_of(one)] == [
        [(a, 1), (a, 3), (b, 1)],  # at 6 mm, between 3 and 9
        [(a, 2), (a, 3)],
        [(a, 3), (a, 2), (a, 1)],
    ]
    assert [sources(g) for g in frames_of(two)] == [[(b, 1), (a, 1)], [(b, 2)]]  # a gap before 15 mm
    item = frames_of(one)[0].DerivationImageSequence[0]
    assert "ct-test@0123456789ab" in item.DerivationDescription
    assert item.DerivationCodeSequence[0].CodeValue == "113087"
    reference = item.SourceImageSequence[1]
    assert reference.ReferencedSOPClassUID == one.SOPClassUID
    assert reference.SpatialLocationsPreserved == "YES"
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    (study,) = one.SourceImageEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (uid("study"), uid("series", "1"))
    assert {s.ReferencedSOPInstanceUID for s in series.ReferencedSOPSequence} == {a, b}


def test_stacks_of_one_image_come_back_in_one_image(tmp_path: Path, derivation: Derivation) -> None:
    stored = make_enhanced(
        tmp_path / "in" / "x", modality="MR", depths=[0, 0, 3, 3], volumes={"echo": [20.0, 10.0] * 2}
    )
    items = discover([tmp_path / "in"]).items
    with open_output(items[0], tmp_path / "out", WriteOptions()) as output:
        for number, item in enumerate(items):
            done = output.add(read(item), replace(derivation, sigma_text=f"level {number}"))
            assert not done.path.exists()
    assert [p.name for p in done.path.iterdir()] == ["0001.dcm"]
    new = pydicom.dcmread(done.files[0])
    np.testing.assert_array_equal(new.pixel_array, stored)
    texts = [g.DerivationImageSequence[0].DerivationDescription for g in frames_of(new)]
    assert ["level 1" in t for t in texts] == [True, False, True, False]
    assert [sources(g)[0][1] for g in frames_of(new)] == [1, 2, 3, 4]
    for old, again in zip(items, discover([done.path]).items, strict=True):
        assert_same_stack(old, again)


def test_what_was_not_denoised_is_not_copied(tmp_path: Path, derivation: Derivation) -> None:
    stored = make_enhanced(
        tmp_path / "in" / "x", modality="MR", depths=[0, 0, 3, 3], volumes={"echo": [10.0, 20.0] * 2}
    )
    items = discover([tmp_path / "in"]).items
    whole = rewrite(tmp_path / "in", tmp_path / "whole", derivation)
    part = write(read(items[1]), tmp_path / "part", derivation=derivation)
    new = pydicom.dcmread(part.files[0])
    assert new.NumberOfFrames == len(frames_of(new)) == 2
    np.testing.assert_array_equal(new.pixel_array, stored[1::2])
    assert [sources(g)[0][1] for g in frames_of(new)] == [2, 4]
    assert new.SOPInstanceUID != pydicom.dcmread(whole.files[0]).SOPInstanceUID
    make_enhanced(tmp_path / "scouts" / "x", slices=6, change_frame=scout)
    left = pydicom.dcmread(rewrite(tmp_path / "scouts", tmp_path / "left", derivation).files[0])
    assert [sources(g)[0][1] for g in frames_of(left)] == [3, 4, 5, 6]


def test_one_frame(tmp_path: Path, derivation: Derivation) -> None:
    stored = make_enhanced(tmp_path / "in" / "x", slices=1)
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    new = pydicom.dcmread(written.files[0])
    assert new.NumberOfFrames == 1
    np.testing.assert_array_equal(new.pixel_array, stored[0])
    assert introduced([tmp_path / "in" / "x"], written.files) == set()


def test_concatenation(tmp_path: Path, derivation: Derivation) -> None:
    def part(number: int) -> object:
        def change(ds: Dataset) -> None:
            ds.ConcatenationUID, ds.SOPInstanceUIDOfConcatenationSource = uid("whole"), uid("source")
            ds.InConcatenationNumber, ds.InConcatenationTotalNumber = number, 2
            ds.ConcatenationFrameOffsetNumber, ds.InstanceNumber = 3 * (number - 1), 8

        return change

    make_enhanced(tmp_path / "in" / "b", depths=[0, 3, 6], change=part(1))  # type: ignore[arg-type]
    make_enhanced(tmp_path / "in" / "a", depths=[9, 12], change=part(2), instance=2)  # type: ignore[arg-type]
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    new = [pydicom.dcmread(p) for p in written.files]
    assert sorted((int(ds.InstanceNumber), int(ds.NumberOfFrames)) for ds in new) == [(1, 3), (2, 2)]
    assert not any("oncatenation" in keyword for ds in new for keyword in ds.dir())
    assert introduced((tmp_path / "in").iterdir(), written.files) == set()
    assert inconsistent(written.files) == ""


def test_equipment_and_qualification(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x")
    new = pydicom.dcmread(rewrite(tmp_path / "in", tmp_path / "out", derivation).files[0])
    assert (new.Manufacturer, new.ManufacturerModelName) == ("medidiff", "medidiff")
    assert new.SoftwareVersions == ["medidiff 0.1.0", "ct-test@0123456789ab"]
    assert new.DeviceSerialNumber == "0123456789ab"
    assert "StationName" not in new
    assert new.ContentQualification == "RESEARCH"
    scanner, model = new.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.DeviceSerialNumber) == ("ACME", "SN-42")
    assert model.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert new.SeriesDescription.endswith("medidiff denoised (research)")
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID", "AcquisitionDateTime"):
        assert keyword in new
    assert "DerivationDescription" not in new  # of each frame, not of the image


def test_padding(tmp_path: Path, derivation: Derivation) -> None:
    stored = np.random.default_rng(1).integers(-900, 900, (4, 6, 8)).astype(np.int16)
    stored[:, 0] = -2000
    stored[1, 1] = -1950
    make_enhanced(tmp_path / "in" / "x", depths=SHUFFLED, stored=stored, padding=(-2000, -1900))
    volume = read(only(tmp_path / "in"))
    soft = np.where(volume.array > -500, volume.array, -1951.0).astype(np.float32)
    new = pydicom.dcmread(
        write(volume.with_array(soft), tmp_path / "out", derivation=derivation).files[0]
    )  # fmt: skip
    padding = (stored >= -2000) & (stored <= -1900)
    assert (new.pixel_array[padding] == stored[padding]).all()
    assert not ((new.pixel_array[~padding] >= -2000) & (new.pixel_array[~padding] <= -1900)).any()
    assert (new.PixelPaddingValue, new.PixelPaddingRangeLimit) == (-2000, -1900)


def map_values(group: Dataset, k: int) -> None:
    """Adds a mapping to mg/ml: twice the real-world value plus one."""
    scale = group.PixelValueTransformationSequence[0]
    units = Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = "mg/mL", "UCUM", "mg/mL"
    item = Dataset()
    item.RealWorldValueSlope = 2.0 * float(scale.RescaleSlope)
    item.RealWorldValueIntercept = 2.0 * float(scale.RescaleIntercept) + 1.0
    item.add_new("RealWorldValueFirstValueMapped", "US", 0)
    item.add_new("RealWorldValueLastValueMapped", "US", 4095)
    item.LUTExplanation, item.LUTLabel = "twice and one", "MG"
    item.MeasurementUnitsCodeSequence = [units]
    group.RealWorldValueMappingSequence = [item]


def test_a_frame_that_does_not_fit_gets_its_own_scale(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(
        tmp_path / "in" / "x", depths=SHUFFLED, slope=2.0, intercept=-1024.0, bits_stored=12, signed=False,
        change_frame=map_values,
    )  # fmt: skip
    volume = read(only(tmp_path / "in"))
    array = volume.array.copy()
    array[1, 2, 3] = -1100.0  # below the range: 38 steps
    written = write(volume.with_array(array), tmp_path / "out", derivation=derivation)
    assert (written.clipped, written.notes) == (0, ("1 slices have a new rescale slope or intercept",))
    np.testing.assert_array_equal(read(only(written.path)).array, array)
    new = pydicom.dcmread(written.files[0])
    scales = [g.PixelValueTransformationSequence[0] for g in frames_of(new)]
    assert [float(s.RescaleIntercept) for s in scales] == [-1024.0, -1024.0, -1024.0, -1100.0]
    for group, stored in zip(frames_of(new), new.pixel_array, strict=True):
        scale, mapping = group.PixelValueTransformationSequence[0], group.RealWorldValueMappingSequence[0]
        real = stored * float(scale.RescaleSlope) + float(scale.RescaleIntercept)
        mapped = stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
        np.testing.assert_allclose(mapped, 2 * real + 1)
    assert introduced([tmp_path / "in" / "x"], written.files) == set()


@pytest.mark.parametrize("legacy", [True, False])
def test_pet_slopes_grow_frame_by_frame(tmp_path: Path, derivation: Derivation, legacy: bool) -> None:
    source = tmp_path / "in" / "x"
    if legacy:
        make_series(tmp_path / "classic", modality="PT", slope=[0.5, 0.25, 0.125], slices=3)
        convert(sorted((tmp_path / "classic").iterdir()), source)
    else:
        make_enhanced(source, modality="PT", slope=[0.5, 0.25, 0.125], slices=3, change_frame=map_values)
    volume = read(only(source))
    louder = volume.array.copy()
    louder[1, 2, 3] = 123456.7
    written = write(volume.with_array(louder), tmp_path / "out", derivation=derivation)
    again = read(only(written.path))
    assert written.clipped == 0
    assert again.array[1, 2, 3] == pytest.approx(123456.7, rel=1e-4)
    np.testing.assert_array_equal(again.array[[0, 2]], volume.array[[0, 2]])
    new = pydicom.dcmread(written.files[0])
    scales = [g.PixelValueTransformationSequence[0] for g in frames_of(new)]
    assert [float(s.RescaleIntercept) for s in scales] == [0.0] * 3
    assert len({str(s.RescaleSlope) for s in scales}) == 3
    for group, scale in zip(frames_of(new), scales, strict=True):
        for mapping in group.get("RealWorldValueMappingSequence") or []:  # type 1 in Enhanced PET
            assert mapping.RealWorldValueSlope == pytest.approx(2 * float(scale.RescaleSlope))
            assert mapping.RealWorldValueIntercept == 1.0
    assert all(("RealWorldValueMappingSequence" in g) is not legacy for g in frames_of(new))
    assert introduced([source], written.files) == set()


def test_mr_without_a_transformation_is_clipped(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x", modality="MR", slope=None, bits_stored=12, signed=False)
    volume = read(only(tmp_path / "in"))
    array = volume.array.copy()
    array[0, 0, :2] = 5000.0
    written = write(volume.with_array(array), tmp_path / "out", derivation=derivation)
    assert written.clipped == 2
    new = pydicom.dcmread(written.files[0])
    assert new.pixel_array.max() == 4095
    assert not any("PixelValueTransformationSequence" in g for g in frames_of(new))


@pytest.mark.parametrize("slope", [None, 2.0])
@pytest.mark.parametrize("suffix", ["residual", "uncertainty"])
def test_maps(tmp_path: Path, derivation: Derivation, suffix: str, slope: float | None) -> None:
    make_enhanced(
        tmp_path / "in" / "x", modality="MR", slope=slope, signed=False, bits_stored=12, padding=7,
        depths=SHUFFLED, change_frame=map_values if slope else None,
    )  # fmt: skip
    volume = read(only(tmp_path / "in"))
    values = np.random.default_rng(3).normal(0, 20, volume.array.shape).astype(np.float32)
    if volume.padding is not None:
        values[volume.padding] = 0
    written = write(volume.with_array(values), tmp_path / "out", derivation=derivation, suffix=suffix)
    new = pydicom.dcmread(written.files[0])
    assert (new.PixelRepresentation, new.BitsStored) == (1, 16)
    assert "PixelPaddingValue" not in new
    np.testing.assert_allclose(read(only(written.path)).array, values, atol=0.0051)  # steps of 0.01
    for group in frames_of(new):
        scale, window = group.PixelValueTransformationSequence[0], group.FrameVOILUTSequence[0]
        assert scale.RescaleType == "US"
        assert float(window.WindowWidth) == pytest.approx(120 if suffix == "residual" else 60, rel=0.1)
        if slope:
            mapping = group.RealWorldValueMappingSequence[0]
            assert mapping["RealWorldValueFirstValueMapped"].VR == "SS"
            assert mapping.RealWorldValueIntercept == 0
            assert mapping.RealWorldValueSlope == pytest.approx(2 * float(scale.RescaleSlope))
    assert introduced([tmp_path / "in" / "x"], written.files) == set()


def test_shared_groups_stay_shared(tmp_path: Path, derivation: Derivation) -> None:
    def share(ds: Dataset) -> None:
        shared = ds.SharedFunctionalGroupsSequence[0]
        for name in ("CTImageFrameTypeSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence"):
            setattr(shared, name, frames_of(ds)[0][name].value)
            for group in frames_of(ds):
                delattr(group, name)

    make_enhanced(tmp_path / "in" / "x", change=share, shared=True, bits_stored=12)
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    new = pydicom.dcmread(written.files[0])
    shared = new.SharedFunctionalGroupsSequence[0]
    assert shared.CTImageFrameTypeSequence[0].FrameType[3] == "FILTERED"
    assert "PixelValueTransformationSequence" in shared
    assert not any("PixelValueTransformationSequence" in g for g in frames_of(new))
    volume = read(only(tmp_path / "in"))
    array = volume.array.copy()
    array[0, 0, 0] = 3000.0  # does not fit: this frame needs a scale of its own, so all have one
    changed = write(volume.with_array(array), tmp_path / "two", derivation=derivation)
    new = pydicom.dcmread(changed.files[0])
    assert "PixelValueTransformationSequence" not in new.SharedFunctionalGroupsSequence[0]
    assert all("PixelValueTransformationSequence" in g for g in frames_of(new))
    np.testing.assert_array_equal(read(only(changed.path)).array, array)
    assert introduced([tmp_path / "in" / "x"], [*written.files, *changed.files]) == set()


def test_private_elements(tmp_path: Path, derivation: Derivation) -> None:
    def hide(group: Dataset, k: int) -> None:
        group.private_block(0x2005, "ACME", create=True).add_new(0x0E, "FL", 0.5)

    make_enhanced(tmp_path / "in" / "x", change_frame=hide)
    volume = read(only(tmp_path / "in"))
    for keep in (False, True):
        written = write(volume, tmp_path / str(keep), derivation=derivation, keep_private=keep)
        ds = pydicom.dcmread(written.files[0])
        assert any(e.tag.is_private for e in ds.iterall()) is keep


def test_uids_are_the_same_in_every_run(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x", depths=SHUFFLED)
    runs = [rewrite(tmp_path / "in", tmp_path / str(k), derivation).files[0] for k in range(2)]
    assert len({hashlib.sha256(p.read_bytes()).hexdigest() for p in runs}) == 1
    other = rewrite(tmp_path / "in", tmp_path / "other", replace(derivation, seed=4)).files[0]
    first, changed = pydicom.dcmread(runs[0]), pydicom.dcmread(other)
    assert first.SOPInstanceUID != changed.SOPInstanceUID
    assert first.SeriesInstanceUID != changed.SeriesInstanceUID


def test_classic_and_enhanced_images_in_one_series(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", slices=3)
    make_enhanced(tmp_path / "in" / "x", slices=4)
    written = rewrite(tmp_path / "in", tmp_path / "out", derivation)
    new = [pydicom.dcmread(p) for p in written.path.iterdir()]
    assert len(new) == 4
    assert len({ds.SeriesInstanceUID for ds in new}) == 1
    assert sorted(int(ds.get("NumberOfFrames", 1)) for ds in new) == [1, 1, 1, 4]


def test_an_error_leaves_nothing(tmp_path: Path, derivation: Derivation) -> None:
    make_enhanced(tmp_path / "in" / "x")
    item = only(tmp_path / "in")
    output = open_output(item, tmp_path / "out", WriteOptions()).__enter__()
    output.add(read(item), derivation)
    output.__exit__(RuntimeError, RuntimeError("stop"), None)
    assert not (tmp_path / "out").exists()


def test_more_than_dicom_can_hold() -> None:
    huge = np.broadcast_to(np.int16(0), (2**15, 2**8, 2**8 + 1))  # no memory of its own
    with pytest.raises(OutputError, match="4 GB"):
        set_pixels(Dataset(), huge, 16)


@given(
    signed=st.booleans(),
    bits=st.integers(8, 16),
    slopes=st.lists(st.floats(1e-4, 1e3).map(lambda v: float(f"{v:.6g}")), min_size=3, max_size=3),
    intercept=st.floats(-5e3, 5e3).map(lambda v: float(f"{v:.6g}")),
    padding=st.none() | st.integers(0, 50),
    order=st.permutations([0.0, 3.0, 6.0]),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=25, deadline=None)
def test_write_then_read_is_identity(
    tmp_path_factory: pytest.TempPathFactory, signed: bool, bits: int, slopes: list[float], intercept: float,
    padding: int | None, order: list[float], seed: int,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("identity")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    stored = np.random.default_rng(seed).integers(low, high, (3, 4, 5), endpoint=True)
    make_enhanced(
        folder / "in" / "x", stored=stored.astype(np.int16 if signed else np.uint16), depths=order,
        signed=signed, bits_stored=bits, slope=slopes, intercept=intercept, padding=padding,
    )  # fmt: skip
    volume: Volume = read(only(folder / "in"))
    written = write(volume, folder / "out", derivation=Derivation("m"))
    assert_same_stack(only(folder / "in"), only(written.path))
    np.testing.assert_array_equal(pydicom.dcmread(written.files[0]).pixel_array, stored)


def test_without_a_study_there_is_no_evidence(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "E", change=lambda ds: delattr(ds, "StudyInstanceUID"))
    (item,) = discover([tmp_path / "E"]).items
    written = write(read(item), tmp_path / "out", derivation=Derivation("m"))
    assert "SourceImageEvidenceSequence" not in pydicom.dcmread(written.files[0])
