"""Encapsulated pixel data: offset tables that lie, syntaxes that lie, and loss that no header tells."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2K as HTJ2K_,
)
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from test_extent import lie

from medidiff.errors import PixelError
from medidiff.io import Derivation, Reason, discover, read, write


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


def repacked(ds: Dataset, table: list[int], pieces: int) -> None:
    """Fragments of our own making, and a Basic Offset Table of any content (PS3.5 A.4)."""
    count = int(ds.get("NumberOfFrames") or 1)
    fragments = []
    for frame in generate_frames(ds.PixelData, number_of_frames=count):
        size = max(len(frame) // pieces // 2 * 2, 2) if pieces > 1 else len(frame)
        fragments += [frame[k : k + size] for k in range(0, len(frame), size)]
    ds.PixelData = b"".join(map(item, [struct.pack(f"<{len(table)}I", *table), *fragments]))
    ds["PixelData"].is_undefined_length = True


def _deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("table", [[8], [123456], [0, 500]])
def test_a_wrong_offset_table_of_one_frame_does_not_matter(
    tmp_path: Path, syntax: str, table: list[int]
) -> None:
    stored = make_series(tmp_path, slices=1, shape=(32, 40), compress=syntax)
    (path,) = tmp_path.iterdir()
    ds = pydicom.dcmread(path)
    repacked(ds, table, pieces=1 if syntax == RLELossless else 3)
    ds.save_as(path)
    if syntax != RLELossless:  # GDCM heeds the table of RLE
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), stored)
    np.testing.assert_array_equal(read(discover([tmp_path]).items[0]).array, stored)


@pytest.mark.parametrize("table", [[0] * 5, [0, 4, 9, 13, 99], [0], [8, 0, 8, 0, 8]])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_wrong_offset_table_of_frames_does_not_matter(
    tmp_path: Path, table: list[int], pieces: int
) -> None:
    path = tmp_path / "image.dcm"
    stored = make_enhanced(path, slices=5, shape=(32, 40), compress=JPEG2000Lossless)
    ds = pydicom.dcmread(path)
    repacked(ds, table, pieces)
    ds.save_as(path)
    np.testing.assert_array_equal(read(discover([path]).items[0]).array, stored)


@pytest.mark.parametrize(
    ("true", "claimed"),
    [
        (JPEG2000Lossless, ExplicitVRLittleEndian),
        (RLELossless, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, JPEG2000Lossless),
        (ExplicitVRLittleEndian, RLELossless),
    ],
)
def test_pixels_that_are_not_what_the_syntax_says(tmp_path: Path, true: str, claimed: str) -> None:
    make_series(tmp_path, slices=1, shape=(32, 40), compress=true if true != ExplicitVRLittleEndian else None)
    (path,) = tmp_path.iterdir()
    lie(path, claimed)
    (skipped,) = discover([tmp_path]).skipped
    assert skipped.reason is Reason.TRANSFER_SYNTAX
    assert "encapsulated" in skipped.detail


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_native_pixels_in_fragments_are_no_pixels(tmp_path: Path, syntax: str) -> None:
    """pydicom gives the item headers as the first pixels: as many bytes are there, so nothing else tells."""
    stored = make_series(tmp_path, slices=1, syntax=syntax)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    deflated = syntax == DeflatedExplicitVRLittleEndian
    start = 144 + int.from_bytes(whole[140:144], "little")  # (0002,0000)
    meta, data = whole[:start], whole[start:]
    data = zlib.decompress(data, -zlib.MAX_WBITS) if deflated else data
    head, pixels = data.split(b"\xe0\x7f\x10\x00", 1)
    vr, pixels = (pixels[:4], pixels[8:]) if pixels[:2] == b"OW" else (b"", pixels[4:])
    data = (
        head
        + b"\xe0\x7f\x10\x00"
        + vr
        + b"\xff" * 4
        + item(b"")
        + item(pixels)
        + b"\xfe\xff\xdd\xe0"
        + bytes(4)
    )
    path.write_bytes(meta + (_deflated(data) if deflated else data))
    again = pydicom.dcmread(path)
    assert again["PixelData"].is_undefined_length
    assert len(again.PixelData) > stored.nbytes
    found = discover([tmp_path])
    if syntax == DeflatedExplicitVRLittleEndian:  # what lies behind its header is not seen without inflating
        with pytest.raises(PixelError, match="not stored as the transfer syntax says"):
            read(found.items[0])
    else:
        assert [s.reason for s in found.skipped] == [Reason.TRANSFER_SYNTAX]


@pytest.mark.parametrize(
    ("syntax", "options", "method"),
    [
        (JPEG2000, {"j2k_cr": [8]}, "ISO_15444_1"),
        (JPEGLSNearLossless, {"jls_error": 3}, "ISO_14495_1"),
        (JPEGLSNearLossless, {"jls_error": 0}, None),
        (JPEG2000Lossless, {}, None),
        (RLELossless, {}, None),
    ],
)
@pytest.mark.parametrize("enhanced", [False, True])
def test_loss_is_told_where_the_header_of_the_source_does_not(
    tmp_path: Path,
    derivation: Derivation,
    syntax: str,
    options: dict[str, object],
    method: str,
    enhanced: bool,
) -> None:
    """C.7.6.1.1.5: once lossy, always lossy. The derived image is not compressed: only its header tells."""
    folder = tmp_path / "in"
    folder.mkdir()
    if enhanced:
        make_enhanced(folder / "image.dcm", slices=3, shape=(64, 64))
    else:
        make_series(folder, slices=1, shape=(64, 64))
    (path,) = folder.iterdir()
    ds = pydicom.dcmread(path)
    ds.compress(syntax, generate_instance_uid=False, **options)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.save_as(path)
    (item,) = discover([folder]).items
    assert any("lossy" in note for note in item.notes) == bool(method)
    new = write(read(item), tmp_path / "out", derivation=derivation)
    derived = pydicom.dcmread(new.files[0])
    assert derived.get("LossyImageCompression") == ("01" if method else None)
    assert derived.get("LossyImageCompressionMethod") == method


def test_what_a_lossy_source_says_is_kept(tmp_path: Path, derivation: Derivation) -> None:
    def change(ds: Dataset, k: int) -> None:
        ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", "12.5"
        ds.LossyImageCompressionMethod = "ISO_10918_1"

    make_series(tmp_path / "in", slices=1, compress=JPEGLSLossless, change=change)
    new = write(read(discover([tmp_path / "in"]).items[0]), tmp_path / "out", derivation=derivation)
    derived = pydicom.dcmread(new.files[0])
    assert derived.LossyImageCompressionMethod == "ISO_10918_1"
    assert derived.LossyImageCompressionRatio == 12.5


HTJ2K = {
    True: (
        "/0//UQApQAAAAAAgAAAAGAAAAAAAAAAAAAAAIAAAABgAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCI"
        "kJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAL4AAf+TwAAmTv4CB3QAwAATQAATAJD4Awd0"
        "AAz8Awd0AMAAE8AAEwBIIPECgnQA5fIAIjQAwAAVUAAFWCJEiPiggjICdgA000wzzcBCAb62AMAAFbAABaQMDAwMDAzninpxgncA"
        "lCkpKSkpKSn6DGB79jGB7LoAwAAtSAAF0QC2bdu2bdu2bdv5/gp6enp6cIJ7ALIymUwmk8lkMplMJpPJ/v9xgIQHv2IQHv2IQHv2"
        "IQHsswH/2Q=="
    ),
    False: (
        "/0//UQApQAAAAAAgAAAAGAAAAAAAAAAAAAAAIAAAABgAAAAAAAAAAAABjwEB/1AACAACAAAAI/9SAAwAAgABAAUEBEAA/1wAIyJ/"
        "dH9Ff0V/F3dcd1x3PW+qb6pvwlg1WDVYeFAaUBpfv/9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAABkAAH/k8AAlMAB"
        "B3QAwACWAASg1gEHdAAQAYd0AMABPAASACFo/QACtAC7EjMAwAKiABVAJEzBc/JTFQCqUkT+OT3MrbYAwAmgBUjA54FL5QAC/voH"
        "79/stwAA/9k="
    ),
}
"""60 x + 90 y - 1000 on 32 x 24 pixels, by OpenJPH: reversible, and with an error of 90 (its own decoder)."""


@pytest.mark.parametrize(
    ("syntax", "reversible"),
    [(HTJ2KLossless, True), (HTJ2KLosslessRPCL, True), (HTJ2K_, True), (HTJ2K_, False)],
)
def test_high_throughput_jpeg_2000_of_another_encoder(
    tmp_path: Path, derivation: Derivation, syntax: str, reversible: bool
) -> None:
    def change(ds: Dataset, k: int) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([base64.b64decode(HTJ2K[reversible])])
        ds["PixelData"].is_undefined_length = True

    y, x = np.mgrid[:24, :32]
    make_series(tmp_path / "in", slices=1, shape=(24, 32), change=change)
    volume = read(discover([tmp_path / "in"]).items[0])
    assert np.abs(volume.array[0] - (60 * x + 90 * y - 1000)).max() == (0 if reversible else 90)
    (file,) = write(volume, tmp_path / "out", derivation=derivation).files
    assert pydicom.dcmread(file).get("LossyImageCompressionMethod") == (
        None if reversible else "ISO_15444_15"
    )


def test_jpeg_baseline_is_always_lossy(tmp_path: Path, derivation: Derivation) -> None:
    def change(ds: Dataset, k: int) -> None:
        data = BytesIO()
        Image.fromarray(ds.pixel_array).save(data, "JPEG")
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.PixelData = encapsulate([data.getvalue()])
        ds["PixelData"].is_undefined_length = True

    make_series(tmp_path / "in", slices=1, shape=(24, 32), bits_allocated=8, signed=False, change=change)
    (file,) = write(read(discover([tmp_path / "in"]).items[0]), tmp_path / "out", derivation=derivation).files
    derived = pydicom.dcmread(file)
    assert (derived.LossyImageCompression, derived.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
