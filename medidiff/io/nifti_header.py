"""NIfTI headers: what a file holds and where, and the header of a derived file.

Read with nibabel's header classes, for single files (``.nii``) and header/image pairs (``.hdr`` with
``.img``), NIfTI-1 and NIfTI-2. A derived file keeps the header byte for byte, extensions included, but for
the fields that must change:

* descrip names medidiff;
* magic and vox_offset of a pair become those of a single file;
* datatype, bitpix, scl_slope, scl_inter, cal_min and cal_max of a map are those of float32 values.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..volume import Modality
from . import grid
from .bids import dataset_of, read_sidecar
from .derivation import MAPS, Derivation
from .formats import exists, is_packed, open_image, stored_size
from .items import Reason, SeriesItem
from .names import image_stem, output_name, printable
from .nifti_remarks import remarks
from .streams import DEFLATE_RATIO, most_unpacked

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS (NIfTI) to LPS (DICOM) and back."""

TO_MM = {"meter": 1000.0, "micron": 1e-3}
LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
NO_SCALAR = {1004, 1005, 1006, 1007, 1008, 1009, 1010, 2003, 2004}
"""Intents of matrices, vectors, point sets, quaternions and colours (nifti1.h)."""

MAX_EXTENSIONS = 64 << 20


@dataclass(frozen=True)
class NiftiSource:
    """Layout of a file.

    Attributes:
        voxels: file of the voxels: the file itself, or the image of a pair.
        slices: file axis of the slices.
        shape: the three file axes.
        offset: byte of `voxels` where they start, unpacked.
        dtype: stored type with its byte order.
        slope: scl_slope that applies.
        inter: scl_inter that applies.
        affine: file voxel indices to LPS mm.
        dataset: root of the BIDS dataset that holds the file.
        root: input folder that the file was found under.
    """

    voxels: Path
    slices: int
    shape: tuple[int, int, int]
    offset: int
    dtype: np.dtype[Any]
    slope: float
    inter: float
    affine: NDArray[np.float64]
    dataset: Path | None
    root: Path | None


def inspect(
    path: Path, root: Path | None = None, *, label_maps: bool = False
) -> SeriesItem | tuple[Reason, str]:
    """Reads the header of a NIfTI file.

    Args:
        path: file whose content is NIfTI: a single file, or the header of a pair.
        root: input folder that it was found under; its sub-folders are kept in the output.
        label_maps: takes a label map or mask for an image too.

    Returns:
        the item, or why it is none.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            with open_image(path) as file:
                header = _header_class(file).from_fileobj(file, check=False)
            header.check_fix(logger=logging.Logger("silent", logging.CRITICAL + 1))  # not on stderr
            shape = tuple(int(n) for n in header.get_data_shape())
            dtype = np.dtype(header.get_data_dtype())
            slope, inter = header.get_slope_inter()
            scale = TO_MM.get(header.get_xyzt_units()[0], 1.0)
            affine = LPS @ np.diag([scale, scale, scale, 1.0]) @ header.get_best_affine()
            size: Any = tuple(float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
            volume = abs(np.linalg.det(affine[:3, :3]))
            declared = header.get_dim_info()[2]
            offset = int(header.get_data_offset())
    except OSError:
        raise
    except Exception as error:  # a damaged header makes nibabel raise almost anything
        return Reason.DAMAGED_HEADER, type(error).__name__
    voxels = path if header.is_single else _image_of(path)
    if voxels is None:
        return Reason.NO_VOXEL_FILE, f"{image_stem(path)}.img"
    if offset < (header.sizeof_hdr if header.is_single else 0):
        return Reason.DAMAGED_HEADER, f"vox_offset {offset}"
    if reason := _refusal(path, header, shape, dtype, label_maps):
        return reason
    if not np.isfinite(affine).all() or not volume > 1e-12 * scale**3:
        return Reason.NO_SPACING, "the affine is singular"
    if reason := _bad_size(voxels, offset + dtype.itemsize * math.prod(shape)):
        return reason
    x, y, z, *rest = (*shape, 1, 1)
    volumes = math.prod(rest)
    declared = declared if min(x, y, z) > 1 else None
    slices = grid.slice_axis(size, (x, y, z), declared) if len(shape) > 2 else 2
    sidecar = read_sidecar(path)
    modality = _modality(path, sidecar)
    k, j, i = grid.axes(slices)
    return SeriesItem(
        path=path,
        kind="nifti",
        files=(path,),
        modality=modality,
        description=printable(image_stem(path)),
        name=output_name(path, root),
        shape=((x, y, z)[k] * volumes, (x, y, z)[j], (x, y, z)[i]),
        spacing=(size[k], size[j], size[i]),
        volumes=volumes,
        notes=remarks(path, sidecar) if modality in ("MR", "OT") else (),
        own_output=b"medidiff" in header["descrip"].tobytes(),
        headers=NiftiSource(
            voxels, slices, (x, y, z), offset, dtype.newbyteorder(header.endianness),
            1.0 if slope is None else float(slope), 0.0 if inter is None else float(inter), affine,
            dataset_of(path), root,
        ),
    )  # fmt: skip


def _header_class(file: IO[bytes]) -> Any:
    """The nibabel class for the header at the start of a file, told by its magic."""
    import nibabel as nib

    head = file.read(348)
    file.seek(0)
    if head[4:7] in (b"n+2", b"ni2"):
        return nib.Nifti2Header if head[4:7] == b"n+2" else nib.nifti2.Nifti2PairHeader
    return nib.Nifti1Header if head[344:347] == b"n+1" else nib.nifti1.Nifti1PairHeader


def _image_of(path: Path) -> Path | None:
    """The image file beside the header of a pair."""
    stem = image_stem(path)
    names = (f"{stem}{x}" for x in (".img", ".img.gz", ".IMG"))
    return next((image for name in names if exists(image := path.with_name(name))), None)


def _refusal(
    path: Path, header: Any, shape: tuple[int, ...], dtype: np.dtype[Any], label_maps: bool
) -> tuple[Reason, str] | None:
    if dtype.kind == "c":
        return Reason.COMPLEX_PIXELS, str(dtype)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        return Reason.COLOUR if dtype.names else Reason.BIT_DEPTH, str(dtype)
    if len(shape) < 2 or min(shape) < 1:
        return Reason.UNSUPPORTED_LAYOUT, f"shape {'x'.join(map(str, shape))}"
    intent = int(header["intent_code"])
    if intent in NO_SCALAR or any(extension.get_code() == 32 for extension in header.extensions):
        return Reason.UNSUPPORTED_LAYOUT, f"intent {intent}" if intent in NO_SCALAR else "CIFTI-2"
    if not label_maps and (intent == LABEL_INTENT or grid.LABEL_NAME.search(image_stem(path).lower())):
        return Reason.LABEL_MAP, ""
    return None


def _bad_size(voxels: Path, needed: int) -> tuple[Reason, str] | None:
    """Why the bytes needed cannot be all there, told without unpacking them."""
    there = stored_size(voxels)
    if not is_packed(voxels):
        return (Reason.TRUNCATED, f"{there} of {needed} bytes") if there < needed else None
    if needed > there * DEFLATE_RATIO:
        return Reason.TRUNCATED, f"at most {there * DEFLATE_RATIO} of {needed} bytes"
    if needed > most_unpacked(there):
        return Reason.PACKING_BOMB, f"{needed} bytes from {there}"
    return None


def _modality(path: Path, sidecar: Mapping[str, Any]) -> Modality:
    told = str(sidecar.get("Modality", "")).upper()
    known: dict[str, Modality] = {"CT": "CT", "MR": "MR", "PT": "PT", "PET": "PT"}
    return known.get(told) or grid.modality_from_name(path)


def derived_header(item: SeriesItem, derivation: Derivation, suffix: str) -> bytes:
    """The bytes in front of the voxels of a derived file: header and extensions.

    Args:
        item: the source.
        derivation: what was done.
        suffix: ``"denoised"``, or one of `MAPS`.

    Raises:
        OSError: the source cannot be read.
        EOFError: it has become shorter.
    """
    source: NiftiSource = item.headers
    with open_image(item.files[0]) as file:
        kind = _header_class(file)
        size: int = kind.sizeof_hdr
        data = file.read(source.offset if kind.is_single else size + MAX_EXTENSIONS)
    if len(data) < (source.offset if kind.is_single else size):
        raise EOFError
    header = kind(data[:size], check=False)
    fields = header.structarr
    tail = f"medidiff {derivation.version} {suffix} (research)".encode("ascii", "replace")[:79]
    old = fields["descrip"].item().split(b"\0")[0].rstrip()
    fields["descrip"] = (old[: 79 - len(tail) - 2] + b"; " if old else b"") + tail
    if suffix in MAPS:
        fields["datatype"], fields["bitpix"] = 16, 32  # NIFTI_TYPE_FLOAT32
        fields["scl_slope"], fields["scl_inter"] = 1, 0
        fields["cal_min"], fields["cal_max"] = 0, 0
    rest = data[size:]
    if not kind.is_single:
        rest = _extensions(rest, header.endianness)
        fields["magic"] = header.single_magic
        fields["vox_offset"] = size + len(rest)
    return bytes(header.binaryblock) + rest


def _extensions(rest: bytes, endianness: str) -> bytes:
    """What follows the header of a pair, as it must be in a single file: whole extensions, 16-byte steps."""
    end = 4
    if rest[:1] not in (b"", b"\0"):
        order: Literal["big", "little"] = "big" if endianness == ">" else "little"
        while 8 <= (size := int.from_bytes(rest[end : end + 4], order)) <= len(rest) - end:
            end += size
    if end == 4:
        return bytes(4)
    return rest[:end] + bytes(-(end - 4) % 16)
