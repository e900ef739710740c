"""Properties of any series: order does not matter, writing and reading undo each other, places agree."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from cases import put
from derived import real_values, same_image
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pydicom.valuerep import format_number_as_ds
from scipy.spatial.transform import Rotation

from medidiff.io import Derivation, SeriesItem, Written, discover, read, write

COPY = Derivation(
    "none", version="0.1.0", operation="copy", context=0, created=datetime(2024, 5, 6, tzinfo=timezone.utc)
)
few = settings(max_examples=20, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


def fresh(folder: Path) -> Path:
    """The folder, emptied: hypothesis runs every example in one test."""
    shutil.rmtree(folder / "x", ignore_errors=True)
    (folder / "x").mkdir()
    return folder / "x"


def copied(path: Path, out: Path, file_format: str = "same") -> tuple[SeriesItem, Written]:
    (item,) = discover([path]).items
    return item, write(read(item), out, derivation=COPY, file_format=file_format)  # type: ignore[arg-type]


ORDERED = range(5)


@given(
    names=st.permutations(ORDERED), numbers=st.permutations(ORDERED), deep=st.sets(st.sampled_from(ORDERED))
)
@few
def test_names_numbers_and_folders_do_not_matter(
    folder: Path, names: list[int], numbers: list[int], deep: set[int]
) -> None:
    """The same bytes out of any order, but for the Instance Number, which is copied."""
    home = fresh(folder)
    make_series(home / "a")
    make_series(home / "b", name=lambda k: str(names[k]), change=put("InstanceNumber", *numbers))
    for k in deep:
        (home / "b" / "deep" / str(k)).mkdir(parents=True)
        (home / "b" / str(k)).rename(home / "b" / "deep" / str(k) / "IM")
    _, expected = copied(home / "a", home / "out-a")
    _, found = copied(home / "b", home / "out-b")
    for k, (a, b) in enumerate(zip(expected.files, found.files, strict=True)):
        if numbers[k] == k + 1:
            assert a.read_bytes() == b.read_bytes()
        ds, same = pydicom.dcmread(a), pydicom.dcmread(b)
        assert (ds.InstanceNumber, same.InstanceNumber) == (k + 1, numbers[k])
        same.InstanceNumber = k + 1
        assert ds == same
        assert a.name == b.name


DECIMAL = st.floats(1e-4, 1e3).map(lambda v: float(f"{v:.6g}"))


@given(
    modality=st.sampled_from(["CT", "MR", "PT"]),
    allocated=st.sampled_from([8, 16]),
    signed=st.booleans(),
    bits=st.integers(6, 16),
    slopes=st.lists(DECIMAL, min_size=1, max_size=3),
    intercept=st.floats(-5e3, 5e3).map(lambda v: float(f"{v:.6g}")),
    padding=st.none() | st.integers(0, 31) | st.tuples(st.integers(0, 31), st.integers(0, 31)),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    encoding=st.sampled_from([
        {}, {"syntax": ImplicitVRLittleEndian}, {"syntax": ExplicitVRBigEndian},
        {"syntax": DeflatedExplicitVRLittleEndian}, {"compress": RLELossless},
    ]),
    seed=st.integers(0, 2**16),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_written_and_read_again(
    folder: Path, modality: str, allocated: int, signed: bool, bits: int, slopes: list[float],
    intercept: float, padding: int | tuple[int, int] | None, photometric: str, encoding: dict[str, str],
    seed: int,
) -> None:  # fmt: skip
    home, bits = fresh(folder), min(bits, allocated)
    if "compress" in encoding and allocated == 16:
        bits = max(bits, 9)  # pydicom's encoder writes fewer as one byte a pixel, which is not 16 allocated
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    kind = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    values = np.random.default_rng(seed).integers(low, high, (3, 5, 8), endpoint=True).astype(kind)
    make_series(
        home / "in", modality=modality, stored=values, depths=[0, 3, 6], bits_allocated=allocated,
        bits_stored=bits, signed=signed, slope=slopes, intercept=0.0 if modality == "PT" else intercept,
        padding=padding, change=put("PhotometricInterpretation", photometric), **encoding,  # type: ignore[arg-type]
    )  # fmt: skip
    item, written = copied(home / "in", home / "out")
    assert (written.clipped, written.notes) == (0, ())
    for source, derived in zip(item.files, written.files, strict=True):
        same_image(source, derived)
    (again,) = discover([written.path]).items
    np.testing.assert_array_equal(read(again).array, read(item).array)
    stored = [pydicom.dcmread(path).pixel_array for path in written.files]
    np.testing.assert_array_equal(stored, values)


@given(
    modality=st.sampled_from(["CT", "MR"]),
    slopes=st.lists(DECIMAL, min_size=1, max_size=3),
    order=st.permutations(range(4)),
    shared=st.booleans(),
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]),
)
@few
def test_enhanced_images_written_and_read_again(
    folder: Path, modality: str, slopes: list[float], order: list[int], shared: bool, syntax: str
) -> None:
    home = fresh(folder)
    make_enhanced(
        home / "in" / "E", modality=modality, depths=[3.0 * k for k in order], slope=slopes, shared=shared,
        syntax=syntax,
    )  # fmt: skip
    item, written = copied(home / "in", home / "out")
    (derived,) = written.files
    same_image(item.files[0], derived)


@st.composite
def grids(draw: st.DrawFn) -> dict[str, object]:
    """A place in the patient: any orientation, pixel size, step and origin."""
    turn = Rotation.random(random_state=draw(st.integers(0, 2**31))).as_matrix()
    cosines = [float(format_number_as_ds(float(v))) for v in (*turn[0], *turn[1])]
    sizes = [draw(st.floats(0.2, 5.0).map(lambda v: round(v, 4))) for _ in range(3)]
    return {"orientation": cosines, "spacing": tuple(sizes[:2]), "step": sizes[2]}


def positions(path: Path) -> np.ndarray:
    """Patient coordinates of every pixel ``[y, x, 3]`` of an image, by equation C.7.6.2.1-1."""
    ds = pydicom.dcmread(path)
    row, column = (
        np.array(ds.ImageOrientationPatient[:3], float),
        np.array(ds.ImageOrientationPatient[3:], float),
    )
    y, x = np.mgrid[: ds.Rows, : ds.Columns]
    return (
        np.array(ds.ImagePositionPatient, float)
        + x[..., None] * float(ds.PixelSpacing[1]) * row
        + y[..., None] * float(ds.PixelSpacing[0]) * column
    )


@given(grid=grids(), file_format=st.sampled_from(["nifti", "nrrd", "mha"]))
@settings(max_examples=40, deadline=None)
def test_every_voxel_is_where_dicom_says(folder: Path, grid: dict[str, object], file_format: str) -> None:
    """Closed form against medidiff's affine, and against nibabel or SimpleITK on what it exports."""
    home = fresh(folder)
    make_series(home / "in", slices=4, **grid)  # type: ignore[arg-type]
    item, written = copied(home / "in", home / "out", file_format)
    places = np.array([positions(path) for path in item.files])  # [z, y, x, 3]
    indices = np.moveaxis(np.indices(places.shape[:3])[::-1], 0, -1)  # x, y, z
    np.testing.assert_allclose(nib.affines.apply_affine(read(item).affine, indices), places, atol=1e-4)
    if file_format == "nifti":
        image = nib.load(written.path)
        found = nib.affines.apply_affine(image.affine, indices) * [-1, -1, 1]
        qform = nib.affines.apply_affine(image.get_qform(), indices) * [-1, -1, 1]
        np.testing.assert_allclose(qform, places, atol=1e-3)
    else:
        image = sitk.ReadImage(str(written.path))
        flat = [image.TransformIndexToPhysicalPoint(i.tolist()) for i in indices.reshape(-1, 3)]
        found = np.reshape(flat, places.shape)
    np.testing.assert_allclose(found, places, atol=1e-3)
    series = sitk.ReadImage([str(path) for path in item.files])
    corner = series.TransformIndexToPhysicalPoint(indices[-1, -1, -1].tolist())
    np.testing.assert_allclose(corner, places[-1, -1, -1], atol=1e-3)


@given(grid=grids(), tilt=st.floats(-25.0, 25.0).map(lambda v: round(v, 3)))
@few
def test_tilt_is_that_of_the_positions(folder: Path, grid: dict[str, object], tilt: float) -> None:
    home = fresh(folder)
    make_series(home, slices=4, tilt=tilt, change=put("GantryDetectorTilt", "3"), **grid)  # type: ignore[arg-type]
    (item,) = discover([home]).items
    assert item.tilt == pytest.approx(abs(tilt), abs=0.01)
    known = {key: place for path in item.files for key, (_, place) in real_values(path).items()}
    ours = [(item.headers.stack.affine @ [0, 0, k, 1])[:3] for k in range(4)]
    np.testing.assert_allclose(ours, [known[h.uid, 1] for h in item.headers.stack.slices], atol=1e-3)


@given(st.integers(0, 2**31), st.sampled_from(["a.nii", "a.nii.gz", "a.nrrd", "a.mha"]))
@few
def test_affines_of_files_are_those_of_their_libraries(folder: Path, seed: int, name: str) -> None:
    """NIfTI against nibabel, NRRD and MetaImage against SimpleITK; and the copy has the same grid."""
    home = fresh(folder)
    rng = np.random.default_rng(seed)
    values = rng.integers(-900, 900, (4, 5, 6)).astype(np.int16)
    turn, size, origin = (
        Rotation.random(random_state=seed).as_matrix(),
        rng.uniform(0.3, 5, 3),
        rng.normal(0, 99, 3),
    )
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * size, origin
    if ".nii" in name:
        nib.save(nib.Nifti1Image(values, affine), home / name)
        lps = np.diag([-1, -1, 1, 1]) @ nib.load(home / name).affine
        voxels = np.asarray(nib.load(home / name).dataobj)  # [i, j, k]
    else:
        image = sitk.GetImageFromArray(values.T)
        image.SetOrigin(origin.tolist())
        image.SetSpacing(size.tolist())
        image.SetDirection((turn * np.linalg.det(turn)).ravel().tolist())
        sitk.WriteImage(image, str(home / name))
        image = sitk.ReadImage(str(home / name))
        lps = np.eye(4)
        lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        lps[:3, 3] = image.GetOrigin()
        voxels = sitk.GetArrayFromImage(image).T
    (item,) = discover([home]).items
    volume = read(item)
    for z, y, x in rng.integers(0, volume.array.shape, (5, 3)):
        place = volume.affine @ [x, y, z, 1]
        index = np.linalg.solve(lps, place)[:3]
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        assert voxels[tuple(np.rint(index).astype(int))] == volume.array[z, y, x]
    copy = read(discover([write(volume, home / "out", derivation=COPY).path]).items[0])
    np.testing.assert_allclose(copy.affine, volume.affine, atol=1e-6)
    np.testing.assert_array_equal(copy.array, volume.array)
