"""Awkward NIfTI files, and what differs between two of them by the layout of nifti1.h and nifti2.h."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

MAP_FIELDS = {"descrip", "datatype", "bitpix", "scl_slope", "scl_inter", "cal_min", "cal_max"}


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def parts(path: Path) -> tuple[Any, bytes, bytes]:
    """Header fields, the bytes between header and voxels, and the voxels of a file or pair."""
    data = unpacked(path)
    kind = nib.Nifti2Header if data[4:6] in (b"n+", b"ni") else nib.Nifti1Header
    header = kind(data[: kind.sizeof_hdr], check=False)
    fields, offset = header.structarr, int(header["vox_offset"])
    voxels = data
    if fields["magic"].item().startswith(b"ni"):
        stem = path.name.removesuffix(".gz").removesuffix(".hdr")
        voxels = unpacked(next(p for p in path.parent.iterdir() if p.name.startswith(f"{stem}.img")))
        between = data[header.sizeof_hdr :] or bytes(4)
    else:
        between = data[header.sizeof_hdr : offset]
    count = int(np.prod(header.get_data_shape(), dtype=int)) * header.get_data_dtype().itemsize
    return fields, between, voxels[offset : offset + count]


def changed_fields(old: Path, new: Path) -> set[str]:
    """Names of the header fields whose bytes differ; "extensions" and "voxels" for the rest of the file."""
    (a, x, v), (b, y, w) = parts(old), parts(new)
    assert a.dtype == b.dtype, "another version or byte order"
    names = {name for name in a.dtype.names if a[name].tobytes() != b[name].tobytes()}
    names |= {"extensions"} if x.rstrip(b"\0") != y.rstrip(b"\0") else set()
    return names | ({"voxels"} if v != w else set())


def _values(dtype: str, shape: tuple[int, ...] = (4, 5, 6)) -> np.ndarray:
    rng = np.random.default_rng(5)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = rng.normal(size=shape).astype(kind)
        values[0, 0, :3] = [np.nan, np.inf, -np.inf]
        return values
    return rng.integers(0, 99, shape).astype(kind)


def _image(
    dtype: str = "<i2", shape: tuple[int, ...] = (4, 5, 6), kind: Any = nib.Nifti1Image, **fields: Any
) -> Any:
    endianness = ">" if dtype[0] == ">" else "<"
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(dtype)
    image = kind(_values(dtype, shape), None, header)
    image.header["pixdim"][4] = 2.5  # TR, in 3-D files too
    image.set_sform(np.diag([2, 2, 3, 1.0]), 1)
    image.set_qform(np.diag([2, 2, 3, 1.0]), 1)
    for name, value in fields.items():
        image.header[name] = value
    return image


def _two_forms() -> Any:
    image = _image()
    image.set_qform(np.diag([2, 2, 3.0, 1]) + 5 * np.eye(4, k=3), 1)
    image.set_sform(np.array([[-2, 0.1, 0, 9], [0, 2, 0.3, 8], [0, 0, 3.0, 7], [0, 0, 0, 1]]), 4)
    return image


def _units(space: str, time: str) -> Any:
    image = _image()
    image.header.set_xyzt_units(space, time)
    return image


def _extended(kind: Any = nib.Nifti1Image) -> Any:
    image = _image(kind=kind)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"keep me"))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"and me " * 9))
    return image


def _scaled(slope: float, inter: float) -> Any:
    image = _image("<u1")
    image.header.set_slope_inter(slope, inter)
    return image


AWKWARD: dict[str, tuple[str, Callable[[], Any]]] = {
    "plain": ("a.nii", _image),
    "packed": ("a.nii.gz", _image),
    "big endian": ("a.nii", lambda: _image(">i2")),
    "big-endian float": ("a.nii", lambda: _image(">f4")),
    "nifti2": ("a.nii", lambda: _image(kind=nib.Nifti2Image)),
    "big-endian nifti2": ("a.nii.gz", lambda: _image(">i4", kind=nib.Nifti2Image)),
    "scaled": ("a.nii", lambda: _scaled(0.0754, -3.5)),
    "slope 0 means none": ("a.nii", _image),
    "NaN and inf": ("a.nii", lambda: _image("<f4")),
    "double": ("a.nii", lambda: _image("<f8")),
    "sform unlike qform": ("a.nii", _two_forms),
    "metre": ("a.nii", lambda: _units("meter", "msec")),
    "micron": ("a.nii", lambda: _units("micron", "usec")),
    "extensions": ("a.nii", _extended),
    "dim_info": ("a.nii", lambda: _image(dim_info=0b011001, slice_code=3, slice_end=5, slice_duration=0.1)),
    "texts": ("a.nii", lambda: _image(aux_file=b"aux", intent_name=b"name", descrip=b"x" * 80)),
    "display": ("a.nii", lambda: _image(cal_max=900, cal_min=-5, toffset=3.0)),
    "2-D": ("a.nii", lambda: _image(shape=(4, 5))),
    "4-D": ("a.nii.gz", lambda: _image(shape=(4, 5, 3, 7))),
    "5-D": ("a.nii", lambda: _image(shape=(4, 5, 3, 2, 3))),
    "7-D": ("a.nii", lambda: _image(shape=(4, 5, 3, 2, 2, 1, 2))),
    "pair": ("a.hdr", lambda: _image(kind=nib.Nifti1Pair)),
    "packed pair": ("a.hdr.gz", lambda: _image(kind=nib.Nifti1Pair)),
    "nifti2 pair": ("a.hdr", lambda: _image(kind=nib.Nifti2Pair)),
    "big-endian pair": ("a.hdr", lambda: _image(">i2", kind=nib.Nifti1Pair)),
    "4-D pair": ("a.hdr", lambda: _image(shape=(4, 5, 3, 7), kind=nib.Nifti1Pair)),
    "pair with extensions": ("a.hdr", lambda: _extended(nib.Nifti1Pair)),
}
"""File name and image of every awkward case."""


def save(folder: Path, case: str) -> Path:
    """Writes a case; gives its path."""
    name, make = AWKWARD[case]
    make().to_filename(folder / name)
    if case == "slope 0 means none":  # nibabel would not write it
        data = bytearray((folder / name).read_bytes())
        data[112:120] = np.array([0, 7], np.float32).tobytes()  # scl_slope, scl_inter, nifti1.h
        (folder / name).write_bytes(data)
    return folder / name
