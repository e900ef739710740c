"""The size that a compressed frame claims is read without a decoder."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom
import pytest
from dicom_series import make_series
from hostile import claiming
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from validators import tool

from medidiff.errors import PixelError
from medidiff.io import discover, read
from medidiff.io.dicom.codestream import JPEG, JPEG_2000, Claim, claim

LOSSLESS = "1.2.840.10008.1.2.4.70"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_claims_of_pydicoms_files() -> None:
    """Every JPEG, JPEG-LS and JPEG 2000 file at hand claims what its header says, but for one made not to."""
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    checked = 0
    for path in sorted(folder.glob("*.dcm")):
        dataset = pydicom.dcmread(path, force=True)
        syntax = dataset.get("file_meta", {}).get("TransferSyntaxUID")
        if syntax not in JPEG | JPEG_2000 or "PixelData" not in dataset or "embedded" in path.name:
            continue
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        assert claim(frame, syntax) == Claim(dataset.Rows, dataset.Columns, dataset.SamplesPerPixel), (
            path.name
        )
        checked += 1
    assert checked > 20


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


SOF = struct.pack(">BHHB", 12, 50, 70, 1) + b"\1\x11\0"


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xF7])
def test_frame_header_behind_other_segments(marker: int) -> None:
    lure = struct.pack(">BHHB", 8, 9999, 9999, 1)  # what looks like a frame header in a table is none
    tables = segment(0xC4, lure) + segment(0xE0, b"\xff\xc3" + lure) + b"\xff\xff" + segment(0xDB, lure)
    assert claim(b"\xff\xd8" + tables + segment(marker, SOF), LOSSLESS) == Claim(50, 70, 1)


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff", segment(0xC3, SOF), b"\xff\xd8" + segment(0xC4, b"")[:3]]
)
def test_no_frame_header(frame: bytes) -> None:
    assert claim(frame, LOSSLESS) is None
    assert claim(frame, JPEG2000Lossless) is None


def test_a_jp2_file_around_the_codestream(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1, shape=(40, 60), compress=JPEG2000Lossless)
    dataset = pydicom.dcmread(tmp_path / "IM000.dcm")
    raw = next(generate_frames(dataset.PixelData, number_of_frames=1))
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\1junk" + struct.pack(">Q", 20) + b"\xff\x4f\xff\x51"
    for head in (b"\0\0\0\0jp2c", b"\0\0\0\1jp2c" + bytes(8)):
        assert claim(boxes + head + raw, JPEG2000Lossless) == Claim(40, 60, 1)
    assert claim(boxes, JPEG2000Lossless) is None
    assert claim(boxes[:12] + bytes(8), JPEG2000Lossless) is None  # a box of no size


@pytest.mark.parametrize("share", [0.6, 0.97])
@pytest.mark.parametrize("how", ["jpegls", "j2k", "rle", "jpeg lossless", "jpeg baseline"])
def test_a_codestream_that_was_cut_before_it_was_wrapped(tmp_path: Path, how: str, share: float) -> None:
    """The file is whole, and decoders give an image; its lower part is made up."""
    make_series(
        tmp_path, slices=2, shape=(64, 64), signed=False, bits_allocated=8 if "base" in how else 16,
        compress={"jpegls": JPEGLSLossless, "j2k": JPEG2000Lossless, "rle": RLELossless}.get(how),
    )  # fmt: skip
    path = tmp_path / "IM001.dcm"
    if how.startswith("jpeg "):
        option = "+eb" if "base" in how else "+e1"
        assert tool("dcmcjpeg", option, "+ua", path, path).returncode == 0
    (item,) = discover([path]).items
    read(item)
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: int(len(frame) * share)]])
    dataset.save_as(path)
    (item,) = discover([path]).items
    with pytest.raises(PixelError, match="IM001.dcm"):
        read(item)


def test_what_pads_a_frame_behind_its_end_may_hold_anything(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1, shape=(64, 64), compress=JPEGLSLossless)
    (path,) = tmp_path.iterdir()
    whole = read(discover([path]).items[0]).array
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame + b"\xff\xda left over"])
    dataset.save_as(path)
    assert (read(discover([path]).items[0]).array == whole).all()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("size", [(64, 65), (63, 64), (65535, 65535), (64, 64, 3)])
def test_another_size_than_the_header(tmp_path: Path, syntax: str, size: tuple[int, ...]) -> None:
    make_series(tmp_path, slices=2, shape=(64, 64), compress=syntax)
    path = tmp_path / "IM001.dcm"
    path.write_bytes(claiming(path.read_bytes(), *size))
    (item,) = discover([tmp_path]).items
    with pytest.raises(PixelError, match="IM001.dcm: .* is not the image of 64x64 pixels") as caught:
        read(item)
    assert str(caught.value.received) == "x".join(map(str, (size[1], size[0], *size[2:])))
