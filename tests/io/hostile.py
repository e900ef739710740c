"""Files made to do harm: lengths, sizes and packings that claim far more than is there."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from dicom_series import make_series
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

HUGE = 0x7FFFFFF0
BLOCK = bytes(64 << 20)


def dicom(
    folder: Path, change: Callable[[pydicom.Dataset], None] = lambda ds: None, **knobs: object
) -> bytes:
    """A slice whose header was changed after its pixels were encoded."""
    make_series(folder, slices=1, name=lambda k: "x", **{"shape": (64, 64), **knobs})
    dataset = pydicom.dcmread(folder / "x")
    if change is not None:
        change(dataset)
    dataset.save_as(folder / "x")
    return (folder / "x").read_bytes()


def largest(dataset: pydicom.Dataset) -> None:
    dataset.Rows = dataset.Columns = 65535


def long_element(data: bytes, vr: bytes) -> bytes:
    """An element of 2 GB in front of the SOP Instance UID."""
    at = data.index(b"\x08\x00\x18\x00UI")
    return data[:at] + b"\x08\x00\x17\x00" + vr + b"\0\0" + struct.pack("<I", HUGE) + data[at:]


def long_pixels(data: bytes) -> bytes:
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:at] + struct.pack("<I", HUGE) + data[at + 4 : at + 1000]


def claiming(data: bytes, rows: int, columns: int, components: int = 1) -> bytes:
    """A compressed slice whose codestream claims another size than its header."""
    size = data.find(b"\xff\x4f\xff\x51")
    if size >= 0:  # SIZ, T.800 A.5.1
        new = struct.pack(">II", columns, rows)
        data = data[: size + 8] + new + data[size + 16 :]
        return data[: size + 40] + struct.pack(">H", components) + data[size + 42 :]
    frame = data.index(b"\xff\xf7")  # SOF55, T.87 C.2.2
    return data[: frame + 5] + struct.pack(">HHB", rows, columns, components) + data[frame + 10 :]


def deflate_bomb(folder: Path) -> bytes:
    """A deflated slice with 1.3 GB of zeros in 1.3 MB (PS3.5 A.5)."""

    def deflated(dataset: pydicom.Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    plain, packed = dicom(folder), dicom(folder, deflated)
    meta = 144 + struct.unpack_from("<I", packed, 140)[0]  # (0002,0000) tells where group 2 ends
    inside = zlib.decompress(packed[meta:], -zlib.MAX_WBITS)
    assert inside[:8] in plain
    head = inside[: inside.index(b"\xe0\x7f\x10\x00OW") + 8] + struct.pack("<I", 0xFFFFFFF0)
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(BLOCK) + stream.flush(zlib.Z_FULL_FLUSH)
    return packed[:meta] + start + block * 20 + stream.flush()


def nifti(shape: tuple[int, ...], *, kind: type = nib.Nifti1Header, **fields: object) -> bytes:
    """A NIfTI header with 1000 bytes of voxels."""
    header = kind()
    header["magic"], header["vox_offset"] = header.single_magic, header.single_vox_offset
    header["dim"][: len(shape) + 1] = [len(shape), *shape]
    header.set_data_dtype(np.int16)
    header.set_sform(np.eye(4), 1)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4 + 1000)


def long_extension(shape: tuple[int, ...] = (3, 4, 5)) -> bytes:
    data = nifti(shape, vox_offset=2e9)
    return data[:348] + b"\1\0\0\0" + struct.pack("<ii", HUGE, 6) + data[360:]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each; the names start with the reason that discovery gives."""
    plain = dicom(folder)
    for vr in (b"OB", b"SQ", b"UT", b"UN"):
        yield f"TRUNCATED element {vr.decode()}", long_element(plain, vr)
    yield "TRUNCATED pixels", long_pixels(plain)
    yield "TRUNCATED native", dicom(folder, largest)
    for name, syntax in {"rle": RLELossless, "j2k": JPEG2000Lossless, "jls": JPEGLSLossless}.items():
        yield f"PACKING_BOMB {name}", dicom(folder, largest, compress=syntax)
    for name, syntax in {"j2k": JPEG2000Lossless, "jls": JPEGLSLossless}.items():
        image = dicom(folder, series=name, compress=syntax)
        yield f"PixelError {name}", claiming(image, 65535, 65535)
        yield (
            f"PixelError components {name}",
            claiming(dicom(folder, series=name + "3", compress=syntax), 64, 64, 255),
        )
    yield "PACKING_BOMB deflated", deflate_bomb(folder)
    zeros = gzip.compress(BLOCK)
    yield "PACKING_BOMB dicom gz", gzip.compress(long_pixels(dicom(folder, largest))) + zeros * 20
    yield "TRUNCATED 30000", nifti((30000, 30000, 30000))
    yield "TRUNCATED 2^63", nifti((2**21, 2**21, 2**21 + 1), kind=nib.Nifti2Header)
    yield "TRUNCATED 30000 gz", gzip.compress(nifti((30000, 30000, 30000)))
    yield "PACKING_BOMB nifti gz", gzip.compress(nifti((900, 1000, 1000))) + zeros * 27
    yield "TRUNCATED offset", nifti((3, 4, 5), vox_offset=2e9)
    yield "DAMAGED_HEADER extension", long_extension()
    yield "DAMAGED_HEADER extension gz", gzip.compress(long_extension())


def make(folder: Path) -> None:
    """Writes every file, and once more those of TRUNCATED and DAMAGED_HEADER in gzip and in a zip file."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files(folder.parent / "work"):
            (folder / name).write_bytes(data)
            if data[:2] != b"\x1f\x8b" and name.startswith(("TRUNCATED", "DAMAGED")):
                (folder / f"{name} packed").write_bytes(gzip.compress(data))
                archive.writestr(f"{name} in zip", data)
