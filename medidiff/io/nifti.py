"""NIfTI-1 and NIfTI-2 single files: read with nibabel, written with the bytes of the source header.

nibabel keeps a header only as far as its image classes know it. The writer therefore copies everything in
front of the voxels byte for byte (header, extensions) and changes the fields that must change: descrip,
and for maps the data type and scale (dicom-io brief, section 6).

A 4-D file is one volume with its 3-D volumes one after the other along z.
"""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import PixelError
from ..volume import Modality, Volume
from . import grid, pixels
from .atomic import check_target, staged
from .derivation import MAPS, NOTICE, Derivation
from .formats import is_packed, open_image
from .items import Reason, SeriesItem, Written
from .names import image_stem

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS (NIfTI) to LPS (DICOM) and back."""

TO_MM = {"meter": 1000.0, "micron": 1e-3}
LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, ValueError)


@dataclass(frozen=True)
class NiftiSource:
    """Layout of a file.

    Attributes:
        slices: file axis of the slices.
        shape: the three file axes.
        offset: byte where the voxels start, in the unpacked file.
        dtype: stored type with its byte order.
        slope: scl_slope that applies.
        inter: scl_inter that applies.
        affine: file voxel indices to LPS mm.
    """

    slices: int
    shape: tuple[int, int, int]
    offset: int
    dtype: np.dtype[Any]
    slope: float
    inter: float
    affine: NDArray[np.float64]


def inspect(path: Path, root: Path | None = None) -> SeriesItem | tuple[Reason, str]:
    """Reads the header of a NIfTI file.

    Args:
        path: file whose content is NIfTI.
        root: input folder that it was found under; its sub-folders are kept in the output.

    Returns:
        the item, or why it is none.
    """
    import nibabel as nib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nifti2 = _magic(path) == b"n+2"
            with open_image(path) as file:
                image: Any = (nib.Nifti2Image if nifti2 else nib.Nifti1Image).from_stream(file)
    except OSError:
        raise
    except Exception as error:
        return Reason.DAMAGED_HEADER, type(error).__name__
    header = image.header
    dtype = np.dtype(header.get_data_dtype())
    if reason := _refusal(path, image, dtype):
        return reason
    shape = (*image.shape, 1, 1)[:4]
    scale = TO_MM.get(header.get_xyzt_units()[0], 1.0)
    affine = LPS @ np.diag([scale, scale, scale, 1.0]) @ image.affine
    size = tuple(float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
    declared = header.get_dim_info()[2] if min(shape[:3]) > 1 else None
    slices = grid.slice_axis(size, declared) if len(image.shape) > 2 else 2  # type: ignore[arg-type]
    z, y, x = grid.axes(slices)
    proxy = image.dataobj
    return SeriesItem(
        path=path,
        kind="nifti",
        files=(path,),
        modality=_modality(path),
        description=image_stem(path),
        name=(path.parent.relative_to(root) if root else Path()).joinpath(image_stem(path)).as_posix(),
        shape=(shape[z] * shape[3], shape[y], shape[x]),
        spacing=(size[z], size[y], size[x]),
        volumes=shape[3],
        own_output=b"medidiff" in header["descrip"].tobytes(),
        headers=NiftiSource(
            slices, shape[:3], int(proxy.offset), dtype.newbyteorder(header.endianness),
            float(proxy.slope), float(proxy.inter), affine,
        ),
    )  # fmt: skip


def _magic(path: Path) -> bytes:
    with open_image(path) as file:
        head = file.read(12)
    return b"n+2" if head[4:7] == b"n+2" else b"n+1"


def _refusal(path: Path, image: Any, dtype: np.dtype[Any]) -> tuple[Reason, str] | None:
    header = image.header
    if dtype.kind == "c":
        return Reason.COMPLEX_PIXELS, str(dtype)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        return Reason.COLOUR if dtype.names else Reason.BIT_DEPTH, str(dtype)
    shape = image.shape
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        return Reason.UNSUPPORTED_LAYOUT, f"shape {'x'.join(map(str, shape))}"
    if any(extension.get_code() == 32 for extension in header.extensions):
        return Reason.UNSUPPORTED_LAYOUT, "CIFTI-2"
    if int(header["intent_code"]) == LABEL_INTENT or grid.LABEL_NAME.search(image_stem(path).lower()):
        return Reason.LABEL_MAP, ""
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        return Reason.NO_SPACING, "the affine is singular"
    needed = int(image.dataobj.offset) + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if not is_packed(path) and path.stat().st_size < needed:
        return Reason.TRUNCATED, f"{path.stat().st_size} of {needed} bytes"
    return None


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{image_stem(path)}.json")


def _read_sidecar(path: Path) -> dict[str, Any]:
    """The BIDS sidecar of an image, {} where there is none that can be read."""
    try:
        content = json.loads(_sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _modality(path: Path) -> Modality:
    told = str(_read_sidecar(path).get("Modality", "")).upper()
    known: dict[str, Modality] = {"CT": "CT", "MR": "MR", "PT": "PT", "PET": "PT"}
    return known.get(told) or grid.modality_from_name(path)


def _stored_volumes(item: SeriesItem) -> Iterator[NDArray[Any]]:
    """Stored values of each 3-D volume, ``[z, y, x]``, in their own type, native byte order.

    Raises:
        PixelError: the file ends early or cannot be unpacked.
    """
    source: NiftiSource = item.headers
    count = int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize
    path = item.files[0]
    with open_image(path) as file:
        for k in range(item.volumes):
            try:
                if k == 0:
                    _read_exactly(file, source.offset)
                data = _read_exactly(file, count)
            except (*DAMAGED, OSError) as error:
                raise PixelError(
                    f"the file ends early or is damaged, in volume {k + 1} of {item.volumes}",
                    where=path, hint="Fetch it again.",
                ) from error  # fmt: skip
            values = np.frombuffer(data, source.dtype).reshape(source.shape, order="F")
            values = values.astype(source.dtype.newbyteorder("="), copy=False)
            yield values.transpose(grid.axes(source.slices))


def _read_exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def read_nifti(item: SeriesItem) -> Volume:
    """Reads a NIfTI file; NaN and inf become padding.

    Args:
        item: from `inspect`.

    Returns:
        the volume in LPS; the modality is set to CT where file name and sidecar told nothing and the
        values are Hounsfield units beyond doubt.
    """
    source: NiftiSource = item.headers
    array = np.empty(item.shape, np.float32)
    depth = item.shape[0] // item.volumes
    with np.errstate(over="ignore", invalid="ignore"):
        for k, stored in enumerate(_stored_volumes(item)):
            array[k * depth : (k + 1) * depth] = pixels.to_real(stored, source.slope, source.inter)
    array, padding = grid.without_gaps(array)
    adjacent = None
    if item.volumes > 1:
        adjacent = np.ones(item.shape[0] - 1, bool)
        adjacent[depth - 1 :: depth] = False
    modality = item.modality
    if modality == "OT" and grid.looks_like_hounsfield(array):
        modality = "CT"
    return Volume(
        array=array,
        affine=grid.affine_for(source.affine, source.slices),
        modality=modality,
        unit="HU" if modality == "CT" else "a.u.",
        padding=padding,
        adjacent=adjacent,
        source=item,
    )


def write_nifti(
    volume: Volume, final: Path, *, derivation: Derivation, suffix: str, overwrite: bool
) -> Written:
    """Writes a NIfTI file with its BIDS sidecar; see `medidiff.io.write`.

    Maps (residual, uncertainty) are float32 with scale 1; anything else has the stored type and scale of
    the source, and the bits of the source wherever a value is unchanged, NaN or inf.
    """
    item: SeriesItem = volume.source
    source: NiftiSource = item.headers
    sidecar = final.with_name(f"{image_stem(final)}.json")
    for path in (final, sidecar):
        check_target(path, overwrite=overwrite, inputs=item.inputs)
    options: dict[str, Any] = {"folder": False, "overwrite": overwrite, "inputs": item.inputs}
    prefix = _prefix(item, derivation, suffix)
    dtype = np.dtype(np.float32).newbyteorder(source.dtype.byteorder) if suffix in MAPS else source.dtype
    clipped = 0
    with staged(final, **options) as image, staged(sidecar, **options) as text:
        with _open_output(image, packed=final.name.endswith(".gz")) as file:
            file.write(prefix)
            for k, stored in enumerate(_stored_volumes(item)):
                values, lost = _encode(volume, k, stored, source, suffix)
                clipped += lost
                back = np.argsort(grid.axes(source.slices))
                file.write(values.transpose(back).astype(dtype, copy=False).tobytes(order="F"))
        content = _sidecar_content(item, volume, derivation, suffix)
        text.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    notes = (f"{clipped} voxels did not fit the stored type and were clipped",) if clipped else ()
    return Written(final, (final, sidecar), clipped, notes)


def _encode(
    volume: Volume, k: int, stored: NDArray[Any], source: NiftiSource, suffix: str
) -> tuple[NDArray[Any], int]:
    """Stored values of volume `k` and how many were clipped."""
    part = slice(k * len(stored), (k + 1) * len(stored))
    real = volume.array[part]
    with np.errstate(over="ignore", invalid="ignore"):
        before = pixels.to_real(stored, source.slope, source.inter)
        keep = ~np.isfinite(before)
        if suffix in MAPS:
            return np.where(keep, before, real), 0
        encoded = pixels.quantise(real, stored, source.slope, source.inter, keep=keep)
    return encoded.stored, encoded.clipped


def _open_output(path: Path, *, packed: bool) -> IO[bytes]:
    """A file to write; gzip without name and time, so that equal images are equal files."""
    file = path.open("wb")
    if not packed:
        return file
    stream: Any = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0)
    stream.myfileobj = file  # closes the file with the stream
    return cast("IO[bytes]", stream)


def _prefix(item: SeriesItem, derivation: Derivation, suffix: str) -> bytes:
    """The bytes in front of the voxels: those of the source with the fields that change."""
    import nibabel as nib

    source: NiftiSource = item.headers
    with open_image(item.files[0]) as file:
        data = _read_exactly(file, source.offset)
    kind: Any = nib.Nifti2Header if data[4:7] == b"n+2" else nib.Nifti1Header
    size = kind.template_dtype.itemsize
    header = kind(data[:size], check=False)
    fields = header.structarr
    tail = f"medidiff {derivation.version} {suffix} (research)".encode("ascii", "replace")[:79]
    old = fields["descrip"].item().split(b"\0")[0].rstrip()
    fields["descrip"] = (old[: 79 - len(tail) - 2] + b"; " if old else b"") + tail
    if suffix in MAPS:
        fields["datatype"], fields["bitpix"] = 16, 32  # NIFTI_TYPE_FLOAT32
        fields["scl_slope"], fields["scl_inter"] = 1, 0
        fields["cal_min"], fields["cal_max"] = 0, 0
    return bytes(header.binaryblock) + data[size:]


def _sidecar_content(item: SeriesItem, volume: Volume, derivation: Derivation, suffix: str) -> dict[str, Any]:
    """The sidecar of the source with Sources and GeneratedBy (BIDS derivatives)."""
    content = _read_sidecar(item.files[0])
    content.pop("SkullStripped", None) if suffix in MAPS else None
    content["Sources"] = [item.files[0].name]
    content["Description"] = f"{suffix}: {derivation.describe()}"
    content["GeneratedBy"] = [
        *(g for g in content.get("GeneratedBy", []) if isinstance(g, dict)),
        {
            "Name": "medidiff", "Version": derivation.version, "Description": NOTICE,
            "Model": derivation.model_id, "ModelSHA256": derivation.model_sha256,
            "Settings": derivation.settings(),
        },
    ]  # fmt: skip
    if volume.unit != "a.u.":
        content["Units"] = volume.unit
    return content
