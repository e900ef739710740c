"""NRRD and MetaImage through SimpleITK: type, grid and metadata as in the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PixelError
from ..volume import Volume
from . import grid, meta_header
from .atomic import staged
from .derivation import MAPS, Derivation
from .dicom import pixels
from .items import SeriesItem, Written
from .itk_fields import ITK_SPOILS, put_lines
from .itk_header import HEAD, ItkSource, end_of, fields_of
from .itk_reader import image_bytes, open_reader, quiet
from .provenance import FIELD, source_digest
from .streams import unpacks


def _load(item: SeriesItem) -> Any:
    """The SimpleITK image.

    Raises:
        PixelError: truncated or damaged data.
    """
    try:
        with open_reader(item.files[0]) as reader:
            reader.ReadImageInformation()
            place = Path(reader.GetFileName())
            if item.headers.compressed and not _is_whole(item.headers, place, image_bytes(reader)):
                raise EOFError
            return reader.Execute()
    except (OSError, EOFError, RuntimeError) as error:
        raise PixelError(
            "the image data cannot be read: the file ends early or is damaged", where=item.files[0]
        ) from error


def _is_whole(source: ItkSource, place: Path, size: int) -> bool:
    """True where packed voxels are undamaged: ITK reads as many as it needs, and heeds no check sum.

    Args:
        source: layout of the file.
        place: the file on disk, not packed itself.
        size: bytes of the image.
    """
    if source.extension == ".mha":
        return meta_header.is_whole(place, size)
    with place.open("rb") as header:
        head = header.read(HEAD)
    fields = fields_of(head)
    if not fields.get("encoding", "").startswith("gz"):
        return True  # bzip2 checks every block
    apart = "data file" in fields or "datafile" in fields
    with (source.voxels if apart else place).open("rb") as voxels:
        voxels.seek(0 if apart else end_of(head))
        for _ in range(int(fields.get("line skip") or fields.get("lineskip") or 0)):
            voxels.readline()
        return unpacks(voxels, size)


def _stored(image: Any, item: SeriesItem) -> NDArray[Any]:
    """Stored values ``[z, y, x]``."""
    import SimpleITK

    values: NDArray[Any] = SimpleITK.GetArrayViewFromImage(image)  # [k, j, i] or [j, i]
    values = values[None] if values.ndim == 2 else values
    return values.T.transpose(grid.axes(item.headers.slices))


def read_itk(item: SeriesItem) -> Volume:
    """Reads an NRRD or MetaImage file; NaN and inf become padding.

    Args:
        item: from `inspect`.

    Returns:
        the volume in LPS; the modality is set to CT where nothing else told it and the values are
        Hounsfield units beyond doubt.
    """
    image = _load(item)
    stored = _stored(image, item)
    if stored.shape != item.shape:
        raise PixelError("has changed since it was discovered", where=item.files[0])
    with np.errstate(over="ignore", invalid="ignore"):
        kept = item.headers.kept
        real = pixels.to_real(stored, kept.slope, kept.inter)
        array, padding = grid.without_gaps(np.ascontiguousarray(real))
    modality = item.modality
    if modality == "OT" and grid.looks_like_hounsfield(array):
        modality = "CT"
    return Volume(
        array=array,
        affine=grid.affine_for(item.headers.affine, item.headers.slices),
        modality=modality,
        unit="HU" if modality == "CT" else "a.u.",
        padding=padding,
        source=item,
    )


def write_itk(
    volume: Volume, final: Path, *, derivation: Derivation, suffix: str, overwrite: bool
) -> Written:
    """Writes an NRRD or MetaImage file; see `medidiff.io.write`.

    Maps are float32; anything else has the stored type and scale of the source, and its bits wherever a
    value is unchanged, NaN or inf. A detached header becomes one file.
    """
    item: SeriesItem = volume.source
    source: ItkSource = item.headers
    options: dict[str, Any] = {"folder": False, "overwrite": overwrite, "inputs": item.inputs}
    with staged(final, extension=source.extension, **options) as path:
        image = _load(item)
        stored = _stored(image, item)
        with np.errstate(over="ignore", invalid="ignore"):
            kept = source.kept
            before = pixels.to_real(stored, kept.slope, kept.inter)
            keep = ~np.isfinite(before)
            lines = kept.lines
            if suffix in MAPS:
                values, clipped = np.where(keep, before, volume.array), 0
            else:
                encoded = pixels.quantise(volume.array, stored, kept.slope, kept.inter, keep=keep)
                values, clipped = encoded.stored, encoded.clipped
                lines += kept.scale_lines
        values = np.ascontiguousarray(values.transpose(np.argsort(grid.axes(source.slices))).T)
        with quiet() as sitk:
            new = sitk.GetImageFromArray(values[0] if source.dimension == 2 else values)
            new.CopyInformation(image)
            lost = _copy_metadata(image, new)
            new.SetMetaData("medidiff", f"medidiff {suffix}: {derivation.describe()}")
            new.SetMetaData(FIELD, source_digest(item))
            _save(new, path, compressed=source.compressed)
        put_lines(path, lines)
    notes = [f"{clipped} voxels did not fit the stored type and were clipped"] if clipped else []
    notes += [f"{lost} fields of the header cannot be kept: empty, or no UTF-8 text"] if lost else []
    return Written(final, (final,), clipped, tuple(notes))


def _copy_metadata(image: Any, new: Any) -> int:
    """Copies the fields that ITK does not use itself; gives the number of those that it cannot write."""
    lost = 0
    for key in image.GetMetaDataKeys():
        if key.startswith(("ITK_", *ITK_SPOILS)):  # ITK's own, of the reading; and what `put_lines` keeps
            continue
        try:
            value = image.GetMetaData(key)
            new.SetMetaData(key, value)
        except TypeError:  # surrogates: a name that is no UTF-8
            value = ""
        lost += not value  # a value that is no UTF-8 comes as ""
    return lost


def save_image(
    path: Path,
    values: NDArray[Any],
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    direction: NDArray[np.float64],
    text: str,
    source: str,
) -> None:
    """Writes a compressed NRRD or MetaImage file; the extension tells which.

    Args:
        path: file to write.
        values: ``[z, y, x]``.
        origin: LPS mm of the first voxel.
        spacing: mm along ``(x, y, z)``.
        direction: ``[3, 3]``, orthonormal columns, LPS.
        text: what was done, for the header.
        source: from `source_digest`, likewise.
    """
    with quiet() as sitk:
        image = sitk.GetImageFromArray(np.ascontiguousarray(values))
        image.SetOrigin(origin.tolist())
        image.SetSpacing(spacing.tolist())
        image.SetDirection(direction.ravel().tolist())
        image.SetMetaData("medidiff", text)
        image.SetMetaData(FIELD, source)
        _save(image, path, compressed=True)


def _save(image: Any, path: Path, *, compressed: bool) -> None:
    with quiet() as sitk:
        try:
            sitk.WriteImage(image, str(path), compressed)
        except RuntimeError as error:
            raise OSError(*_cause(path, error)) from error


def _cause(path: Path, error: Exception) -> tuple[int, str]:
    """ITK does not say why it cannot write: writing one more block tells."""
    import errno

    try:
        with path.with_name("probe").open("wb") as file:
            file.write(bytes(1 << 20))
    except OSError as probe:
        return probe.errno or errno.EIO, probe.strerror or ""
    return errno.EIO, str(error).strip().splitlines()[-1]
