"""NIfTI: read volume by volume, written with the bytes of the source header; NaN and inf stay where they are.

A file of more than three dimensions is one volume with its 3-D volumes one after the other along z.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from .. import scratch
from ..errors import PixelError
from ..volume import Volume
from . import bids, grid
from .atomic import check_target, staged
from .derivation import MAPS, Derivation
from .dicom import pixels
from .formats import open_image
from .items import SeriesItem, Written
from .nifti_header import NiftiSource, derived_header
from .provenance import KEY, made_from, source_digest
from .streams import PIECE


def _stored_volumes(item: SeriesItem) -> Iterator[NDArray[Any]]:
    """Stored values of each 3-D volume, ``[z, y, x]``, in their own type, native byte order.

    Raises:
        PixelError: the file ends early or cannot be unpacked.
    """
    source: NiftiSource = item.headers
    count = int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize
    done = 0
    try:
        with open_image(source.voxels) as file:
            file.seek(source.offset)
            while done < item.volumes:
                data = file.read(count)
                if len(data) < count:
                    raise EOFError
                values = np.frombuffer(data, source.dtype).reshape(source.shape, order="F")
                values = values.astype(source.dtype.newbyteorder("="), copy=False)
                yield values.transpose(grid.axes(source.slices))
                done += 1
            while file.read(PIECE):  # the check sum of packed data is behind the last byte
                pass
    except (OSError, EOFError) as error:
        raise PixelError(
            f"the file ends early or is damaged, in volume {min(done + 1, item.volumes)} of {item.volumes}",
            where=source.voxels, hint="Fetch it again.",
        ) from error  # fmt: skip


def read_nifti(item: SeriesItem) -> Volume:
    """Reads a NIfTI file; NaN and inf become padding.

    Args:
        item: from `inspect`.

    Returns:
        the volume in LPS; the modality is set to CT where file name and sidecar told nothing and the
        values are Hounsfield units beyond doubt.
    """
    source: NiftiSource = item.headers
    array = scratch.zeros(item.shape)
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
    out_dir = final.parents[item.name.count("/")]
    texts = {bids.beside(final, x): data for x, data in bids.tables(item.files[0]).items()}
    made = {KEY: source_digest(item)}
    sidecar = bids.sidecar_text(item, out_dir, volume.unit, derivation, suffix, made)
    texts[bids.beside(final, ".json")] = sidecar.encode()
    # A run that was killed between two renames leaves our side-car without its image.
    overwrite = overwrite or (not final.exists() and made_from(final, item) is True)
    for path in (final, *texts):
        check_target(path, overwrite=overwrite, inputs=item.inputs)
    options: dict[str, Any] = {"folder": False, "overwrite": overwrite, "inputs": item.inputs}
    header = _header(item, derivation, suffix)
    dtype = np.dtype(np.float32).newbyteorder(source.dtype.byteorder) if suffix in MAPS else source.dtype
    clipped = 0
    with ExitStack() as undo:
        image = undo.enter_context(staged(final, **options))
        for path, data in texts.items():
            undo.enter_context(staged(path, **options)).write_bytes(data)
        with _open_output(image, packed=final.name.endswith(".gz")) as file:
            file.write(header)
            for k, stored in enumerate(_stored_volumes(item)):
                values, lost = _encode(volume, k, stored, source, suffix)
                clipped += lost
                back = np.argsort(grid.axes(source.slices))
                file.write(values.transpose(back).astype(dtype, copy=False).tobytes(order="F"))
    bids.describe_dataset(item, out_dir, derivation)
    notes = (f"{clipped} voxels did not fit the stored type and were clipped",) if clipped else ()
    return Written(final, (final, *texts), clipped, notes)


def _header(item: SeriesItem, derivation: Derivation, suffix: str) -> bytes:
    try:
        return derived_header(item, derivation, suffix)
    except (OSError, EOFError) as error:
        raise PixelError("has changed since it was discovered", where=item.files[0]) from error


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
