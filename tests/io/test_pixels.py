"""Decoding, sign extension, padding, and quantisation as the inverse of rescaling."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medidiff.errors import PixelError
from medidiff.io import Derivation, Reason, discover, read, write
from medidiff.io.dicom import pixels
from medidiff.io.dicom.decoding import decode
from medidiff.io.dicom.header import read_header
from medidiff.io.dicom.padding import padding_mask, padding_range
from medidiff.io.dicom.slice_header import lenient

MR_TWINS = ["", "_expb", "_implicit", "_bigendian", "_RLE", "_jp2klossless", "_jpeg_ls_lossless", "_padded"]


@pytest.mark.parametrize("twin", MR_TWINS)
def test_one_image_in_eight_files(twin: str) -> None:
    reference = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    expected = np.frombuffer(reference.PixelData, "<i2").reshape(64, 64)
    path = Path(get_testdata_file(f"MR_small{twin}.dcm"))
    with lenient():
        np.testing.assert_array_equal(decode(pydicom.dcmread(path), path), expected)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("compress", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_copies_are_identical(tmp_path: Path, compress: str | None, signed: bool) -> None:
    stored = make_series(tmp_path, slices=2, shape=(64, 48), bits_stored=12, signed=signed, compress=compress)
    (item,) = discover([tmp_path]).items
    np.testing.assert_array_equal(read(item).array, stored)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes_are_identical(tmp_path: Path, syntax: str) -> None:
    stored = make_series(tmp_path, slices=2, syntax=syntax, slope=2.0, intercept=-10.0)
    (item,) = discover([tmp_path]).items
    np.testing.assert_array_equal(read(item).array, stored.astype(np.float32) * 2 - 10)


def test_lossless_copies_of_one_scan(io_data: Path) -> None:
    folder = io_data / "icometrix__dicom2nifti/tests/data/generic"
    names = ["compressed", "compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle"]
    volumes = []
    for name in names:
        (item,) = discover([folder / name]).items
        volumes.append(read(item).array)
    assert np.ptp(volumes[0]) > 0
    for name, volume in zip(names, volumes, strict=True):
        np.testing.assert_array_equal(volume, volumes[0], err_msg=name)


def _smooth(bits: int) -> np.ndarray:
    y, x = np.mgrid[:64, :48]
    values = (2**bits - 1) * (0.5 + 0.4 * np.sin(x / 9.0) * np.cos(y / 7.0))
    return values.astype(np.uint16)[None]


@pytest.mark.parametrize(
    ("syntax", "options", "bits"),
    [
        (JPEGLSNearLossless, {"jls_error": 3}, 12),
        (JPEG2000, {"j2k_cr": [8.0]}, 12),
        ("1.2.840.10008.1.2.4.57", "+el", 12),
        ("1.2.840.10008.1.2.4.70", "+e1", 16),
        ("1.2.840.10008.1.2.4.50", "+eb", 8),
    ],
)
def test_other_encodings_agree_with_a_second_decoder(
    tmp_path: Path, syntax: str, options: dict[str, object] | str, bits: int
) -> None:
    """Decoders may differ by 1 in a lossy image."""
    source, path = tmp_path / "in" / "IM000.dcm", tmp_path / "packed.dcm"
    stored = make_series(source.parent, slices=1, stored=_smooth(bits), bits_stored=bits, signed=False)
    if isinstance(options, str):
        if shutil.which("dcmcjpeg") is None:
            pytest.skip("dcmcjpeg is not installed (Debian package dcmtk)")
        subprocess.run(["dcmcjpeg", options, "+un", source, path], check=True, capture_output=True)
    else:
        ds = pydicom.dcmread(source)
        ds.compress(syntax, generate_instance_uid=False, **options)
        ds.save_as(path)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    (item,) = discover([path]).items
    found = read(item).array
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)
    np.testing.assert_allclose(found, image, atol=0 if syntax.endswith(("57", "70")) else 1)
    assert np.abs(found - stored).max() <= 2**bits / 50


@pytest.mark.parametrize("folder", ["train/crlm_ct_1004", "train/lung_fused_01_0001", "val/tcga_luad_lusc"])
def test_jpeg_ls_agrees_with_a_second_decoder(shared_data: Path, folder: str) -> None:
    """CharLS through pydicom against GDCM through SimpleITK, signed and unsigned, 12 and 16 bits."""
    for path in sorted((shared_data / "ct" / folder).rglob("*.dcm"))[:4]:
        (item,) = discover([path]).items
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)
        np.testing.assert_array_equal(read(item).array, image)


def test_sign_comes_from_bits_stored(tmp_path: Path) -> None:
    """12 bits in 16, signed, with rubbish in the unused bits (PS3.5 8.1.1)."""
    truth = np.array([[-2048, -1, 0, 2047], [5, -5, 100, -100]])
    raw = ((truth & 0x0FFF) | 0xA000).astype(np.uint16)

    def junk(ds: Dataset, k: int) -> None:
        ds.PixelData = raw.tobytes()

    make_series(tmp_path, slices=1, shape=(2, 4), bits_stored=12, change=junk)
    (item,) = discover([tmp_path]).items
    np.testing.assert_array_equal(read(item).array[0], truth)


def test_high_bit_above_bits_stored(tmp_path: Path) -> None:
    truth = np.array([[-2048, -1, 0, 2047], [5, -5, 100, -100]])

    def shift(ds: Dataset, k: int) -> None:
        ds.HighBit = 15
        ds.PixelData = (truth << 4).astype(np.int16).tobytes()

    make_series(tmp_path, slices=1, shape=(2, 4), bits_stored=12, change=shift)
    (item,) = discover([tmp_path]).items
    np.testing.assert_array_equal(read(item).array[0], truth)


def _as_float(ds: Dataset) -> None:
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.BitsAllocated, ds.FloatPixelData = 32, bytes(4 * ds.Rows * ds.Columns)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_as_float, Reason.FLOAT_PIXELS),
        (lambda ds: setattr(ds, "PhotometricInterpretation", "RGB"), Reason.COLOUR),
        (lambda ds: setattr(ds, "SamplesPerPixel", 3), Reason.COLOUR),
        (lambda ds: setattr(ds, "PhotometricInterpretation", "PALETTE COLOR"), Reason.PALETTE),
        (lambda ds: setattr(ds, "ModalityLUTSequence", [Dataset()]), Reason.MODALITY_LUT),
        (lambda ds: setattr(ds, "BitsAllocated", 32), Reason.BIT_DEPTH),
        (lambda ds: setattr(ds, "BitsAllocated", 1), Reason.BIT_DEPTH),
        (lambda ds: setattr(ds, "HighBit", 16), Reason.BIT_DEPTH),
        (lambda ds: setattr(ds, "HighBit", 11), Reason.BIT_DEPTH),
        (lambda ds: ds.add_new(0x60000102, "US", 12), Reason.OVERLAY_IN_PIXELS),
        (lambda ds: ds.add_new(0x60020100, "US", 16), Reason.OVERLAY_IN_PIXELS),
        (lambda ds: setattr(ds, "RescaleSlope", "0"), Reason.RESCALE),
        (lambda ds: delattr(ds, "RescaleIntercept"), Reason.RESCALE),
        (lambda ds: delattr(ds, "PixelData"), Reason.NO_PIXELS),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-10]), Reason.TRUNCATED),
        (lambda ds: setattr(ds, "PixelSpacing", [0, 1]), Reason.NO_SPACING),
        (lambda ds: delattr(ds, "ImagePositionPatient"), Reason.NO_POSITION),
        (lambda ds: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), Reason.NO_POSITION),
        (lambda ds: setattr(ds, "NumberOfFrames", 2), Reason.MULTI_FRAME),
        (lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), Reason.LOCALIZER),
        (lambda ds: setattr(ds, "SeriesInstanceUID", ""), Reason.MISSING_UID),
        (lambda ds: setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), Reason.UNSUPPORTED_OBJECT),
        (lambda ds: setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2.1"), Reason.FRAMES),
        (lambda ds: setattr(ds, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11"), Reason.NOT_AN_IMAGE_OBJECT),
    ],
)
def test_each_refusal_has_its_reason(tmp_path: Path, change: object, reason: Reason) -> None:
    make_series(tmp_path, slices=1, change=lambda ds, k: change(ds))  # type: ignore[operator]
    found = discover([tmp_path])
    assert not found.items
    assert [s.reason for s in found.skipped] == [reason]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("JPGExtended.dcm", Reason.TRANSFER_SYNTAX),
        ("SC_rgb.dcm", Reason.COLOUR),
        ("examples_palette.dcm", Reason.PALETTE),
        ("MR_truncated.dcm", Reason.TRUNCATED),
        ("ExplVR_LitEndNoMeta.dcm", Reason.NOT_AN_IMAGE_OBJECT),
        ("rtdose.dcm", Reason.NOT_AN_IMAGE_OBJECT),
        ("liver_1frame.dcm", Reason.NOT_AN_IMAGE_OBJECT),
        ("reportsi.dcm", Reason.NOT_AN_IMAGE_OBJECT),
    ],
)
def test_refusals_of_pydicoms_files(tmp_path: Path, name: str, reason: Reason) -> None:
    source = get_testdata_file(name.replace("SC_rgb.dcm", "SC_rgb_small_odd.dcm"))
    if name == "JPGExtended.dcm":  # a secondary capture: make it a CT so that its encoding decides
        ds = pydicom.dcmread(source)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        source = tmp_path / "ct.dcm"
        ds.save_as(source)
    (skip,) = discover([Path(source)]).skipped
    assert skip.reason is reason


@pytest.mark.parametrize("compress", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_undecodable_data_names_the_file(
    tmp_path: Path, compress: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make_series(tmp_path, slices=1, shape=(64, 64), compress=compress)
    path = tmp_path / "IM000.dcm"
    data = bytearray(path.read_bytes())
    first = {JPEGLSLossless: b"\xff\xd8", JPEG2000Lossless: b"\xff\x4f\xff\x51"}.get(compress)
    start = data.rindex(first) if first else len(data) - 5000
    data[start : start + 500] = bytes(500)
    path.write_bytes(data)
    (item,) = discover([tmp_path]).items
    with pytest.raises(PixelError, match="IM000.dcm") as caught:
        read(item)
    assert caught.value.exit_code == 5
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("compress", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("missing", [8, 40])
def test_truncated_compressed_data_is_skipped(tmp_path: Path, compress: str, missing: int) -> None:
    make_series(tmp_path, slices=2, shape=(64, 64), compress=compress)
    path = tmp_path / "IM001.dcm"
    path.write_bytes(path.read_bytes()[:-missing])
    found = discover([tmp_path])
    assert [(s.path.name, s.reason) for s in found.skipped] == [("IM001.dcm", Reason.TRUNCATED)]
    assert [len(i.files) for i in found.items] == [1]


@pytest.mark.parametrize("value", [-2000, 63536])
def test_padding_with_the_wrong_vr(value: int) -> None:
    """GE writes 63536 (US) for -2000 in a signed image."""
    ds = Dataset()
    ds.PixelRepresentation, ds.BitsAllocated = 1, 16
    ds.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
    assert padding_range(ds) == (-2000, -2000)


def test_padding_range_is_inclusive_either_way_round() -> None:
    ds = Dataset()
    ds.PixelRepresentation, ds.BitsAllocated = 0, 16
    ds.add_new("PixelPaddingValue", "US", 20)
    ds.add_new("PixelPaddingRangeLimit", "US", 10)
    mask = padding_mask(np.arange(30), padding_range(ds))
    assert mask.nonzero()[0].tolist() == list(range(10, 21))


SLOPES = st.floats(1e-6, 1e4).flatmap(lambda s: st.sampled_from([s, -s, 1.0]))


@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]).flatmap(
        lambda t: arrays(np.dtype(t), (3, 4), elements={"allow_nan": False} if t[0] == "f" else None)
    ),
    SLOPES,
    st.floats(-1e4, 1e4),
)
@settings(max_examples=200, deadline=None)
def test_unchanged_values_keep_their_bits(stored: np.ndarray, slope: float, intercept: float) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        real = pixels.to_real(stored, slope, intercept)
        encoded = pixels.quantise(real, stored, slope, intercept, keep=~np.isfinite(real))
    assert encoded.stored.dtype == stored.dtype
    assert encoded.stored.tobytes() == stored.tobytes()
    assert encoded.clipped == 0


@given(
    arrays(np.float32, (4, 5), elements=st.floats(-5000, 5000, width=32)),
    st.integers(0, 2**12 - 1),
    st.integers(0, 40),
)
@settings(max_examples=200, deadline=None)
def test_quantisation(real: np.ndarray, pad: int, width: int) -> None:
    """Half a step at most, clipped at the range and counted, never a padding value."""
    padding = (pad, min(pad + width, 4095))
    source = np.full((4, 5), padding[0], np.uint16)
    source[0] = (padding[0] + 2000) % 4096
    slope, intercept = 2.0, -1024.0
    keep = padding_mask(source, padding)
    keep[1] = False  # pretend that this row was not padding
    out = pixels.quantise(
        real, source, slope, intercept, keep=keep, bounds=(0, 4095), padding=padding
    )  # fmt: skip
    assert (out.stored[keep] == source[keep]).all()
    changed = ~keep & (real != pixels.to_real(source, slope, intercept))
    exact = (real.astype(float) - intercept) / slope
    inside = changed & (exact > -0.5) & (exact < 4095.5)
    assert out.clipped == (changed & ((np.rint(exact) < 0) | (np.rint(exact) > 4095))).sum()
    new = out.stored.astype(int)
    assert not padding_mask(new[changed], padding).any()
    away = inside & ((exact < padding[0] - 0.5) | (exact > padding[1] + 0.5))
    assert (np.abs(new - exact)[away] <= 0.5).all()
    assert new.min() >= 0
    assert new.max() <= 4095


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_files_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    if not folder.exists():
        make_series(folder, slices=1, shape=(4, 4))
    original = (folder / "IM000.dcm").read_bytes()
    broken = bytearray(original[: data.draw(st.integers(0, len(original)))])
    for _ in range(data.draw(st.integers(0, 5))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("one") / "x"
    path.write_bytes(broken)
    found = discover([path])
    assert len(found.items) + len(found.skipped) == 1
    for item in found.items:
        with suppress(PixelError):
            read(item)


@pytest.mark.parametrize("signed", [True, False])
def test_eight_bits_and_an_odd_size(tmp_path: Path, signed: bool) -> None:
    values = np.arange(15).reshape(3, 5) - (5 if signed else 0)

    def narrow(ds: Dataset, k: int) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.Rows, ds.Columns = 8, 8, 7, 3, 5
        ds.PhotometricInterpretation = "MONOCHROME1"
        ds.PixelData = values.astype(np.int8 if signed else np.uint8).tobytes() + b"\0"

    make_series(tmp_path / "in", modality="MR", slices=1, signed=signed, change=narrow)
    (item,) = discover([tmp_path / "in"]).items
    volume = read(item)
    np.testing.assert_array_equal(volume.array[0], values)
    written = write(volume.with_array(volume.array + 1), tmp_path / "out", derivation=Derivation("m"))
    ds = pydicom.dcmread(written.files[0])
    assert ds.PhotometricInterpretation == "MONOCHROME1"  # never inverted
    assert (ds.BitsAllocated, ds.PixelRepresentation) == (8, int(signed))
    np.testing.assert_array_equal(ds.pixel_array, values + 1)


def test_header_is_read_without_pixels(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1)
    (header,) = read_header(tmp_path / "IM000.dcm")
    assert "Doe" not in header.description  # type: ignore[union-attr]


def test_an_unreadable_element_is_named(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1)
    path = tmp_path / "IM000.dcm"
    path.write_bytes(path.read_bytes().replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00C\0"))
    (item,) = discover([path]).items
    with pytest.raises(PixelError, match="IM000.dcm: the element Modality cannot be parsed"):
        read(item)
