"""Derived series: identity, validators, padding, scales, failures."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from hypothesis import given, settings
from hypothesis import strategies as st
from one_item import only
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)
from validators import introduced

from medidiff.errors import OutputError, PixelError
from medidiff.io import Derivation, Written, discover, planned_output, read, write
from medidiff.volume import Volume


def test_compressed_ct_with_padding(shared_data: Path, tmp_path: Path, derivation: Derivation) -> None:
    item = only(shared_data / "ct/train/crlm_ct_1004")
    item = replace(item, files=item.files[:3], shape=(3, *item.shape[1:]),
                   headers=replace(item.headers, stack=_first(item.headers.stack, 3)))  # fmt: skip
    volume = read(item)
    assert volume.unit == "HU"
    assert volume.padding is not None
    assert set(np.unique(volume.array[volume.padding])) == {-3024.0}  # -2000 - 1024
    soft = np.where(volume.array > -900, volume.array * 0.9, volume.array - 5000).astype(np.float32)
    written = write(volume.with_array(soft), tmp_path, derivation=derivation)
    for k, path in enumerate(written.files):
        ds = pydicom.dcmread(path)
        stored = ds.pixel_array
        assert (stored[volume.padding[k]] == -2000).all()
        assert not (stored[~volume.padding[k]] == -2000).any()
        assert ds.PixelPaddingValue == -2000


def _first(stack: object, count: int) -> object:
    return replace(stack, slices=stack.slices[:count], adjacent=stack.adjacent[: count - 1])  # type: ignore[attr-defined,type-var]


def test_single_slices_of_many_scanners(shared_data: Path, tmp_path: Path, derivation: Derivation) -> None:
    items = discover([shared_data / "ct/val/tcga_luad_lusc"]).items
    assert len(items) == 11
    for item in items[:4]:
        volume = read(item)
        written = write(volume, tmp_path, derivation=derivation)
        np.testing.assert_array_equal(read(only(written.path)).array, volume.array)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [True, False])
def test_every_source_becomes_explicit_little_endian(
    tmp_path: Path, derivation: Derivation, syntax: str, signed: bool
) -> None:
    overlay = np.arange(6, dtype=np.uint16)

    def add(ds: Dataset, k: int) -> None:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        ds.add_new(0x60003000, "OW", overlay.astype(f"{order}u2").tobytes())
        ds.add_new(0x60000102, "US", 0)

    stored = make_series(
        tmp_path / "in", syntax=syntax, signed=signed, bits_stored=12, padding=100, slope=[1.0, 2.5],
        intercept=[0.0, -7.25], change=add,
    )  # fmt: skip
    item = only(tmp_path / "in")
    volume = read(item)
    written = write(volume, tmp_path / "out", derivation=derivation)
    for k, path in enumerate(written.files):
        ds = pydicom.dcmread(path)
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(ds.pixel_array, stored[k])
        assert ds["PixelPaddingValue"].VR == ("SS" if signed else "US")
        assert ds.PixelPaddingValue == 100
        np.testing.assert_array_equal(np.frombuffer(ds[0x60003000].value, "<u2"), overlay)


@given(
    signed=st.booleans(),
    bits=st.integers(8, 16),
    slope=st.floats(1e-4, 1e3).map(lambda v: float(f"{v:.6g}")),
    intercept=st.floats(-5e3, 5e3).map(lambda v: float(f"{v:.6g}")),
    padding=st.none() | st.tuples(st.integers(0, 50), st.integers(0, 50)),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=25, deadline=None)
def test_write_then_read_is_identity(
    tmp_path_factory: pytest.TempPathFactory, signed: bool, bits: int, slope: float, intercept: float,
    padding: tuple[int, int] | None, seed: int,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("identity")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    stored = np.random.default_rng(seed).integers(low, high, (2, 4, 5), endpoint=True)
    make_series(
        folder / "in", stored=stored.astype(np.int16 if signed else np.uint16), depths=[0, 3], signed=signed,
        bits_stored=bits, slope=slope, intercept=intercept, padding=padding,
    )  # fmt: skip
    volume = read(only(folder / "in"))
    written = write(volume, folder / "out", derivation=Derivation("m"))
    again = read(only(written.path))
    np.testing.assert_array_equal(again.array, volume.array)
    assert (again.padding is None) == (volume.padding is None)
    np.testing.assert_array_equal([pydicom.dcmread(p).pixel_array for p in written.files], stored)


def test_pet_slope_grows_with_the_values(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", modality="PT", slope=[0.5, 0.25, 0.125], slices=3)
    volume = read(only(tmp_path / "in"))
    assert volume.unit == "Bq/ml"
    louder = volume.array.copy()
    louder[1, 2, 3] = 123456.7
    written = write(volume.with_array(louder), tmp_path / "out", derivation=derivation)
    again = read(only(written.path))
    assert written.clipped == 0
    assert "1 slices have a new rescale slope" in written.notes[0]
    step = 123456.7 / 32767
    np.testing.assert_allclose(again.array[1], louder[1], atol=step / 2 * 1.001)
    np.testing.assert_array_equal(again.array[[0, 2]], louder[[0, 2]])
    for path in written.files:
        ds = pydicom.dcmread(path)
        assert ds.RescaleIntercept == 0
        assert len(ds.RescaleSlope.original_string) <= 16


def test_ct_intercept_moves_by_whole_steps(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", bits_stored=12, signed=False, intercept=-1024.0, slices=2)
    volume = read(only(tmp_path / "in"))
    lower = volume.array.copy()
    lower[0, 0, 0] = -1030.0
    written = write(volume.with_array(lower), tmp_path / "out", derivation=derivation)
    np.testing.assert_array_equal(read(only(written.path)).array, lower)
    ds = pydicom.dcmread(written.files[0])
    assert (ds.RescaleSlope, ds.RescaleIntercept, ds.BitsStored) == (1, -1030, 12)


def test_what_fits_nowhere_is_clipped_and_counted(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", bits_stored=12, signed=False, intercept=-1024.0, slices=2)
    volume = read(only(tmp_path / "in"))
    wide = volume.array.copy()
    wide[0, 0, :3] = [-1100.0, 3071.0, 9000.0]
    written = write(volume.with_array(wide), tmp_path / "out", derivation=derivation)
    assert written.clipped == 2
    assert "clipped" in written.notes[0]
    np.testing.assert_array_equal(read(only(written.path)).array[0, 0, :3], [-1024, 3071, 3071])


def test_mr_without_rescale_gets_none(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", modality="MR", bits_stored=12, signed=False, slope=None)
    volume = read(only(tmp_path / "in"))
    assert (volume.modality, volume.unit) == ("MR", "a.u.")
    changed = volume.array * 0.7
    changed[0, 0, 0] = -3
    written = write(volume.with_array(changed), tmp_path / "out", derivation=derivation)
    assert written.clipped == 1
    assert all("RescaleSlope" not in pydicom.dcmread(p) for p in written.files)
    np.testing.assert_allclose(read(only(written.path)).array, changed.clip(0), atol=0.5)


@pytest.mark.parametrize("suffix", ["residual", "uncertainty"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_maps(tmp_path: Path, derivation: Derivation, modality: str, suffix: str) -> None:
    make_series(
        tmp_path / "in", modality=modality, padding=-900, slope=None if modality == "MR" else 1.0,
        intercept=0.0, stored=np.random.default_rng(1).integers(-900, -890, (5, 6, 8)).astype(np.int16),
    )  # fmt: skip
    item = only(tmp_path / "in")
    volume = read(item)
    assert volume.padding is not None
    values = np.random.default_rng(2).normal(0, 12.3, volume.array.shape).astype(np.float32)
    written = write(volume.with_array(values), tmp_path / "out", derivation=derivation, suffix=suffix)
    copy = only(written.path)
    again = read(copy)
    assert again.padding is None
    slope = float(pydicom.dcmread(written.files[0]).RescaleSlope)
    peak = np.abs(values[~volume.padding]).max()
    assert slope == pytest.approx(10.0 ** np.ceil(np.log10(peak / 32767)))
    np.testing.assert_allclose(again.array[~volume.padding], values[~volume.padding], atol=slope * 0.51)
    assert (again.array[volume.padding] == 0).all()
    assert again.unit == volume.unit
    ds = pydicom.dcmread(written.files[0])
    assert ds.SeriesDescription.endswith(f"medidiff {suffix} (research)")
    assert float(ds.RescaleIntercept) == 0
    main = write(volume, tmp_path / "out", derivation=derivation)
    assert main.path != written.path
    assert pydicom.dcmread(main.files[0]).SeriesInstanceUID != ds.SeriesInstanceUID
    assert pydicom.dcmread(main.files[0]).SeriesNumber != ds.SeriesNumber


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("unit", [30.0, 0.003])
@pytest.mark.parametrize("suffix", ["residual", "uncertainty"])
def test_the_slices_of_a_map_are_shown_alike(
    tmp_path: Path, derivation: Derivation, suffix: str, unit: float, enhanced: bool
) -> None:
    """One window for all slices, that shows the values; a linear one is 1 wide at least (C.11.2.1.2.1)."""
    if enhanced:
        make_enhanced(tmp_path / "in" / "x", modality="MR", slope=unit / 100, signed=False, bits_stored=12)
    else:
        make_series(tmp_path / "in", modality="MR", slope=unit / 100, signed=False, bits_stored=12)
    volume = read(only(tmp_path / "in"))
    strength = np.array([1, 2, 3, 2, 1], np.float32)[:, None, None]
    values = np.random.default_rng(1).normal(0, unit, volume.array.shape).astype(np.float32) * strength
    values = values if suffix == "residual" else np.abs(values) + np.float32(5 * unit)
    written = write(volume.with_array(values), tmp_path / "out", derivation=derivation, suffix=suffix)
    assert introduced((tmp_path / "in").iterdir(), written.files) == set()
    heads = [pydicom.dcmread(f) for f in written.files]
    if enhanced:
        groups = heads[0].PerFrameFunctionalGroupsSequence
        heads = [w for g in groups for w in g.get("FrameVOILUTSequence") or [pydicom.Dataset()]]
    else:
        assert {h.RescaleType for h in heads} == {"US"}
    windows = {(h.get("WindowCenter"), h.get("WindowWidth")) for h in heads}
    if unit < 1:  # the viewer finds one
        assert windows == {(None, None)}
        return
    ((centre, width),) = windows
    shown = np.abs(values - float(centre)) < float(width) / 2
    assert shown.mean() > 0.97
    size = float(np.sqrt(np.square(values, dtype=np.float64).mean()))
    assert float(width) == pytest.approx((6 if suffix == "residual" else 3) * size, rel=1e-4)


def test_context_neighbours_are_sources_but_not_across_gaps(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", depths=[0, 3, 6, 12, 15])
    item = only(tmp_path / "in")
    written = write(read(item), tmp_path / "out", derivation=derivation)
    used = []
    for path in written.files:
        ids = [i.ReferencedSOPInstanceUID for i in pydicom.dcmread(path).SourceImageSequence]
        used.append([[h.uid for h in item.headers.stack.slices].index(u) for u in ids])
    assert used == [[0, 1], [1, 0, 2], [2, 1], [3, 4], [4, 3]]


def test_a_second_run_gives_the_same_bytes(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in")
    volume = read(only(tmp_path / "in"))
    runs = [write(volume, tmp_path / name, derivation=derivation) for name in "ab"]
    for a, b in zip(runs[0].files, runs[1].files, strict=True):
        assert a.read_bytes() == b.read_bytes()
    other = write(volume, tmp_path / "c", derivation=replace(derivation, seed=99))
    first, changed = pydicom.dcmread(runs[0].files[0]), pydicom.dcmread(other.files[0])
    assert first.SeriesInstanceUID != changed.SeriesInstanceUID
    assert first.SOPInstanceUID != changed.SOPInstanceUID


def test_file_order_does_not_matter(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "a", name="{:03d}".format)
    make_series(tmp_path / "b", name=lambda k: f"{(k * 3) % 5}", compress=JPEGLSLossless)
    outs = [write(read(only(tmp_path / n)), tmp_path / "out" / n, derivation=derivation) for n in "ab"]
    for a, b in zip(outs[0].files, outs[1].files, strict=True):
        assert pydicom.dcmread(a).SOPInstanceUID == pydicom.dcmread(b).SOPInstanceUID
        np.testing.assert_array_equal(pydicom.dcmread(a).pixel_array, pydicom.dcmread(b).pixel_array)
        assert a.name == b.name


def test_names_and_own_output(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", slices=3)
    item = only(tmp_path / "in")
    written = write(read(item), tmp_path / "out", derivation=derivation)
    assert written.path == planned_output(item, tmp_path / "out")
    assert sorted(p.name for p in written.path.iterdir()) == ["0001.dcm", "0002.dcm", "0003.dcm"]
    copy = only(written.path)
    assert copy.own_output
    assert not item.own_output
    assert "Doe" not in str(written.path)


def test_another_library_reads_it(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", tilt=0.0, step=2.5)
    volume = read(only(tmp_path / "in"))
    written = write(volume.with_array(volume.array * 0.5), tmp_path / "out", derivation=derivation)
    image = sitk.ReadImage([str(p) for p in written.files])
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), volume.array * 0.5, atol=0.5)
    np.testing.assert_allclose(image.GetSpacing(), [0.8, 0.7, 2.5], atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), volume.affine[:3, 3], atol=1e-6)


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*") if p.is_file()
    }  # fmt: skip


def test_existing_output_needs_overwrite(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in")
    volume = read(only(tmp_path / "in"))
    written = write(volume, tmp_path / "out", derivation=derivation)
    before = _digest(tmp_path)
    with pytest.raises(OutputError, match="--overwrite"):
        write(volume, tmp_path / "out", derivation=derivation)
    assert _digest(tmp_path) == before
    write(volume.with_array(volume.array + 1), tmp_path / "out", derivation=derivation, overwrite=True)
    after = _digest(tmp_path)
    assert after.keys() == before.keys()
    assert after != before
    (written.path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="mine.txt"):
        write(volume, tmp_path / "out", derivation=derivation, overwrite=True)
    assert (written.path / "mine.txt").read_text() == "keep"


def test_an_input_is_never_replaced(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "first")
    item = only(tmp_path / "first")
    home = planned_output(item, tmp_path)
    (tmp_path / "first").rename(home)
    for path in list(home.iterdir()):
        path.rename(home / f"{int(path.stem[2:]) + 1:04d}.dcm")
    before = _digest(tmp_path)
    item = only(home)
    with pytest.raises(OutputError, match="replace an input"):
        write(read(item), tmp_path, derivation=derivation, overwrite=True)
    assert _digest(tmp_path) == before


def _written(volume: Volume, out: Path, derivation: Derivation) -> Written:
    return write(volume, out, derivation=derivation)


def test_a_source_that_changed_leaves_nothing(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in")
    item = only(tmp_path / "in")
    volume = read(item)
    item.files[3].write_bytes(item.files[3].read_bytes()[:900])
    with pytest.raises(PixelError, match=item.files[3].name):
        _written(volume, tmp_path / "out" / "deep", derivation)
    assert not (tmp_path / "out").exists()


def test_a_volume_without_source(tmp_path: Path, derivation: Derivation) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.float32), np.eye(4))
    with pytest.raises(OutputError, match="without a source"):
        _written(volume, tmp_path, derivation)
