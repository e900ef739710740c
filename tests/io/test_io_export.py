"""Export of DICOM series: values and places against SimpleITK, nibabel and closed forms; refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from one_item import only
from pydicom.dataset import Dataset

from medidiff.errors import GeometryError, OutputError, RefusedError
from medidiff.io import (
    Derivation,
    WriteOptions,
    by_series,
    discover,
    open_output,
    planned_output,
    read,
    write,
)

OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
FORMATS = ("nifti", "nrrd", "mha")


def lps_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values ``[z, y, x]`` and LPS affine by the format's own library."""
    if path.name.endswith(".nii.gz"):
        image = nib.load(path)
        return np.asanyarray(image.dataobj).T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    image = sitk.ReadImage(path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE, (0, 1, 0, 0, 0, -1)])
def test_values_and_places_are_exact(
    tmp_path: Path, derivation: Derivation, file_format: str, orientation: tuple[float, ...]
) -> None:
    stored = make_series(tmp_path / "in", orientation=orientation, intercept=-1024.0)
    item = only(tmp_path / "in")
    written = write(read(item), tmp_path / "out", derivation=derivation, file_format=file_format)
    assert written.path == planned_output(item, tmp_path / "out", file_format=file_format)
    values, affine = lps_of(written.path)
    assert values.dtype == np.int16
    np.testing.assert_array_equal(values, stored - 1024)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in item.files])
    other = reader.Execute()
    corner = [7, 5, 4]
    there = np.array(other.TransformIndexToPhysicalPoint(corner))
    np.testing.assert_allclose((affine @ [*corner, 1])[:3], there, atol=1e-4)
    np.testing.assert_allclose(affine[:3, 3], other.GetOrigin(), atol=1e-6)


@pytest.mark.parametrize("file_format", FORMATS)
def test_fractions_are_kept(tmp_path: Path, derivation: Derivation, file_format: str) -> None:
    slopes = [1.0, 0.37, 2.5, 1.1, 0.9]
    stored = make_series(tmp_path / "in", modality="PT", slope=slopes)
    written = write(read(only(tmp_path / "in")), tmp_path, derivation=derivation, file_format=file_format)
    values, _ = lps_of(written.path)
    np.testing.assert_array_equal(values, (stored * np.reshape(slopes, (5, 1, 1))).astype(np.float32))


def test_maps_are_float(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in")
    volume = read(only(tmp_path / "in"))
    map_ = volume.with_array(np.full_like(volume.array, 0.25))
    options = {"derivation": derivation, "suffix": "uncertainty", "file_format": "nifti"}
    written = write(map_, tmp_path / "out", **options)
    assert written.path.name.endswith("_desc-uncertainty.nii.gz")
    assert set(np.unique(lps_of(written.path)[0])) == {0.25}


@pytest.mark.parametrize(("name", "tolerance"), [("CT", 0.0), ("MR_T1", 0.0), ("PET", 2e-6)])
def test_ibsi_nifti_twins(
    io_data: Path, tmp_path: Path, derivation: Derivation, name: str, tolerance: float
) -> None:
    """The collection's own NIfTI files, made by others, show the same values at the same places."""
    root = io_data / "theibsi__data_sets/ibsi_validation"
    item = only(root / "dicom/STS_001" / name / "image")
    written = write(read(item), tmp_path, derivation=derivation, file_format="nifti")
    ours = nib.as_closest_canonical(nib.load(written.path))
    theirs = nib.as_closest_canonical(nib.load(root / f"nifti/STS_001/{name}_image.nii.gz"))
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=2e-3)
    a, b = ours.get_fdata(), theirs.get_fdata()
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"depths": [0, 3, 6, 12, 15]}, "slices 3 and 4 are 6.00 mm apart, most 3.00 mm"),
        ({"depths": [0, 2, 4, 9, 14]}, "mm apart"),
        ({"tilt": 15.0}, "tilt 15.0 degrees"),
        ({"depths": [0, 3, 3, 6, 9]}, "repeats the position"),
    ],
)
@pytest.mark.parametrize("file_format", FORMATS)
def test_an_irregular_series_is_refused_with_the_place(
    tmp_path: Path, derivation: Derivation, knobs: dict[str, object], words: str, file_format: str
) -> None:
    make_series(tmp_path / "in", **knobs)
    volume = read(only(tmp_path / "in"))
    with pytest.raises(GeometryError, match=words):
        write(volume, tmp_path / "out", derivation=derivation, file_format=file_format)
    assert not (tmp_path / "out").exists()
    assert len(write(volume, tmp_path / "out", derivation=derivation).files) == 5  # DICOM takes it


def test_a_file_is_not_converted(tmp_path: Path, derivation: Derivation) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 3), np.int16), np.eye(4)), tmp_path / "a.nii")
    volume = read(only(tmp_path / "a.nii"))
    with pytest.raises(RefusedError, match="no DICOM series") as caught:
        write(volume, tmp_path / "out", derivation=derivation, file_format="nrrd")
    assert caught.value.code == "NOT_DICOM"
    assert write(volume, tmp_path / "out", derivation=derivation, file_format="nifti").path.exists()
    for name in ("b.nrrd", "c.mha"):
        sitk.WriteImage(sitk.Image([4, 5, 3], sitk.sitkInt16), tmp_path / name)
        volume = read(only(tmp_path / name))
        options = {"derivation": derivation, "file_format": name.split(".")[1]}
        assert write(volume, tmp_path / "out", **options).path.suffix == Path(name).suffix


def echo(number: int) -> Callable[[Dataset, int], None]:
    def change(ds: Dataset, k: int) -> None:
        ds.EchoTime = str(10 * number)

    return change


def volumes(folder: Path, step: float = 3.0) -> list[np.ndarray]:
    """Two echoes of one series, the second with its own values."""
    return [
        make_series(folder / str(n), modality="MR", slope=None, intercept=None, first=10 * n, seed=n,
                    change=echo(n), step=3.0 if n == 1 else step)
        for n in (1, 2)
    ]  # fmt: skip


def test_volumes_on_one_grid_become_a_4d_file(tmp_path: Path, derivation: Derivation) -> None:
    stored = volumes(tmp_path / "in")
    items = discover([tmp_path / "in"]).items
    assert [item.part for item in items] == [(1, 2), (2, 2)]
    with open_output(items[0], tmp_path / "out", WriteOptions(format="nifti")) as output:
        for item in items:
            output.add(read(item), derivation)
    (image,) = (tmp_path / "out").glob("*.nii.gz")
    values = np.asanyarray(nib.load(image).dataobj)
    assert values.shape == (8, 6, 5, 2)
    for k in range(2):
        np.testing.assert_array_equal(values[..., k].T, stored[k])
    sidecar = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Volumes"] == [{"EchoTime": "10"}, {"EchoTime": "20"}]
    assert "Doe" not in json.dumps(sidecar)


def test_the_sidecar_tells_magnitude_from_phase(tmp_path: Path, derivation: Derivation) -> None:
    for n, part in enumerate("PM"):
        make_series(
            tmp_path / "in" / part, modality="MR", slope=None, intercept=None, first=10 * n, seed=n,
            change=lambda ds, k, part=part: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", part, "ND"]),
        )  # fmt: skip
    items = discover([tmp_path / "in"]).items
    with open_output(items[0], tmp_path / "out", WriteOptions(format="nifti")) as output:
        for item in items:
            output.add(read(item), derivation)
    (image,) = (tmp_path / "out").glob("*.nii.gz")
    sidecar = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
    types = [volume["ImageType"] for volume in sidecar["Volumes"]]
    assert sorted(types) == [["M", "ND"], ["P", "ND"]]
    values = np.asanyarray(nib.load(image).dataobj)
    for k, (part, _) in enumerate(types):
        np.testing.assert_array_equal(values[..., k].T, stored_of(tmp_path / "in" / part))


def stored_of(folder: Path) -> np.ndarray:
    """Stored values of a series in order of its files."""
    import pydicom

    return np.stack([pydicom.dcmread(f).pixel_array for f in sorted(folder.iterdir())])


def test_a_4d_file_is_whole_or_not_there(tmp_path: Path, derivation: Derivation) -> None:
    volumes(tmp_path / "in")
    items = discover([tmp_path / "in"]).items
    with pytest.raises(RefusedError, match="only 1 of its 2 volumes"):
        with open_output(items[0], tmp_path / "out", WriteOptions(format="nifti")) as output:
            output.add(read(items[0]), derivation)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("file_format", "step", "files"), [("nifti", 4.0, 2), ("nrrd", 3.0, 2)])
def test_other_stacks_become_a_file_each(
    tmp_path: Path, derivation: Derivation, file_format: str, step: float, files: int
) -> None:
    stored = volumes(tmp_path / "in", step)
    items = discover([tmp_path / "in"]).items
    with open_output(items[0], tmp_path / "out", WriteOptions(format=file_format)) as output:
        planned = [output.add(read(item), derivation).path for item in items]
    assert len(set(planned)) == files
    for path, values in zip(planned, stored, strict=True):
        np.testing.assert_array_equal(lps_of(path)[0], values)


def test_stacks_of_a_series_come_back_as_one_series(tmp_path: Path, derivation: Derivation) -> None:
    import pydicom

    volumes(tmp_path / "in", 4.0)
    items = discover([tmp_path / "in"]).items
    assert len(by_series(items)) == 1
    now = replace(derivation, created=None)
    with open_output(items[0], tmp_path / "out", WriteOptions()) as output:
        written = [output.add(read(item), now) for item in items]
    assert written[0].path == written[1].path
    files = sorted(written[0].path.iterdir())
    assert len(files) == 10
    headers = [pydicom.dcmread(f) for f in files]
    assert len({h.SeriesInstanceUID for h in headers}) == 1
    assert len({h.SeriesNumber for h in headers}) == 1
    assert len({h.SeriesTime for h in headers}) == 1  # also without a time from outside
    assert len({h.SOPInstanceUID for h in headers}) == 10
    again = discover([written[0].path]).items
    assert [item.part for item in again] == [(1, 2), (2, 2)]
    for old, new in zip(items, again, strict=True):
        np.testing.assert_array_equal(read(old).array, read(new).array)


def test_the_series_is_whole_or_not_there(tmp_path: Path, derivation: Derivation) -> None:
    volumes(tmp_path / "in")
    items = discover([tmp_path / "in"]).items

    def interrupted() -> None:
        with open_output(items[0], tmp_path / "out", WriteOptions()) as output:
            output.add(read(items[0]), derivation)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "out").exists()
    with open_output(items[0], tmp_path / "out", WriteOptions()):
        pass
    assert not (tmp_path / "out").exists()  # nothing was added
    write(read(items[0]), tmp_path / "out", derivation=derivation)
    with pytest.raises(OutputError, match="the output exists"):
        with open_output(items[0], tmp_path / "out", WriteOptions()):
            pass


def test_the_series_description_of_the_user(tmp_path: Path, derivation: Derivation) -> None:
    import pydicom

    make_series(tmp_path / "in", slices=1)
    volume = read(only(tmp_path / "in"))
    path = write(volume, tmp_path / "out", derivation=derivation, series_description="Low dose " * 9).files[0]
    text = pydicom.dcmread(path).SeriesDescription
    assert text.startswith("Low dose Low dose")
    assert text.endswith("medidiff denoised (research)")
    assert len(text) <= 64


@pytest.mark.parametrize(
    "keyword",
    ["TemporalPositionIdentifier", "EchoTime", "DiffusionBValue", "AcquisitionNumber", "TriggerTime", None],
)
def test_volumes_of_a_4d_file_are_in_the_order_of_their_numbers(
    tmp_path: Path, derivation: Derivation, keyword: str | None
) -> None:
    """Twelve volumes: 2 comes before 10; where only the instance number tells, that one decides."""

    def change(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = k + 1
        if keyword:
            setattr(ds, keyword, k // 3 + 1)

    stored = make_series(tmp_path / "in", modality="MR", depths=[0, 3, 6] * 12, change=change)
    exported(tmp_path, derivation, stored)


def test_directions_of_a_4d_file_are_in_the_order_of_acquisition(
    tmp_path: Path, derivation: Derivation
) -> None:
    rng = np.random.default_rng(4)
    directions = [v / np.linalg.norm(v) for v in rng.normal(size=(12, 3))]

    def change(ds: Dataset, k: int) -> None:
        ds.InstanceNumber, ds.DiffusionBValue = k + 1, 1000.0
        ds.DiffusionGradientOrientation = [float(v) for v in directions[k // 3]]

    stored = make_series(tmp_path / "in", modality="MR", depths=[0, 3, 6] * 12, change=change)
    exported(tmp_path, derivation, stored)


def exported(folder: Path, derivation: Derivation, stored: np.ndarray) -> None:
    """Exports a series to one 4-D file and compares it with its images in the order of their numbers."""
    items = discover([folder / "in"]).items
    assert len(items) == 12
    assert all(item.shared_grid for item in items)
    with open_output(items[0], folder / "out", WriteOptions(format="nifti")) as output:
        for item in items:
            written = output.add(read(item), derivation)
    image = nib.load(next(f for f in written.files if f.name.endswith(".nii.gz")))
    found = np.asanyarray(image.dataobj).T  # [t, z, y, x]
    np.testing.assert_array_equal(found.reshape(stored.shape), stored)
