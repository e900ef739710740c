"""NIfTI: the header survives byte for byte, values are exact, NaN comes back."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nifti_files import AWKWARD, MAP_FIELDS, changed_fields, parts, save, unpacked
from one_item import only

from medidiff.errors import OutputError, PixelError
from medidiff.io import Derivation, Reason, discover, planned_output, read, write


def store(path: Path, values: np.ndarray, affine: Any = None, **header: Any) -> nib.Nifti1Image:
    image = nib.Nifti1Image(values, np.eye(4) if affine is None else affine, dtype=values.dtype)
    for key, value in header.items():
        image.header[key] = value
    image.to_filename(path)
    return image


def test_all_shared_files_come_back_bit_for_bit(
    io_data: Path, tmp_path: Path, derivation: Derivation
) -> None:
    items = [i for i in discover([io_data]).items if i.kind == "nifti"]
    assert len(items) == 10
    for item in items:
        written = write(read(item), tmp_path, derivation=derivation)
        assert changed_fields(item.path, written.path) == {"descrip"}, item.path.name
        assert b"medidiff 0.1.0 denoised (research)" in parts(written.path)[0]["descrip"].item()
        assert written.path.name.endswith(".nii.gz" if item.path.name.endswith(".gz") else ".nii")


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_files_come_back_bit_for_bit(tmp_path: Path, derivation: Derivation, case: str) -> None:
    path = save(tmp_path, case)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    item = only(path)
    volume = read(item)
    single = {"magic", "vox_offset"} if "pair" in case else set()
    written = write(volume, tmp_path / "out", derivation=derivation)
    assert changed_fields(path, written.path) == {"descrip"} | single
    assert written.path.name == ("a_desc-denoised.nii.gz" if path.suffix == ".gz" else "a_desc-denoised.nii")
    again = read(only(written.path))
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_array_equal(again.affine, volume.affine)
    as_map = write(volume, tmp_path / "out", derivation=derivation, suffix="residual")
    assert changed_fields(path, as_map.path) <= MAP_FIELDS | single | {"voxels"}
    for new in (written.path, as_map.path):
        image, source = nib.load(new), nib.load(path)
        assert image.shape == source.shape
        assert image.header["vox_offset"] % 16 == 0
        np.testing.assert_array_equal(image.affine, source.affine)
        np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), source.get_fdata(dtype=np.float32))
        assert len(unpacked(new)) == image.dataobj.offset + image.dataobj.dtype.itemsize * np.prod(
            image.shape
        )
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_both_files_of_a_pair_are_accounted_for(tmp_path: Path) -> None:
    save(tmp_path, "pair")
    nib.AnalyzeImage(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "b.hdr")
    nib.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "c.hdr")
    (tmp_path / "c.img").unlink()
    found = discover([tmp_path])
    assert [i.files for i in found.items] == [(tmp_path / "a.hdr",)]
    assert {s.path.name: s.reason for s in found.skipped} == {
        "a.img": Reason.SIDECAR, "b.hdr": Reason.ANALYZE, "b.img": Reason.SIDECAR,
        "c.hdr": Reason.NO_VOXEL_FILE,
    }  # fmt: skip
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-1])
    assert Reason.TRUNCATED in {s.reason for s in discover([tmp_path / "a.hdr"]).skipped}


def test_a_pair_with_voxels_behind_an_offset(tmp_path: Path, derivation: Derivation) -> None:
    path = save(tmp_path, "pair")
    data = bytearray(path.read_bytes())
    data[108:112] = np.float32(32).tobytes()  # vox_offset, nifti1.h
    path.write_bytes(data)
    (tmp_path / "a.img").write_bytes(bytes(32) + (tmp_path / "a.img").read_bytes())
    written = write(read(only(path)), tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(nib.load(written.path).get_fdata(), nib.load(path).get_fdata())


@pytest.mark.parametrize("offset", [0, 340, -16, np.nan, 1e30])
def test_a_vox_offset_that_cannot_be(tmp_path: Path, offset: float) -> None:
    path = save(tmp_path, "plain")
    data = bytearray(path.read_bytes())
    data[108:112] = np.float32(offset).tobytes()
    path.write_bytes(data)
    (skip,) = discover([path]).skipped
    assert skip.reason is (Reason.TRUNCATED if offset > 999 else Reason.DAMAGED_HEADER)


def test_ibsi_twins_agree_with_dicom(io_data: Path) -> None:
    """The collection's NIfTI files against our DICOM reader, in patient coordinates."""
    root = io_data / "theibsi__data_sets/ibsi_validation"
    for name, tolerance in (("CT", 0), ("MR_T1", 0), ("PET", 2e-6)):
        a = read(only(root / f"dicom/STS_001/{name}/image"))
        b = read(only(root / f"nifti/STS_001/{name}_image.nii.gz"))
        to_b = np.linalg.inv(b.affine) @ a.affine
        assert np.abs(to_b - np.round(to_b)).max() < 2e-3
        flips = np.round(np.diag(to_b)).astype(int)
        np.testing.assert_array_equal(np.abs(flips), 1)
        turned = b.array[:: flips[2], :: flips[1], :: flips[0]]
        np.testing.assert_allclose(a.array, turned, atol=tolerance * np.abs(turned).max())
        assert a.modality == b.modality


def test_affine_is_nibabels_in_lps(tmp_path: Path) -> None:
    affine = np.array([[-0.6, 0.1, 0.2, 11], [0.05, 0.7, -0.3, -22], [0.1, 0.2, 3.1, 33], [0, 0, 0, 1]])
    image = store(tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine)
    volume = read(only(tmp_path / "a.nii"))
    assert volume.array[3, 1, 0] == image.get_fdata()[0, 1, 3]
    lps = volume.affine @ [0, 1, 3, 1]
    ras = affine @ [0, 1, 3, 1]
    np.testing.assert_allclose(lps[:3], [-ras[0], -ras[1], ras[2]], atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_coarse_axis_is_the_slice_axis(tmp_path: Path, axis: int, derivation: Derivation) -> None:
    size = [1.0, 1.1, 1.2]
    size[axis] = 4.0
    values = np.random.default_rng(0).integers(0, 900, (5, 6, 7)).astype(np.int16)
    store(tmp_path / "a.nii", values, np.diag([*size, 1]))
    item = only(tmp_path / "a.nii")
    volume = read(item)
    assert volume.spacing[0] == pytest.approx(4.0)
    assert volume.array.shape[0] == values.shape[axis]
    np.testing.assert_array_equal(np.moveaxis(values, axis, 0)[2].T, volume.array[2])
    voxel = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ np.diag([*size, 1])) @ volume.affine @ [3, 2, 1, 1]
    i, j, k = np.round(voxel[:3]).astype(int)
    assert values[i, j, k] == volume.array[1, 2, 3]
    changed = volume.array + np.float32(1)
    written = write(volume.with_array(changed), tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(nib.load(written.path).get_fdata(), values + 1)


def test_declared_slice_axis_wins(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.diag([1, 1, 4, 1]))
    image.header.set_dim_info(freq=1, phase=2, slice=0)
    image.to_filename(tmp_path / "a.nii")
    assert only(tmp_path / "a.nii").shape == (5, 7, 6)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_of_one_voxel_is_the_slice_axis(
    tmp_path: Path, axis: int, times: int, derivation: Derivation
) -> None:
    """One slice of pixels that are coarser along one side than the slice is thick."""
    shape = [8, 9]
    shape.insert(axis, 1)
    values = np.random.default_rng(0).integers(0, 900, (*shape, times)).astype(np.int16)
    values = values if times > 1 else values[..., 0]
    for k, size in enumerate(([1, 1.5, 1], [2.0, 1, 1], [1, 1, 1])):
        path = tmp_path / f"{k}.nii"
        store(path, values, np.diag([*size, 1]))
        item = only(path)
        assert item.shape == (times, 9, 8)
        volume = read(item)
        first = values if times == 1 else values[..., 0]
        np.testing.assert_array_equal(volume.array[0], first.squeeze().T)
        written = write(volume.with_array(volume.array + 1), tmp_path / "out", derivation=derivation)
        np.testing.assert_array_equal(nib.load(written.path).get_fdata(), values + 1)


def test_what_simpleitk_loses(tmp_path: Path, derivation: Derivation) -> None:
    """qform unlike sform, their codes, units, timing, intent, extension, unscaled dtype."""
    values = np.random.default_rng(0).integers(-900, 900, (4, 5, 6)).astype(np.int16)
    image = nib.Nifti2Image(values, np.diag([2, 2, 3, 1.0]))
    image.set_qform(np.diag([2, 2, 3.0, 1]) + np.eye(4, k=3) * 5, 1)
    image.set_sform(np.diag([-2, 2, 3.0, 1]), 4)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_dim_info(freq=0, phase=1, slice=2)
    image.header["pixdim"][4] = 2.5
    image.header["cal_max"], image.header["slice_code"] = 500, 3
    image.header["aux_file"] = b"aux"
    image.header["descrip"] = b"from the scanner"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"keep me"))
    image.to_filename(tmp_path / "a.nii")
    written = write(read(only(tmp_path / "a.nii")), tmp_path / "out", derivation=derivation)
    old, new = nib.load(tmp_path / "a.nii"), nib.load(written.path)
    for key in old.header:
        if key != "descrip":
            np.testing.assert_array_equal(old.header[key], new.header[key], err_msg=key)
    assert new.header.extensions[0].get_content() == b"keep me"
    assert new.header["descrip"].item() == b"from the scanner; medidiff 0.1.0 denoised (research)"
    np.testing.assert_array_equal(new.dataobj.get_unscaled(), values)


@given(
    dtype=st.sampled_from(["<i2", ">i2", "u1", "<u2", "<i4", ">f4", "<f8", "i1"]),
    slope=st.sampled_from([1.0, 0.0754, 2.0, 1e-3, -0.5]),
    inter=st.sampled_from([0.0, -1024.0, 3100.76]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_write_then_read_is_identity(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, slope: float, inter: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("nifti")
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = rng.normal(size=(4, 5, 6)).astype(kind)
        values[0, 0, :3] = [np.nan, np.inf, -np.inf]
    else:
        values = rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, (4, 5, 6), endpoint=True).astype(kind)
    header = nib.Nifti1Header(endianness=kind.byteorder if kind.byteorder in "<>" else "<")
    image = nib.Nifti1Image(values, np.eye(4), header, dtype=kind)
    image.header.set_slope_inter(slope, inter)
    image.to_filename(folder / "a.nii.gz")
    volume = read(only(folder / "a.nii.gz"))
    assert np.isfinite(volume.array).all()
    written = write(volume, folder / "out", derivation=Derivation("m"))
    again = read(only(written.path))
    np.testing.assert_array_equal(again.array, volume.array)
    old, new = nib.load(folder / "a.nii.gz"), nib.load(written.path)
    assert new.dataobj.get_unscaled().tobytes() == old.dataobj.get_unscaled().tobytes()
    assert (new.dataobj.slope, new.dataobj.inter) == (old.dataobj.slope, old.dataobj.inter)
    assert new.get_data_dtype() == old.get_data_dtype()
    np.testing.assert_array_equal(np.asarray(new.dataobj), np.asarray(old.dataobj))


def test_changed_values_are_rounded_and_clipped_in_the_source_scale(
    tmp_path: Path, derivation: Derivation
) -> None:
    values = np.random.default_rng(0).integers(0, 255, (4, 5, 6)).astype(np.uint8)
    image = nib.Nifti1Image(values, np.eye(4), dtype=np.uint8)
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "a.nii")
    volume = read(only(tmp_path / "a.nii"))
    np.testing.assert_allclose(volume.array, values.T * 0.5 + 10)
    changed = volume.array + np.float32(0.2)
    changed[0, 0, 0], changed[1, 1, 1] = 500, -500
    written = write(volume.with_array(changed), tmp_path / "out", derivation=derivation)
    new = nib.load(written.path)
    assert new.get_data_dtype() == np.uint8
    expected = np.clip(np.rint((changed.T.astype(float) - 10) / 0.5), 0, 255)
    np.testing.assert_array_equal(new.dataobj.get_unscaled(), expected)
    assert written.clipped == 2
    assert "2 voxels" in written.notes[0]


def test_four_dimensions_stay_one_file(tmp_path: Path, derivation: Derivation) -> None:
    values = np.random.default_rng(0).integers(0, 900, (4, 5, 3, 6)).astype(np.int16)
    image = nib.Nifti1Image(values, np.diag([2, 2, 4, 1]))
    image.header["pixdim"][4] = 1.7
    image.to_filename(tmp_path / "bold.nii.gz")
    item = only(tmp_path / "bold.nii.gz")
    assert (item.volumes, item.shape) == (6, (18, 5, 4))
    assert item.label == "bold.nii.gz (4x5x3x6)"
    volume = read(item)
    np.testing.assert_array_equal(volume.array.reshape(6, 3, 5, 4), values.transpose(3, 2, 1, 0))
    assert volume.adjacent is not None
    np.testing.assert_array_equal(np.flatnonzero(~volume.adjacent), [2, 5, 8, 11, 14])
    written = write(volume.with_array(volume.array + 1), tmp_path / "out", derivation=derivation)
    new = nib.load(written.path)
    assert new.shape == (4, 5, 3, 6)
    assert new.header["pixdim"][4] == np.float32(1.7)
    np.testing.assert_array_equal(np.asarray(new.dataobj), values + 1)


def test_two_dimensions(tmp_path: Path, derivation: Derivation) -> None:
    store(tmp_path / "a.nii", np.arange(12, dtype=np.float32).reshape(3, 4))
    volume = read(only(tmp_path / "a.nii"))
    assert volume.array.shape == (1, 4, 3)
    written = write(volume.with_array(volume.array * 2), tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(nib.load(written.path).get_fdata(), np.arange(12).reshape(3, 4) * 2)


def test_nan_stays_where_it_was(io_data: Path, tmp_path: Path, derivation: Derivation) -> None:
    path = io_data / "nipy__nibabel/nibabel/tests/data/resampled_anat_moved.nii"
    volume = read(only(path))
    assert volume.padding is not None
    assert volume.padding.sum() == 153
    for suffix in ("denoised", "residual"):
        new = write(volume.with_array(volume.array + 5), tmp_path, derivation=derivation, suffix=suffix)
        np.testing.assert_array_equal(
            np.isnan(nib.load(new.path).get_fdata()), np.isnan(nib.load(path).get_fdata())
        )


def test_maps_are_float32(tmp_path: Path, derivation: Derivation) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4), dtype=np.uint8)
    image.header.set_slope_inter(0.5, 10)
    image.header["cal_max"] = 9
    image.to_filename(tmp_path / "a.nii")
    volume = read(only(tmp_path / "a.nii"))
    values = np.random.default_rng(0).normal(size=volume.array.shape).astype(np.float32)
    written = write(volume.with_array(values), tmp_path, derivation=derivation, suffix="residual")
    new = nib.load(written.path)
    assert written.path.name == "a_desc-residual.nii"
    assert new.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(new.dataobj), values.T)
    assert new.header["cal_max"] == 0


def test_metres_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([0.001, 0.001, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(read(only(tmp_path / "a.nii")).spacing, [3, 1, 1], rtol=1e-5)


def test_sidecar(tmp_path: Path, derivation: Derivation) -> None:
    store(tmp_path / "sub-01_T2w.nii.gz", np.ones((4, 5, 6), np.int16))
    (tmp_path / "sub-01_T2w.json").write_text('{"EchoTime": 0.08, "Modality": "MR"}')
    item = only(tmp_path / "sub-01_T2w.nii.gz")
    assert item.modality == "MR"
    written = write(read(item), tmp_path, derivation=derivation)
    assert written.path.name == "sub-01_T2w_desc-denoised.nii.gz"
    content = json.loads((tmp_path / "sub-01_T2w_desc-denoised.json").read_text())
    assert content["EchoTime"] == 0.08
    assert content["Sources"] == ["sub-01_T2w.nii.gz"]
    assert content["GeneratedBy"][-1]["Name"] == "medidiff"
    assert "Research use only" in content["GeneratedBy"][-1]["Description"]
    assert only(written.path).own_output


def test_hounsfield_units_are_recognised(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((20, 20, 5)) < 0.4, -1000, 40) + rng.normal(0, 10, (20, 20, 5))
    store(tmp_path / "a.nii", values.astype(np.int16))
    volume = read(only(tmp_path / "a.nii"))
    assert (volume.modality, volume.unit) == ("CT", "HU")
    store(tmp_path / "b.nii", (values + 1000).clip(0).astype(np.int16))
    assert read(only(tmp_path / "b.nii")).modality == "OT"


def with_intent(image: nib.Nifti1Image, intent: str) -> nib.Nifti1Image:
    image.header.set_intent(intent)
    return image


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nib.Nifti1Image(np.zeros((2, 2, 2), np.complex64), np.eye(4)), Reason.COMPLEX_PIXELS),
        (
            lambda: with_intent(nib.Nifti1Image(np.zeros((2, 2, 2, 1, 3), np.float32), np.eye(4)), "vector"),
            Reason.UNSUPPORTED_LAYOUT,
        ),
        (
            lambda: nib.Nifti1Image(
                np.zeros((2, 2, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])), np.eye(4)
            ),
            Reason.COLOUR,
        ),
    ],
)
def test_refusals(tmp_path: Path, make: Any, reason: Reason) -> None:
    make().to_filename(tmp_path / "a.nii")
    assert [s.reason for s in discover([tmp_path]).skipped] == [reason]


def test_a_singular_affine_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "a.nii", np.zeros((2, 2, 2), np.int16), np.diag([2, 2, 3, 1]))
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[312:328] = bytes(16)  # srow_z, nifti1.h
    (tmp_path / "a.nii").write_bytes(data)
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.NO_SPACING]


@pytest.mark.parametrize("name", ["sub-01_mask.nii.gz", "x_dseg.nii"])
def test_label_maps_by_name(tmp_path: Path, name: str) -> None:
    store(tmp_path / name, np.zeros((2, 2, 2), np.uint8))
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.LABEL_MAP]


@pytest.mark.parametrize(
    ("name", "sidecar", "told"),
    [
        ("sub-01_T1w", {}, ""), ("sub-01_part-mag_T2starw", {}, ""), ("sub-01_magnitude1", {}, ""),
        ("phase_T1w", {}, ""), ("liver_mr_arterial_phase", {}, ""), ("liver_mr_phase2", {}, ""),
        ("sub-01_part-phase_T2starw", {}, "phase"), ("sub-01_phasediff", {}, "phase"),
        ("sub-01_phase2", {}, "phase"), ("5_gre_e2_ph", {}, "phase"),
        ("sub-01_part-imag_bold", {}, "real or imaginary"),
        ("5_gre_real", {}, "real or imaginary"), ("sub-01_T1map", {}, "computed map"),
        ("7_ep2d_diff_ADC", {}, "computed map"),
        ("a_T1w", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND", "PHASE"]}, "phase"),  # as dcm2niix writes
        ("a_T1w", {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]}, ""),
        ("a_T1w", {"ImageType": "odd", "ComplexImageComponent": "PHASE"}, "phase"),
        ("a_ct", {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, ""),
    ],
)  # fmt: skip
def test_what_says_that_it_is_no_magnitude(
    tmp_path: Path, name: str, sidecar: dict[str, Any], told: str
) -> None:
    store(tmp_path / f"{name}.nii.gz", np.ones((4, 5, 6), np.uint16))
    (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
    notes = "; ".join(only(tmp_path / f"{name}.nii.gz").notes)
    assert told in notes if told else not notes


def test_label_maps_by_intent(tmp_path: Path) -> None:
    store(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8), intent_code=1002)
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.LABEL_MAP]


def test_truncated(tmp_path: Path, derivation: Derivation) -> None:
    store(tmp_path / "a.nii", np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16))
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(data[:-5])
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.TRUNCATED]
    (tmp_path / "a.nii").unlink()
    for name, packed in (("b", gzip.compress(data)[:-40]), ("c", gzip.compress(data[:-5]))):
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(packed)
        with pytest.raises(PixelError, match=path.name):
            read(only(path))
        path.unlink()


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_a_bit_that_changed_in_packed_voxels(tmp_path: Path, packing: str) -> None:
    """Deflate goes on behind a damaged bit: only the check sum tells, and it is behind the last voxel."""
    store(tmp_path / "a.nii", np.arange(29400, dtype=np.int16).reshape(35, 28, 30))
    data = (tmp_path / "a.nii").read_bytes()
    path = tmp_path / "packed"
    if packing == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("a.nii", data + bytes(64))  # more than the voxels, so that reading stops before
    else:
        path.write_bytes(gzip.compress(data, compresslevel=0))
    good = path.read_bytes()
    for place in (30000, len(data) - 1):  # a voxel in the middle, and the last one
        packed = bytearray(good)
        packed[packed.index(data[352:400]) - 352 + place] ^= 1
        path.write_bytes(packed)
        with pytest.raises(PixelError, match="damaged"):
            read(only(path))
    path.write_bytes(good)
    assert read(only(path)).array.max() == 29399


@pytest.mark.parametrize("behind", [bytes(512), b"what gzip(1) calls trailing garbage"])
def test_what_is_behind_a_gzip_stream_is_left_out(tmp_path: Path, behind: bytes) -> None:
    path = tmp_path / "a.nii.gz"
    store(path, np.arange(29400, dtype=np.int16).reshape(35, 28, 30))
    good = path.read_bytes()
    path.write_bytes(good + behind)
    assert read(only(path)).array.max() == 29399
    path.write_bytes(good[:-8] + b"damaged!" + behind)  # the check sum itself
    with pytest.raises(PixelError, match="damaged"):
        read(only(path))


def test_existing_output_and_input(tmp_path: Path, derivation: Derivation) -> None:
    store(tmp_path / "a.nii", np.ones((4, 5, 6), np.int16))
    store(tmp_path / "a_desc-denoised.nii", np.ones((4, 5, 6), np.int16))
    items = {i.path.name: i for i in discover([tmp_path]).items}
    volume = read(items["a.nii"])
    with pytest.raises(OutputError, match="replace an input"):  # the neighbour is an input too
        write(volume, tmp_path, derivation=derivation, overwrite=True)
    out = tmp_path / "out"
    write(volume, out, derivation=derivation)
    with pytest.raises(OutputError, match="--overwrite"):
        write(volume, out, derivation=derivation)
    write(volume.with_array(volume.array + 1), out, derivation=derivation, overwrite=True)
    assert nib.load(planned_output(items["a.nii"], out)).get_fdata().max() == 2
    assert sorted(p.name for p in out.iterdir()) == ["a_desc-denoised.json", "a_desc-denoised.nii"]


def test_equal_images_are_equal_files(tmp_path: Path, derivation: Derivation) -> None:
    store(tmp_path / "a.nii.gz", np.ones((4, 5, 6), np.int16))
    volume = read(only(tmp_path / "a.nii.gz"))
    a, b = (write(volume, tmp_path / n, derivation=derivation) for n in "xy")
    assert a.path.read_bytes() == b.path.read_bytes()


def test_a_header_with_faults_is_read_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, "plain")
    data = bytearray(path.read_bytes())
    data[252:256] = b"\xff\x00\xff\x00"  # qform_code, sform_code (nifti1.h)
    path.write_bytes(data)
    assert read(only(path)).array.any()
    assert capfd.readouterr() == ("", "")
