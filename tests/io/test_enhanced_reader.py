"""Enhanced multi-frame images in: the same rules as for slices, frame by frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series, uid
from hypothesis import given, settings
from hypothesis import strategies as st
from one_item import only
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from validators import inconsistent, introduced

from medidiff.errors import MedidiffError, PixelError
from medidiff.io import Derivation, Discovery, Reason, SeriesItem, discover, read, write

LEGACY = {
    "CT": highdicom.legacy.LegacyConvertedEnhancedCTImage,
    "MR": highdicom.legacy.LegacyConvertedEnhancedMRImage,
    "PT": highdicom.legacy.LegacyConvertedEnhancedPETImage,
}


def convert(paths: Iterable[Path], target: Path, seed: int | None = None) -> Path:
    """The legacy converted enhanced image of a classic series, by highdicom; `seed` shuffles its frames."""
    datasets = [pydicom.dcmread(p) for p in paths]
    if seed is not None:
        datasets = [datasets[k] for k in np.random.default_rng(seed).permutation(len(datasets))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = LEGACY[str(datasets[0].Modality)](
            datasets, series_instance_uid=uid("legacy"), series_number=7, sop_instance_uid=uid("legacy", 1),
            instance_number=1, include_dimension_index=seed is None,
        )  # fmt: skip
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save_as(target)
    return target


def assert_same_stack(a: SeriesItem, b: SeriesItem) -> None:
    """Equal arrays, affines and padding, to the last bit."""
    one, two = read(a), read(b)
    np.testing.assert_array_equal(one.array, two.array)
    np.testing.assert_array_equal(one.affine, two.affine)
    assert (one.padding is None) == (two.padding is None)
    if one.padding is not None:
        np.testing.assert_array_equal(one.padding, two.padding)
    np.testing.assert_array_equal(one.adjacent, two.adjacent)
    assert one.unit == two.unit
    assert (a.shape, a.spacing, a.regular, a.tilt, a.modality) == (
        b.shape, b.spacing, b.regular, b.tilt, b.modality,
    )  # fmt: skip


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_fixture_is_valid(tmp_path: Path, modality: str) -> None:
    values = [0, 0, 3, 3]
    make_enhanced(tmp_path / "a.dcm", modality=modality, padding=(-2000, -1900), shared=True)
    make_enhanced(tmp_path / "b.dcm", modality=modality, depths=values, volumes={"time": [1, 2, 1, 2]},
                  instance=2)  # fmt: skip
    if modality == "MR":
        make_enhanced(
            tmp_path / "c.dcm", modality="MR", depths=values,
            volumes={"b_value": [0.0, 9.0] * 2, "echo": [10.0, 20.0] * 2}, instance=3,
        )  # fmt: skip
    assert introduced([], sorted(tmp_path.iterdir())) == set()
    assert inconsistent(sorted(tmp_path.iterdir())) == ""


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_classic_and_enhanced_give_the_same_stack(tmp_path: Path, modality: str, seed: int | None) -> None:
    make_series(
        tmp_path / "classic", modality=modality, slices=6, slope=[1.0, 0.5, 2.0], bits_stored=12,
        intercept=[0.0] if modality == "PT" else [-1024.0, 0.0, 3.5], padding=(100, 120), step=2.5,
        orientation=(1, 0, 0, 0, 0.8, 0.6),
    )  # fmt: skip
    enhanced = convert(sorted((tmp_path / "classic").iterdir()), tmp_path / "e" / "image", seed)
    assert_same_stack(only(tmp_path / "classic"), only(enhanced))


@pytest.mark.parametrize(
    "scan",
    [
        "fepegar__torchio/tests/image_data/dicom",
        "theibsi__data_sets/ibsi_validation/dicom/STS_001/CT/image",
        "theibsi__data_sets/ibsi_validation/dicom/STS_001/MR_T1/image",
        "theibsi__data_sets/ibsi_validation/dicom/STS_001/PET/image",
    ],
)
def test_real_series_and_their_enhanced_twins(io_data: Path, tmp_path: Path, scan: str) -> None:
    classic = only(io_data / scan)
    enhanced = convert(classic.files, tmp_path / "image.dcm", seed=3)
    assert_same_stack(classic, only(enhanced))


def test_echoes_that_a_conversion_left_unassigned(tmp_path: Path) -> None:
    def echo(ds: Dataset, k: int) -> None:
        ds.EchoTime = 10.0 if k % 2 else 20.0

    make_series(tmp_path / "classic", modality="MR", depths=[0, 0, 3, 3, 6, 6], change=echo)
    enhanced = convert(sorted((tmp_path / "classic").iterdir()), tmp_path / "e" / "image", seed=1)
    pairs = zip(discover([tmp_path / "classic"]).items, discover([enhanced]).items, strict=True)
    for classic, twin in pairs:
        assert_same_stack(classic, twin)
        assert classic.part == twin.part


def test_one_item_of_many_frames(io_data: Path) -> None:
    """A Philips scanner's own image: 176 frames with their own rescale."""
    item = only(io_data / "nipy__nibabel/nibabel/nicom/tests/data/philips_mprage.dcm.gz")
    assert item.shape == (176, 256, 256)
    assert len(item.files) == 1
    assert item.regular
    assert item.spacing == pytest.approx((1, 1, 1), abs=1e-3)
    assert item.path == item.files[0]
    assert read(item).array.shape == item.shape


@pytest.mark.parametrize("shared", [True, False])
def test_every_frame_has_its_own_scale_and_place(tmp_path: Path, shared: bool) -> None:
    depths = [9.0, 0.0, 6.0, 3.0]
    slopes, intercepts = [0.5, 2.0, 1.5, 1.0], [-1024.0, 0.25, 0.0, 100.0]
    stored = make_enhanced(
        tmp_path / "x", depths=depths, slope=slopes, intercept=intercepts, padding=-2000, shared=shared
    )
    item = only(tmp_path)
    volume = read(item)
    order = np.argsort(depths)
    expected = [stored[k] * slopes[k] + intercepts[k] for k in order]
    np.testing.assert_array_equal(volume.array, np.array(expected, np.float32))
    np.testing.assert_allclose((volume.affine @ [5, 2, 3, 1])[:3], [-20 + 4.0, -30 + 1.4, 5 + 9.0])
    assert volume.unit == "HU"
    assert item.regular


def test_second_reader(tmp_path: Path) -> None:
    """highdicom's volume of a shuffled image with a scale for each frame."""
    make_enhanced(tmp_path / "x", depths=[6, 0, 9, 3], slope=[0.5, 2.0, 1.5, 1.0], intercept=-7.0)
    volume = read(only(tmp_path))
    other = highdicom.imread(tmp_path / "x").get_volume(apply_real_world_transform=False)
    reference = np.asarray(other.affine)[:, [2, 1, 0, 3]]
    array = other.array
    if reference[:3, 2] @ volume.affine[:3, 2] < 0:
        reference[:3, 3] += reference[:3, 2] * (len(array) - 1)
        reference[:3, 2] *= -1
        array = array[::-1]
    np.testing.assert_allclose(volume.affine, reference, atol=1e-6)
    np.testing.assert_array_equal(volume.array, array)


def test_mr_without_a_transformation_holds_stored_values(tmp_path: Path) -> None:
    stored = make_enhanced(tmp_path / "x", modality="MR", slope=None)
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored)
    make_enhanced(tmp_path / "y", slope=None)
    (skip,) = discover([tmp_path / "y"]).skipped
    assert (skip.reason, skip.detail) == (Reason.RESCALE, "no Rescale Slope (0028,1053)")


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(tmp_path: Path, syntax: str) -> None:
    stored = make_enhanced(tmp_path / "x", syntax=syntax, depths=[3, 0])
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored[::-1])


@pytest.mark.parametrize("compress", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [True, False])
def test_compressed_syntaxes(tmp_path: Path, compress: str, signed: bool) -> None:
    stored = make_enhanced(
        tmp_path / "x", compress=compress, signed=signed, bits_stored=12, shape=(40, 48), depths=[3, 6, 0]
    )
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored[[2, 0, 1]])


def split_in_fragments(path: Path, size: int) -> None:
    """Cuts each compressed frame into fragments of `size` bytes, with an empty offset table."""
    ds = pydicom.dcmread(path)
    frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=int(ds.NumberOfFrames)))
    parts = [frame[k : k + size] for frame in frames for k in range(0, len(frame), size)]
    ds.PixelData = pydicom.encaps.encapsulate(parts, has_bot=False)
    ds.save_as(path)


def test_fragments_without_offsets(tmp_path: Path) -> None:
    stored = make_enhanced(tmp_path / "x", compress=JPEGLSLossless, shape=(40, 48), depths=[3, 6, 0])
    split_in_fragments(tmp_path / "x", 400)
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored[[2, 0, 1]])


def test_fragments_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again for every frame: that takes minutes for thousands of frames."""
    stored = make_enhanced(tmp_path / "x", compress=RLELossless, slices=12)
    ds = pydicom.dcmread(tmp_path / "x")
    frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=12))
    ds.PixelData = pydicom.encaps.encapsulate(frames, has_bot=False)
    ds.save_as(tmp_path / "x")
    calls = []
    original = pydicom.encaps.parse_fragments
    monkeypatch.setattr(
        pydicom.encaps, "parse_fragments", lambda *a, **k: calls.append(a) or original(*a, **k)
    )
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["b_value", "echo", "time"])
def test_interleaved_volumes_are_stacks_of_their_own(tmp_path: Path, name: str) -> None:
    values = [20.0, 10.0] * 3 if name != "time" else [2, 1] * 3
    stored = make_enhanced(tmp_path / "x", modality="MR", depths=[0, 0, 3, 3, 6, 6], volumes={name: values})
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [3, 3]
    assert [i.part for i in found.items] == [(1, 2), (2, 2)]
    assert all(i.shared_grid and i.regular for i in found.items)
    for item, first in zip(found.items, (1, 0), strict=True):  # the smaller value comes first
        np.testing.assert_array_equal(read(item).array, stored[first::2])
    assert accounted(found) == {tmp_path / "x"}


def accounted(found: Discovery) -> set[Path]:
    return {f for i in found.items for f in i.files} | {s.path for s in found.skipped}


def test_gradient_directions_are_told_apart(tmp_path: Path) -> None:
    directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 3

    def point(group: Dataset, k: int) -> None:
        diffusion, gradient = Dataset(), Dataset()
        gradient.DiffusionGradientOrientation = directions[k]
        diffusion.DiffusionBValue, diffusion.DiffusionDirectionality = 800.0, "DIRECTIONAL"
        diffusion.DiffusionGradientDirectionSequence = [gradient]
        group.MRDiffusionSequence = [diffusion]

    stored = make_enhanced(tmp_path / "x", modality="MR", depths=[0, 0, 3, 3, 6, 6], change_frame=point)
    items = discover([tmp_path]).items
    assert [i.shape[0] for i in items] == [3, 3]
    arrays = [read(i).array for i in items]
    np.testing.assert_array_equal(arrays[0], stored[0::2])  # in the order of the frames
    np.testing.assert_array_equal(arrays[1], stored[1::2])


def test_time_points_that_only_their_images_tell_apart(tmp_path: Path) -> None:
    """Canon writes each volume of a cardiac CT as an image of its own (icometrix/dicom2nifti #140)."""
    volumes = [make_enhanced(tmp_path / f"{9 - k}", slices=4, instance=k, seed=k) for k in range(1, 4)]
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [4, 4, 4]
    for item, stored in zip(found.items, volumes, strict=True):
        assert item.regular
        assert item.shared_grid
        np.testing.assert_array_equal(read(item).array, stored)


def test_two_dimensions_at_once(tmp_path: Path) -> None:
    """No single index divides the frames evenly: the indices together do."""

    def kernel(ds: Dataset) -> None:
        item = Dataset()
        item.DimensionOrganizationUID = uid("dimensions")
        item.DimensionIndexPointer, item.FunctionalGroupPointer = 0x00181210, 0x00189314
        ds.DimensionIndexSequence.append(item)

    def number(group: Dataset, k: int) -> None:
        group.FrameContentSequence[0].DimensionIndexValues.append(1 + k // 4)

    make_enhanced(
        tmp_path / "x", depths=[0, 0, 3, 3] * 2, volumes={"phase": [1.0, 2.0] * 4}, change=kernel,
        change_frame=number,
    )  # fmt: skip
    items = discover([tmp_path]).items
    assert [i.shape[0] for i in items] == [2, 2, 2, 2]
    assert all(i.regular for i in items)


def test_numbers_never_sort(tmp_path: Path) -> None:
    def lie(group: Dataset, k: int) -> None:
        group.FrameContentSequence[0].InStackPositionNumber = 9 - k
        group.FrameContentSequence[0].DimensionIndexValues = [1, 9 - k]

    stored = make_enhanced(tmp_path / "x", depths=[0, 3, 6, 9], change_frame=lie)
    np.testing.assert_array_equal(read(only(tmp_path)).array, stored)


def test_phase_and_magnitude_are_two_stacks(tmp_path: Path) -> None:
    def component(group: Dataset, k: int) -> None:
        group.MRImageFrameTypeSequence[0].ComplexImageComponent = ("MAGNITUDE", "PHASE")[k % 2]

    make_enhanced(tmp_path / "x", modality="MR", depths=[0, 0, 3, 3], change_frame=component)
    items = discover([tmp_path]).items
    assert [i.shape[0] for i in items] == [2, 2]
    assert [any("phase" in n for n in i.notes) for i in items] == [False, True]


def test_frames_of_several_instances_make_one_stack(tmp_path: Path) -> None:
    a = make_enhanced(tmp_path / "b", depths=[0, 6], instance=1)
    b = make_enhanced(tmp_path / "a", depths=[9, 3], instance=2, seed=8)
    item = only(tmp_path)
    np.testing.assert_array_equal(read(item).array, [a[0], b[1], a[1], b[0]])
    assert item.files == (tmp_path / "b", tmp_path / "a")
    assert item.regular


def test_an_instance_twice_is_used_once(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "a")
    make_enhanced(tmp_path / "b")
    make_enhanced(tmp_path / "c", step=4.0)
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [5]
    assert [(s.path.name, s.reason) for s in found.skipped] == [
        ("b", Reason.DUPLICATE),
        ("c", Reason.DUPLICATE),
    ]
    assert accounted(found) == set(tmp_path.iterdir())


def scout(group: Dataset, k: int) -> None:
    if k < 2:
        group.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
        group.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def test_left_out_frames_are_named(tmp_path: Path) -> None:
    def spoil(group: Dataset, k: int) -> None:
        scout(group, k)
        if k == 4:
            del group.PlanePositionSequence
        if k == 6:
            group.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 1, 0, 0]

    stored = make_enhanced(tmp_path / "x.dcm", slices=9, change_frame=spoil)
    found = discover([tmp_path])
    assert not found.skipped
    (item,) = found.items
    np.testing.assert_array_equal(read(item).array, stored[[2, 3, 5, 7, 8]])
    (note,) = (n for n in item.notes if "left out" in n)
    assert note == (
        "x.dcm: frames 1-2 left out: a localizer (scout), not a slice; "
        "frame 5 left out: no position or orientation in the patient "
        "(Image Position (0020,0032) is missing or empty); "
        "frame 7 left out: no position or orientation in the patient "
        "(Image Orientation (0020,0037) is not a pair of unit vectors)"
    )


def test_an_instance_of_localizers_is_skipped(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "x", slices=2, change_frame=scout)
    (skip,) = discover([tmp_path]).skipped
    assert (skip.reason, skip.detail) == (Reason.LOCALIZER, "")


def drop(keyword: str) -> object:
    def change(group: Dataset, k: int) -> None:
        delattr(group, keyword)

    return change


@pytest.mark.parametrize(
    ("keyword", "reason"),
    [
        ("PlanePositionSequence", Reason.NO_POSITION),
        ("PlaneOrientationSequence", Reason.NO_POSITION),
        ("PixelMeasuresSequence", Reason.NO_SPACING),
        ("PixelValueTransformationSequence", Reason.RESCALE),
    ],
)
def test_a_missing_group_refuses(tmp_path: Path, keyword: str, reason: Reason) -> None:
    make_enhanced(tmp_path / "x", change_frame=drop(keyword))  # type: ignore[arg-type]
    (skip,) = discover([tmp_path]).skipped
    assert skip.reason is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ds: delattr(ds, "PerFrameFunctionalGroupsSequence"), Reason.FRAMES),
        (lambda ds: setattr(ds, "NumberOfFrames", 4), Reason.FRAMES),
        (lambda ds: setattr(ds, "NumberOfFrames", 2**31 - 1), Reason.FRAMES),
        (lambda ds: setattr(ds, "PhotometricInterpretation", "PALETTE COLOR"), Reason.PALETTE),
        (lambda ds: setattr(ds, "BitsAllocated", 32), Reason.BIT_DEPTH),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), Reason.TRUNCATED),
        (lambda ds: delattr(ds, "PixelData"), Reason.NO_PIXELS),
        (lambda ds: setattr(ds, "SeriesInstanceUID", ""), Reason.MISSING_UID),
        (lambda ds: setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), Reason.MULTI_FRAME),
    ],
)
def test_refusals(tmp_path: Path, change: object, reason: Reason) -> None:
    make_enhanced(tmp_path / "x", change=change)  # type: ignore[arg-type]
    (skip,) = discover([tmp_path]).skipped
    assert skip.reason is reason


def test_a_group_that_is_no_sequence(tmp_path: Path) -> None:
    def spoil(group: Dataset, k: int) -> None:
        if k == 1:
            del group.PlanePositionSequence
            group.add_new(0x00209113, "LO", "nonsense")

    stored = make_enhanced(tmp_path / "x", change_frame=spoil)
    item = only(tmp_path)
    np.testing.assert_array_equal(read(item).array, stored[[0, 2, 3, 4]])
    assert any("frame 2 left out: functional groups" in n for n in item.notes)


@pytest.mark.parametrize("missing", [8, 700])
def test_truncated_compressed_frames(tmp_path: Path, missing: int) -> None:
    make_enhanced(tmp_path / "x", compress=JPEGLSLossless, shape=(64, 64))
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-missing])
    (skip,) = discover([tmp_path]).skipped
    assert skip.reason is Reason.TRUNCATED


def test_fewer_fragments_than_frames(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "x", compress=RLELossless, slices=3)
    ds = pydicom.dcmread(tmp_path / "x")
    frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=3))
    ds.PixelData = pydicom.encaps.encapsulate(frames[:2])
    ds.save_as(tmp_path / "x")
    (skip,) = discover([tmp_path]).skipped
    assert (skip.reason, skip.detail) == (Reason.TRUNCATED, "2 compressed fragments for 3 frames")


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "x", compress=JPEGLSLossless, shape=(64, 64), slices=3)
    data = bytearray((tmp_path / "x").read_bytes())
    start = data.index(b"\xff\xd8", data.index(b"\xff\xd8") + 100)
    data[start : start + 300] = bytes(300)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(PixelError, match="frame 2"):
        read(only(tmp_path))


def test_a_file_that_changed(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "x", slices=5)
    item = only(tmp_path)
    make_enhanced(tmp_path / "x", slices=2)
    with pytest.raises(PixelError, match="has changed"):
        read(item)


def test_each_wanted_frame_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import DecodeRunner

    make_enhanced(
        tmp_path / "x", modality="MR", compress=RLELossless, depths=[0, 0, 3, 3],
        volumes={"echo": [1.0, 2.0] * 2},
    )  # fmt: skip
    calls: list[int] = []
    original = DecodeRunner.decode
    monkeypatch.setattr(
        DecodeRunner, "decode", lambda self, index: calls.append(index) or original(self, index)
    )
    read(discover([tmp_path]).items[1])
    assert calls == [1, 3]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_files_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged frames"
    if not (folder / "x").exists():
        make_enhanced(folder / "x", slices=3, shape=(4, 4))
    original = (folder / "x").read_bytes()
    broken = bytearray(original[: data.draw(st.integers(0, len(original)))])
    if data.draw(st.booleans()):
        broken = bytearray(original)
    for _ in range(data.draw(st.integers(0, 5))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("one")
    (folder / "x").write_bytes(broken)
    found = discover([folder / "x"])
    assert accounted(found) == {folder / "x"}
    for item in found.items:
        with suppress(MedidiffError):
            write(read(item), folder / "out", derivation=Derivation("m"), overwrite=True)


def test_no_frame_is_decoded_to_find_it(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "x", compress=JPEG2000Lossless, shape=(64, 64))
    data = (tmp_path / "x").read_bytes()
    start = data.index(b"\xff\x4f\xff\x51")
    (tmp_path / "x").write_bytes(data[:start] + bytes(400) + data[start + 400 :])
    assert only(tmp_path).shape[0] == 5
