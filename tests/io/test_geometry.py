"""Grouping, sorting and affine against closed forms and highdicom's conventions."""

from __future__ import annotations

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

from medidiff.io import discover
from medidiff.io.dicom.geometry import stacks
from medidiff.io.dicom.header import read_header
from medidiff.io.dicom.slice_header import SliceHeader


def headers(folder: Path) -> list[SliceHeader]:
    found = [read_header(p) for p in sorted(folder.iterdir())]
    assert all(isinstance(h, list) for h in found), found
    return [header for part in found for header in part]  # type: ignore[misc]


def test_affine_is_that_of_highdicom(tmp_path: Path) -> None:
    angle = np.radians(20)
    orientation = [np.cos(angle), np.sin(angle), 0, 0, 0, -1]
    make_series(tmp_path, orientation=[round(v, 9) for v in orientation], spacing=(0.5, 0.9), step=2.5)
    (stack,) = stacks(headers(tmp_path))
    volume = highdicom.get_volume_from_series([pydicom.dcmread(p) for p in sorted(tmp_path.iterdir())])
    # highdicom's axes are (slice, row, column), and its slices may run the other way
    reference = np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    if reference[:3, 2] @ stack.affine[:3, 2] < 0:
        reference[:3, 3] += reference[:3, 2] * (len(stack.slices) - 1)
        reference[:3, 2] *= -1
    np.testing.assert_allclose(stack.affine, reference, atol=1e-6)
    assert stack.regular
    assert stack.adjacent.all()
    assert stack.spacing == pytest.approx((2.5, 0.5, 0.9))


def test_positions_of_voxels(tmp_path: Path) -> None:
    """C.7.6.2.1.1, equation C.7.6.2.1-1, for the last slice of a tilted stack."""
    make_series(tmp_path, slices=4, tilt=15.0, spacing=(0.6, 0.8), step=3.0)
    (stack,) = stacks(headers(tmp_path))
    expected = [-20 + 5 * 0.8, -30 + 2 * 0.6 + 9 * np.tan(np.radians(15)), 5 + 9.0]
    np.testing.assert_allclose((stack.affine @ [5, 2, 3, 1])[:3], expected, atol=1e-6)
    assert stack.tilt == pytest.approx(15.0, abs=1e-4)
    assert stack.regular
    assert stack.adjacent.all()  # a tilted stack keeps its context


@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_order_comes_from_position_alone(tmp_path: Path, shuffle: int) -> None:
    order = np.random.default_rng(shuffle).permutation(6)

    def lie(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = int(order[k])
        ds.SliceLocation = float(-order[k])

    make_series(tmp_path, slices=6, name=lambda k: f"f{order[k]}", change=lie)
    (stack,) = stacks(headers(tmp_path))
    assert [s.uid for s in stack.slices] == [uid("1", k) for k in range(6)]


@given(st.permutations(range(9)))
@settings(max_examples=30, deadline=None)
def test_any_permutation_gives_the_same_stacks(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "permutation"
    if not folder.exists():
        make_series(folder, slices=5)
        make_series(
            folder, slices=4, shape=(5, 5), name="L{:d}".format, first=50, orientation=(0, 1, 0, 0, 0, -1)
        )
    found = headers(folder)
    reference = [[s.uid for s in stack.slices] for stack in stacks(found)]
    assert len(reference) == 2
    assert [[s.uid for s in stack.slices] for stack in stacks([found[k] for k in order])] == reference


def test_gap_breaks_the_neighbourhood(tmp_path: Path) -> None:
    make_series(tmp_path, depths=[0, 3, 6, 12, 15])
    (stack,) = stacks(headers(tmp_path))
    assert stack.adjacent.tolist() == [True, True, False, True]
    assert not stack.regular
    assert "6.00 mm apart" in stack.notes[0]
    assert stack.spacing[0] == pytest.approx(3.0)  # not the mean, 3.75


def test_two_and_five_millimetres(tmp_path: Path) -> None:
    make_series(tmp_path, depths=[0, 2, 4, 6, 11, 16])
    (stack,) = stacks(headers(tmp_path))
    assert stack.adjacent.tolist() == [True, True, True, False, False]
    assert not stack.regular


@pytest.mark.parametrize(("jitter", "regular"), [(0.005, True), (0.02, False)])
def test_one_per_cent_is_the_limit(tmp_path: Path, jitter: float, regular: bool) -> None:
    make_series(tmp_path, depths=[0, 3, 6 + 3 * jitter, 9 + 3 * jitter, 12 + 3 * jitter])
    (stack,) = stacks(headers(tmp_path))
    assert stack.regular is regular
    assert stack.adjacent.all() == regular


def test_orientation_jitter_is_one_stack_and_a_turn_is_two(tmp_path: Path) -> None:
    def jitter(ds: Dataset, k: int) -> None:
        ds.ImageOrientationPatient = [1, k * 1e-8, 0, -k * 1e-8, 1, 0]

    def turn(ds: Dataset, k: int) -> None:
        ds.ImageOrientationPatient = [1, 0.01 * (k == 2), 0, -0.01 * (k == 2), 1, 0]

    make_series(tmp_path / "a", change=jitter)
    assert len(stacks(headers(tmp_path / "a"))) == 1
    make_series(tmp_path / "b", change=turn)
    assert sorted(len(s.slices) for s in stacks(headers(tmp_path / "b"))) == [1, 4]


@pytest.mark.parametrize(
    "change",
    [
        lambda ds, k: setattr(ds, "PixelSpacing", [0.7, 0.8 if k < 2 else 0.81]),
        lambda ds, k: setattr(ds, "EchoTime", 10.0 if k < 2 else 20.0),
        lambda ds, k: setattr(ds, "FrameOfReferenceUID", uid("frame", k < 2)),
        lambda ds, k: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "M" if k < 2 else "P"]),
    ],
    ids=["spacing", "echo", "frame", "phase"],
)
def test_what_never_shares_a_stack(tmp_path: Path, change: object) -> None:
    make_series(tmp_path, modality="MR", change=change)  # type: ignore[arg-type]
    assert sorted(len(s.slices) for s in stacks(headers(tmp_path))) == [2, 3]


def test_a_frame_of_reference_per_slice_says_nothing(tmp_path: Path) -> None:
    make_series(tmp_path, change=lambda ds, k: setattr(ds, "FrameOfReferenceUID", uid("frame", k)))
    (stack,) = stacks(headers(tmp_path))
    assert stack.regular
    (item,) = discover([tmp_path]).items
    assert any("of its own" in note for note in item.notes)


def test_matrix_size_splits(tmp_path: Path) -> None:
    make_series(tmp_path, slices=3)
    make_series(tmp_path, slices=2, shape=(8, 8), first=10, name="B{}".format)
    assert sorted(len(s.slices) for s in stacks(headers(tmp_path))) == [2, 3]


def test_interleaved_volumes_are_separated_by_acquisition(tmp_path: Path) -> None:
    def acquire(ds: Dataset, k: int) -> None:
        ds.AcquisitionNumber = 1 + k // 4

    make_series(tmp_path, depths=[0, 3, 6, 9, 0, 3, 6, 9], change=acquire)
    found = stacks(headers(tmp_path))
    assert [len(s.slices) for s in found] == [4, 4]
    assert all(s.regular and s.spacing[0] == pytest.approx(3) for s in found)


def test_repeats_without_explanation_have_no_context(tmp_path: Path) -> None:
    make_series(tmp_path, depths=[0, 3, 3, 6, 9])
    (stack,) = stacks(headers(tmp_path))
    assert not stack.adjacent.any()
    assert not stack.regular
    assert stack.notes == ("1 slice repeats the position of another",)
    assert stack.spacing[0] == pytest.approx(3)


def test_two_acquisitions_that_continue_are_one_stack(tmp_path: Path) -> None:
    make_series(tmp_path, slices=6, change=lambda ds, k: setattr(ds, "AcquisitionNumber", 1 + k // 3))
    (stack,) = stacks(headers(tmp_path))
    assert stack.regular


def test_single_slice(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1)
    (stack,) = stacks(headers(tmp_path))
    assert stack.regular
    assert stack.adjacent.shape == (0,)
    np.testing.assert_allclose(stack.affine[:3, 2], [0, 0, 3])


@pytest.mark.parametrize(("step", "digits"), [(0.625, 1), (0.625, 2), (1 / 3, 2), (1 / 3, 1), (1.25, 1)])
def test_rounded_positions_are_an_even_grid(tmp_path: Path, step: float, digits: int) -> None:
    """Positions with one or two decimals: 0.6, 0.7, 0.6 mm apart, nowhere 0.1 mm beside the true place."""

    def rounded(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient = [-20, -30, f"{k * step:.{digits}f}"]

    make_series(tmp_path, slices=40, change=rounded)
    (stack,) = stacks(headers(tmp_path))
    assert stack.regular
    assert stack.adjacent.all()
    assert not stack.notes
    for k in (0, 20, 39):
        np.testing.assert_allclose(stack.affine @ [0, 0, k, 1], [-20, -30, k * step, 1], atol=0.1)
    assert stack.spacing[0] == pytest.approx(step, rel=3e-3)


def test_a_small_gap_is_not_rounding(tmp_path: Path) -> None:
    make_series(tmp_path, depths=[0.625 * k + (0.2 if k > 10 else 0) for k in range(20)])
    (stack,) = stacks(headers(tmp_path))
    assert not stack.regular
    assert not stack.adjacent[10]


@pytest.mark.parametrize("angle", [45.0, 30.0, 12.3])
@pytest.mark.parametrize("digits", [2, 3, 6])
def test_rounded_cosines_are_unit_vectors(tmp_path: Path, angle: float, digits: int) -> None:
    """0.71 0.71 0 is no unit vector: taken as one, it stretches voxels and makes a tilt that is none."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    make_series(
        tmp_path, orientation=[round(v, digits) for v in (c, s, 0, -s, c, 0)], spacing=(0.7, 0.8),
        change=lambda ds, k: setattr(ds, "ImagePositionPatient", [1, 2, 3 * k]),
    )  # fmt: skip
    (stack,) = stacks(headers(tmp_path))
    lengths = np.linalg.norm(stack.affine[:3, :3], axis=0)
    np.testing.assert_allclose(lengths, [0.8, 0.7, 3.0], rtol=1e-9)
    assert stack.spacing[0] == pytest.approx(3.0, rel=1e-9)
    assert stack.tilt == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("thickness", "spacing"), [("2.5", 2.5), ("", 1.0), (None, 1.0), ("0", 1.0)])
@pytest.mark.parametrize("enhanced", [False, True])
def test_one_slice_is_as_thick_as_it_says(
    tmp_path: Path, thickness: str | None, spacing: float, enhanced: bool
) -> None:
    """There is no step to measure, and the extent of its voxels is its thickness (C.7.6.2.1.1)."""

    def change(ds: Dataset, k: int = 0) -> None:
        ds.pop("SliceThickness", None)
        if thickness is not None:
            ds.SliceThickness = thickness

    if enhanced:
        make_enhanced(tmp_path / "a", slices=1, change_frame=lambda g, k: change(g.PixelMeasuresSequence[0]))
    else:
        make_series(tmp_path, slices=1, change=change)
    (item,) = discover([tmp_path]).items
    assert item.spacing[0] == spacing
    np.testing.assert_allclose(item.headers.stack.affine[:3, 2], [0, 0, spacing])
