"""NRRD and MetaImage: type, grid and values are kept, or the file is refused."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from itk_files import save
from one_item import only

from medidiff.errors import PixelError
from medidiff.io import Derivation, Reason, discover, read, write


@pytest.mark.parametrize("extension", ["nrrd", "mha", "nhdr", "mhd"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("packed", [True, False])
def test_identity(tmp_path: Path, derivation: Derivation, extension: str, dtype: str, packed: bool) -> None:
    values = np.random.default_rng(0).normal(100, 60, (5, 6, 7)).clip(0, 255).astype(dtype)
    if values.dtype.kind == "f":
        values[0, 0, :2] = [np.nan, np.inf]
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / f"a.{extension}", values, packed=packed)
    found = discover([tmp_path / "in"])
    (item,) = found.items
    assert {s.reason for s in found.skipped} <= {Reason.SIDECAR}  # detached voxels
    volume = read(item)
    assert np.isfinite(volume.array).all()
    written = write(volume, tmp_path / "out", derivation=derivation)
    assert written.path.suffix == {"nhdr": ".nrrd", "mhd": ".mha"}.get(extension, f".{extension}")
    old, new = sitk.ReadImage(str(item.path)), sitk.ReadImage(str(written.path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(new), values)
    assert new.GetPixelID() == old.GetPixelID()
    assert new.GetOrigin() == old.GetOrigin()
    assert new.GetSpacing() == old.GetSpacing()
    assert new.GetDirection() == old.GetDirection()
    assert new.GetMetaData("mykey") == "my value"
    head = written.path.read_bytes()[:600]
    assert (b"encoding: gzip" in head or b"CompressedData = True" in head) == packed
    assert only(written.path).own_output


def test_affine_is_that_of_simpleitk(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    save(tmp_path / "a.nrrd", values)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    volume = read(only(tmp_path / "a.nrrd"))
    assert volume.spacing == pytest.approx((3.0, 0.6, 0.5))
    place = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose((volume.affine @ [2, 3, 4, 1])[:3], place, atol=1e-9)
    assert volume.array[4, 3, 2] == image[2, 3, 4]


def test_coarse_axis(tmp_path: Path, derivation: Derivation) -> None:
    values = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4.0, 1.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = read(only(tmp_path / "a.mha"))
    assert volume.array.shape == (7, 5, 6)
    np.testing.assert_array_equal(volume.array[3], values[:, :, 3])
    written = write(volume.with_array(volume.array + 1), tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(written.path))), values + 1)


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
def test_an_axis_of_one_voxel_is_the_slice_axis(
    tmp_path: Path, derivation: Derivation, extension: str
) -> None:
    values = np.random.default_rng(0).integers(0, 99, (1, 9, 8)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 1.5, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"a.{extension}"))
    volume = read(only(tmp_path / f"a.{extension}"))
    np.testing.assert_array_equal(volume.array, values)
    assert volume.spacing == (1.0, 1.5, 1.0)
    written = write(volume, tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(written.path))), values)


def test_changed_values_and_maps(tmp_path: Path, derivation: Derivation) -> None:
    values = np.full((3, 4, 5), 100, np.uint8)
    save(tmp_path / "a.nrrd", values)
    volume = read(only(tmp_path / "a.nrrd"))
    changed = volume.array + np.float32(0.6)
    changed[0, 0, 0] = 300
    written = write(volume.with_array(changed), tmp_path, derivation=derivation)
    assert written.clipped == 1
    new = sitk.GetArrayFromImage(sitk.ReadImage(str(written.path)))
    assert new.dtype == np.uint8
    assert new[0, 0, 0] == 255
    assert (new.ravel()[1:] == 101).all()
    residual = write(volume.with_array(changed - 400), tmp_path, derivation=derivation, suffix="residual")
    assert residual.path.name == "a_desc-residual.nrrd"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(residual.path))), changed - 400)


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
def test_two_dimensions(tmp_path: Path, derivation: Derivation, extension: str) -> None:
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    save(tmp_path / f"a.{extension}", values)
    volume = read(only(tmp_path / f"a.{extension}"))
    assert volume.array.shape == (1, 3, 4)
    written = write(volume.with_array(volume.array * 2), tmp_path, derivation=derivation)
    image = sitk.ReadImage(str(written.path))
    assert image.GetDimension() == 2
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values * 2)


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
def test_vectors_are_refused(tmp_path: Path, extension: str) -> None:
    save(tmp_path / f"v.{extension}", np.zeros((3, 4, 5, 3), np.float32), vector=True)
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.UNSUPPORTED_LAYOUT]


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
def test_shear_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    save(path, np.zeros((3, 4, 5), np.int16))
    data = path.read_bytes()
    sheared = data.replace(b"(0,0,0.5)", b"(0.1,0,0.5)").replace(b"x = 0 0 1", b"x = 0.2 0 1")
    assert sheared != data
    path.write_bytes(sheared)
    assert [s.reason for s in discover([path]).skipped] == [Reason.SHEARED]


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
def test_truncated(tmp_path: Path, extension: str, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16)
    path = tmp_path / f"a.{extension}"
    save(path, values)
    path.write_bytes(path.read_bytes()[:-9])
    assert [s.reason for s in discover([path]).skipped] == [Reason.TRUNCATED]
    assert capfd.readouterr().err == ""
    save(path, values, packed=True)
    path.write_bytes(path.read_bytes()[:-50])
    if extension == "mha":  # its header says how long the packed voxels are
        assert [s.reason for s in discover([path]).skipped] == [Reason.TRUNCATED]
        return
    with pytest.raises(PixelError, match=path.name):
        read(only(path))


def test_modality_of_metaimage(tmp_path: Path) -> None:
    save(tmp_path / "a.mha", np.zeros((3, 4, 5), np.int16))
    data = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(data.replace(b"NDims = 3", b"NDims = 3\nModality = MET_MOD_CT"))
    assert only(tmp_path / "a.mha").modality == "CT"


def test_segmentations_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.seg.nrrd", np.zeros((3, 4, 5), np.uint8))
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.LABEL_MAP]


@pytest.mark.parametrize("extension", ["nhdr", "mhd"])
def test_detached_headers(tmp_path: Path, extension: str) -> None:
    path = tmp_path / "in" / f"a.{extension}"
    path.parent.mkdir()
    save(path, np.zeros((5, 6, 7), np.int16))
    voxels = next(p for p in path.parent.iterdir() if p != path)
    header = path.read_bytes()
    shutil.copy(voxels, tmp_path / "secret")

    def reason(name: str) -> Reason:
        path.write_bytes(header.replace(voxels.name.encode(), name.encode()))
        return next(s.reason for s in discover([path.parent]).skipped if s.path == path)

    assert reason("../secret") is Reason.VOXELS_ELSEWHERE
    assert reason(str(tmp_path / "secret")) is Reason.VOXELS_ELSEWHERE
    assert reason("sub/../../secret") is Reason.VOXELS_ELSEWHERE
    assert reason("C:\\secret") is Reason.VOXELS_ELSEWHERE
    assert reason("gone.raw") is Reason.NO_VOXEL_FILE
    assert reason("a%03d.raw 1 5 1") is Reason.UNSUPPORTED_LAYOUT
    voxels.write_bytes(voxels.read_bytes()[:10])
    assert reason(voxels.name) is Reason.TRUNCATED
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(path.name, header)
    assert [s.reason for s in discover([tmp_path / "z.zip"]).skipped] == [Reason.PACKED_HEADER]


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
@pytest.mark.parametrize(
    ("packed", "size", "reason"),
    [
        (False, 30000, Reason.TRUNCATED), (True, 30000, Reason.TRUNCATED), (True, 3000, Reason.PACKING_BOMB),
    ],
)  # fmt: skip
def test_a_header_that_claims_too_much(
    tmp_path: Path, extension: str, packed: bool, size: int, reason: Reason
) -> None:
    path = tmp_path / f"a.{extension}"
    rng = np.random.default_rng(0)
    save(path, rng.integers(0, 9, (30, 600, 7)).astype(np.uint8), packed=packed)
    claim = f"{size} {size} {size}".encode()
    data = path.read_bytes().replace(b"sizes: 7 600 30", b"sizes: " + claim)
    data = data.replace(b"DimSize = 7 600 30", b"DimSize = " + claim)
    assert claim in data
    if reason is Reason.PACKING_BOMB:  # enough bytes for the best possible packing, too few for a scan
        data += bytes(size**3 // 1000)
    path.write_bytes(data)
    (skip,) = discover([path]).skipped
    assert skip.reason is reason
