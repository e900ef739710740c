"""Volumes of one series that lie in between each other, and parts of one volume that must stay together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataset import Dataset

from medidiff.io import Derivation, discover, open_output, planned_output, read
from medidiff.io.items import WriteOptions


def depths_of(folder: Path) -> list[list[float]]:
    """Positions in mm of the slices of each stack, from the first of them all."""
    return [[round(s.depth - 5, 3) for s in i.headers.stack.slices] for i in discover([folder]).items]


def acquisitions(folder: Path, *parts: Sequence[float], modality: str = "CT") -> None:
    """A series with a part for each acquisition number, from 1, at these depths."""
    numbers = [n for n, part in enumerate(parts, start=1) for _ in part]

    def acquire(ds: Dataset, k: int) -> None:
        ds.AcquisitionNumber = numbers[k]

    make_series(folder, modality=modality, depths=[d for part in parts for d in part], change=acquire)


def steps(start: float, count: int, step: float = 5.0) -> list[float]:
    return [start + step * k for k in range(count)]


@pytest.mark.parametrize("offset", [2.5, 1.0, 7.5])
def test_two_phases_between_each_other_are_two_stacks(tmp_path: Path, offset: float) -> None:
    first, second = steps(0, 6), steps(offset, 6)
    acquisitions(tmp_path, first, second)
    assert depths_of(tmp_path) == [first, second]
    assert all(item.regular and item.spacing[0] == pytest.approx(5) for item in discover([tmp_path]).items)


def test_a_denoised_slice_looks_at_its_own_phase_only(tmp_path: Path, derivation: Derivation) -> None:
    acquisitions(tmp_path / "in", steps(0, 5), steps(2.5, 5))
    items = discover([tmp_path / "in"]).items
    with open_output(items[0], tmp_path / "out", WriteOptions()) as output:
        for item in items:
            output.add(read(item), derivation)
    phase = {d.SOPInstanceUID: d.AcquisitionNumber for d in map(pydicom.dcmread, (tmp_path / "in").iterdir())}
    written = [pydicom.dcmread(p) for p in (tmp_path / "out").rglob("*.dcm")]
    assert len(written) == 10
    assert len({d.SeriesInstanceUID for d in written}) == 1
    for d in written:
        seen = {phase[r.ReferencedSOPInstanceUID] for r in d.SourceImageSequence}
        assert seen == {d.AcquisitionNumber}


def test_two_phases_are_exported_as_two_files(tmp_path: Path, derivation: Derivation) -> None:
    acquisitions(tmp_path / "in", steps(0, 5), steps(2.5, 5))
    items = discover([tmp_path / "in"]).items
    with open_output(items[0], tmp_path / "out", WriteOptions(format="nifti")) as output:
        for item in items:
            output.add(read(item), derivation)
    images = [nib.load(planned_output(i, tmp_path / "out", file_format="nifti")) for i in items]
    assert [i.shape[2] for i in images] == [5, 5]
    assert [i.header.get_zooms()[2] for i in images] == pytest.approx([5, 5])
    assert images[1].affine[2, 3] - images[0].affine[2, 3] == pytest.approx(2.5)


@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_acquisitions_that_continue_each_other_are_one_stack(
    tmp_path: Path, overlap: int, shift: float
) -> None:
    acquisitions(tmp_path, steps(0, 8), steps(40 - 5 * overlap + shift, 8))
    assert len(depths_of(tmp_path)) == 1


def test_as_few_stacks_as_it_takes(tmp_path: Path) -> None:
    """Chest, abdomen and, late, the abdomen again; numbered 9 to 11, which are no text to be sorted."""
    chest, abdomen, late = steps(0, 6), steps(30, 6), steps(32.5, 6)
    numbers = [9] * 6 + [10] * 6 + [11] * 6
    make_series(
        tmp_path, depths=chest + abdomen + late,
        change=lambda ds, k: setattr(ds, "AcquisitionNumber", numbers[k]),
    )  # fmt: skip
    assert depths_of(tmp_path) == [chest + abdomen, late]


def test_slices_that_watch_the_bolus_are_no_part_of_the_scan(tmp_path: Path) -> None:
    acquisitions(tmp_path, [11.0] * 6, steps(0, 8))
    found = discover([tmp_path]).items
    assert sorted(i.shape[0] for i in found) == [6, 8]
    assert next(i for i in found if i.shape[0] == 8).headers.stack.adjacent.all()


def test_every_other_slice_of_an_mr_volume_is_no_volume(tmp_path: Path) -> None:
    """Two passes, odd slices and even slices: the usual way of 2-D MR without cross-talk."""
    acquisitions(tmp_path, steps(0, 5), steps(2.5, 5), modality="MR")
    (item,) = discover([tmp_path]).items
    assert item.regular
    assert item.spacing[0] == pytest.approx(2.5)


def test_numbers_that_leave_holes_do_not_break_a_grid(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(1, 3, 12)
    make_series(
        tmp_path, slices=12, change=lambda ds, k: setattr(ds, "AcquisitionNumber", int(numbers[k]))
    )  # fmt: skip
    (item,) = discover([tmp_path]).items
    assert item.regular


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("named", [True, False], ids=["StackID", "DimensionIndexValues"])
def test_stacks_of_an_enhanced_image(tmp_path: Path, modality: str, named: bool) -> None:
    first, second = steps(0, 5), steps(2.5, 5)

    def stack(group: Dataset, k: int) -> None:
        content = group.FrameContentSequence[0]
        content.StackID, content.DimensionIndexValues = str(1 + k // 5), [1 + k // 5, 1 + k % 5]
        if not named:
            del content.StackID

    make_enhanced(tmp_path / "a.dcm", modality=modality, depths=first + second, change_frame=stack)
    assert depths_of(tmp_path) == [first, second]


def test_stacks_of_an_enhanced_image_that_continue_each_other(tmp_path: Path) -> None:
    def stack(group: Dataset, k: int) -> None:
        group.FrameContentSequence[0].StackID = str(1 + k // 5)

    make_enhanced(tmp_path / "a.dcm", slices=10, change_frame=stack)
    assert len(depths_of(tmp_path)) == 1


@pytest.mark.parametrize(("modality", "count"), [("CT", 2), ("MR", 1)])
def test_acquisition_numbers_of_an_enhanced_image(tmp_path: Path, modality: str, count: int) -> None:
    def acquire(group: Dataset, k: int) -> None:
        group.FrameContentSequence[0].FrameAcquisitionNumber = 1 + k // 5

    make_enhanced(
        tmp_path / "a.dcm", modality=modality, depths=steps(0, 5) + steps(2.5, 5), change_frame=acquire
    )
    assert len(depths_of(tmp_path)) == count


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("shift", [1.5, 1.0])
@pytest.mark.parametrize(("spaced", "count"), [(3.0, 2), (1.5, 1), (None, 1), (0.0, 1), (7.0, 1)])
def test_phases_of_mr_in_between_each_other(
    tmp_path: Path, spaced: float | None, count: int, shift: float, enhanced: bool
) -> None:
    """Two phases that only time tells apart, 3 mm from slice to slice as Spacing Between Slices says; where
    that says 1.5 mm, they are the two passes over one volume.
    """
    first, second = steps(0, 5, 3.0), steps(shift, 5, 3.0)
    times = ["101112"] * 5 + ["101312.5"] * 5

    def told(ds: Dataset, k: int) -> None:
        ds.AcquisitionTime = times[k]
        if spaced is not None:
            ds.SpacingBetweenSlices = spaced

    def told_of_frames(group: Dataset, k: int) -> None:
        group.FrameContentSequence[0].FrameAcquisitionDateTime = f"20200102{times[k]}"
        if spaced is not None:
            group.PixelMeasuresSequence[0].SpacingBetweenSlices = spaced

    if enhanced:
        make_enhanced(tmp_path / "a.dcm", modality="MR", depths=first + second, change_frame=told_of_frames)
    else:
        make_series(tmp_path, modality="MR", depths=first + second, change=told)
    found = depths_of(tmp_path)
    assert found == [first, second] if count == 2 else len(found) == 1


def volumes(folder: Path, order: Sequence[tuple[int, int]], **knobs: object) -> np.ndarray:
    """An MR series without echo, b-value or time: (volume, place) of each image, in order of its number."""
    numbers = {place: n for n, place in enumerate(order, start=1)}
    pairs = sorted(order)

    def number(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = numbers[pairs[k]]

    return make_series(folder, modality="MR", depths=[3.0 * p for _, p in pairs], change=number, **knobs)  # type: ignore[arg-type]


ONE_AFTER_ANOTHER = [(v, p) for v in range(3) for p in range(4)]
PLACE_BY_PLACE = [(v, p) for p in range(4) for v in range(3)]
DOWN_AND_SLICES_INTERLEAVED = [(v, p) for v in range(3) for p in (3, 1, 2, 0)]


@pytest.mark.parametrize("order", [ONE_AFTER_ANOTHER, PLACE_BY_PLACE, DOWN_AND_SLICES_INTERLEAVED])
def test_volumes_that_only_their_number_tells_apart(tmp_path: Path, order: list[tuple[int, int]]) -> None:
    """GE diffusion of two b-values has the b-value in a private element, and nothing else that differs."""
    stored = volumes(tmp_path, order)
    items = discover([tmp_path]).items
    assert len(items) == 3
    assert all(item.regular and not item.notes for item in items)
    found = {read(item).array.tobytes() for item in items}
    assert found == {stored[4 * v : 4 * v + 4].astype(np.float32).tobytes() for v in range(3)}


@pytest.mark.parametrize(
    "order",
    [
        [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (1, 2), (0, 3), (1, 3)],  # no order at all
        [(0, 0), (0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1), (1, 0)],  # there and back
        [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1)],  # one image more
    ],
)
def test_numbers_in_another_order_say_nothing(tmp_path: Path, order: list[tuple[int, int]]) -> None:
    volumes(tmp_path, order)
    (item,) = discover([tmp_path]).items
    assert not item.regular
    assert "repeat" in item.notes[0]


def test_numbers_that_are_not_unique_say_nothing(tmp_path: Path) -> None:
    make_series(
        tmp_path,
        modality="MR",
        depths=[0, 3, 6, 0, 3, 6],
        change=lambda ds, k: ds.__setattr__("InstanceNumber", 1),
    )
    assert len(discover([tmp_path]).items) == 1


@pytest.mark.parametrize("keyword", ["EchoTime", "TemporalPositionIdentifier"])
@pytest.mark.parametrize("values", [range(1, 9), (11, 11, 12, 11, 11, 12, 12, 11)])
def test_values_that_number_the_slices_of_a_volume_tear_nothing(
    tmp_path: Path, keyword: str, values: Sequence[float]
) -> None:
    stored = make_series(
        tmp_path, modality="MR", slices=8, change=lambda ds, k: setattr(ds, keyword, values[k])
    )
    (item,) = discover([tmp_path]).items
    assert item.regular
    np.testing.assert_array_equal(read(item).array, stored)


def test_two_slabs_of_two_echoes_stay_two_stacks(tmp_path: Path) -> None:
    make_series(
        tmp_path, modality="MR", slices=8, change=lambda ds, k: setattr(ds, "EchoTime", 10 if k < 4 else 90)
    )
    assert depths_of(tmp_path) == [steps(0, 4, 3.0), steps(12, 4, 3.0)]


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("ConvolutionKernel", ["B30f", "B60f"]), ("KVP", [80, 140]), ("SliceThickness", [1, 5]),
        ("SeriesNumber", [4, 5]), ("RepetitionTime", [500, 2000]),
    ],
)  # fmt: skip
def test_reconstructions_of_one_series_uid(tmp_path: Path, keyword: str, values: list[object]) -> None:
    """De-identifiers merge series into one UID: noise of a sharp and of a soft kernel must not be mixed."""

    def change(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = k % 4
        setattr(ds, keyword, values[k // 4])

    stored = make_series(tmp_path, depths=2 * steps(0, 4), change=change)
    items = discover([tmp_path]).items
    assert [item.regular for item in items] == [True, True]
    found = [read(item).array for item in items]
    assert {a.tobytes() for a in found} == {a.astype(np.float32).tobytes() for a in (stored[:4], stored[4:])}
