"""NRRD and MetaImage (3D Slicer's exchange formats) through SimpleITK; refuses what it would not keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PixelError
from ..volume import Modality, Volume
from . import grid, pixels
from .atomic import staged
from .derivation import MAPS, Derivation
from .formats import head_of
from .items import Reason, SeriesItem, Written
from .names import image_stem, output_name

ORTHOGONAL = 1e-4
META_MODALITY: dict[str, Modality] = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_PET": "PT"}
KEPT_SPACES = {
    "left-posterior-superior",
    "lps",
    "right-anterior-superior",
    "ras",
    "left-anterior-superior",
    "las",
}
"""NRRD spaces that ITK converts to LPS and back without loss."""


@dataclass(frozen=True)
class ItkSource:
    """Layout of a file.

    Attributes:
        slices: file axis of the slices.
        dimension: 2 or 3.
        compressed: True where the voxels are gzip-packed.
        affine: file voxel indices to LPS mm.
    """

    slices: int
    dimension: int
    compressed: bool
    affine: NDArray[np.float64]


@contextmanager
def _quiet() -> Iterator[Any]:
    """SimpleITK without its warnings on stderr."""
    import SimpleITK

    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield SimpleITK
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


def _fields(path: Path) -> dict[str, str]:
    """The text header: lower-case names to values (NRRD ``name: value``, MetaImage ``Name = Value``)."""
    text = head_of(path, 65536).split(b"\n\n")[0].decode("latin-1")
    pairs = (re.split(r":=|: ?| ?= ?", line.strip(), maxsplit=1) for line in text.splitlines())
    return {p[0].strip().lower(): p[1].strip() for p in pairs if len(p) == 2 and p[0][:1].isalpha()}


def inspect(path: Path, root: Path | None = None) -> SeriesItem | tuple[Reason, str]:
    """Reads the header of an NRRD or MetaImage file.

    Args:
        path: file whose content is NRRD or MetaImage.
        root: input folder that it was found under; its sub-folders are kept in the output.

    Returns:
        the item, or why it is none.
    """
    fields = _fields(path)
    if reason := _refusal(fields):
        return reason
    with _quiet() as sitk:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.SetImageIO("NrrdImageIO" if head_of(path, 4) == b"NRRD" else "MetaImageIO")
            reader.ReadImageInformation()
        except RuntimeError as error:
            return (Reason.TRUNCATED if "data file" in str(error) else Reason.DAMAGED_HEADER), ""
        dimension = reader.GetDimension()
        name = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in name:
        return Reason.COMPLEX_PIXELS, name
    if "label" in name:
        return Reason.LABEL_MAP, name
    if reader.GetNumberOfComponents() != 1 or "vector" in name or dimension not in (2, 3):
        return (
            Reason.UNSUPPORTED_LAYOUT,
            f"{dimension} dimensions, {reader.GetNumberOfComponents()} components",
        )
    if grid.LABEL_NAME.search(image_stem(path).lower()) or path.name.lower().endswith(".seg.nrrd"):
        return Reason.LABEL_MAP, ""
    direction = np.eye(3)
    direction[:dimension, :dimension] = np.reshape(reader.GetDirection(), (dimension, dimension))
    if np.abs(direction.T @ direction - np.eye(3)).max() > ORTHOGONAL:
        return Reason.SHEARED, ""
    spacing = (*reader.GetSpacing(), 1.0)[:3]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = (*reader.GetOrigin(), 0.0)[:3]
    shape = (*reader.GetSize(), 1)[:3]
    slices = grid.slice_axis(spacing) if dimension == 3 else 2
    z, y, x = grid.axes(slices)
    if missing := _missing_bytes(path, fields, reader):
        return Reason.TRUNCATED, missing
    told = META_MODALITY.get(fields.get("modality", ""))
    return SeriesItem(
        path=path,
        kind="itk",
        files=(path,),
        modality=told or grid.modality_from_name(path),
        description=image_stem(path),
        name=output_name(path, root),
        shape=(shape[z], shape[y], shape[x]),
        spacing=(spacing[z], spacing[y], spacing[x]),
        own_output=any(reader.GetMetaData(k).startswith("medidiff") for k in reader.GetMetaDataKeys()),
        headers=ItkSource(slices, dimension, _is_compressed(fields), affine),
    )


def _missing_bytes(path: Path, fields: dict[str, str], reader: Any) -> str:
    """ "x of y bytes" where raw voxels behind the header end early, "" where all is well or unknown."""
    import SimpleITK

    head = head_of(path, 65536)
    end = re.search(rb"ElementDataFile *= *LOCAL *\r?\n" if head[:4] != b"NRRD" else rb"\r?\n\r?\n", head)
    raw = fields.get("encoding", "raw") == "raw" and not _is_compressed(fields)
    if end is None or not raw or "data file" in fields:
        return ""
    item = SimpleITK.GetArrayFromImage(SimpleITK.Image([1, 1], reader.GetPixelID())).itemsize
    needed = int(np.prod(reader.GetSize(), dtype=np.int64)) * item
    there = path.stat().st_size - end.end()
    return f"{there} of {needed} bytes" if there < needed else ""


def _is_compressed(fields: dict[str, str]) -> bool:
    return fields.get("encoding", "").startswith(("gz", "bz")) or fields.get("compresseddata") == "True"


def _refusal(fields: dict[str, str]) -> tuple[Reason, str] | None:
    """What ITK would read without an error, and lose."""
    space = fields.get("space", "").lower()
    if space and space not in KEPT_SPACES:
        return Reason.UNSUPPORTED_LAYOUT, f"space {space}"
    kinds = set(fields.get("kinds", "").lower().split())
    if kinds - {"domain", "space", "???", "none"}:
        return Reason.UNSUPPORTED_LAYOUT, f"kinds {fields['kinds']}"
    vectors = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
    if vectors:
        rows = np.array([[float(v) for v in vector.split(",")] for vector in vectors])
        norms = np.linalg.norm(rows, axis=1)
        if not norms.all():
            return Reason.NO_SPACING, "space directions"
        unit = rows / norms[:, None]
        if np.abs(unit @ unit.T - np.eye(len(unit))).max() > ORTHOGONAL:
            return Reason.SHEARED, "space directions"
    return None


def _load(item: SeriesItem) -> Any:
    """The SimpleITK image.

    Raises:
        PixelError: truncated or damaged data.
    """
    with _quiet() as sitk:
        try:
            return sitk.ReadImage(str(item.files[0]))
        except RuntimeError as error:
            raise PixelError(
                "the image data cannot be read: the file ends early or is damaged", where=item.files[0]
            ) from error


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
        array, padding = grid.without_gaps(np.ascontiguousarray(pixels.to_real(stored)))
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

    Maps are float32; anything else has the stored type of the source, and its bits wherever a value is
    unchanged, NaN or inf. A detached header becomes one file.
    """
    item: SeriesItem = volume.source
    source: ItkSource = item.headers
    options: dict[str, Any] = {"folder": False, "overwrite": overwrite, "inputs": item.inputs}
    with staged(final, extension=final.suffix, **options) as path:
        image = _load(item)
        stored = _stored(image, item)
        with np.errstate(over="ignore", invalid="ignore"):
            before = pixels.to_real(stored)
            keep = ~np.isfinite(before)
            if suffix in MAPS:
                values, clipped = np.where(keep, before, volume.array), 0
            else:
                encoded = pixels.quantise(volume.array, stored, keep=keep)
                values, clipped = encoded.stored, encoded.clipped
        values = np.ascontiguousarray(values.transpose(np.argsort(grid.axes(source.slices))).T)
        with _quiet() as sitk:
            new = sitk.GetImageFromArray(values[0] if source.dimension == 2 else values)
            new.CopyInformation(image)
            for key in image.GetMetaDataKeys():
                if key.startswith("ITK_"):  # ITK's own, of the reading
                    continue
                new.SetMetaData(key, image.GetMetaData(key))
            new.SetMetaData("medidiff", f"medidiff {suffix}: {derivation.describe()}")
            _save(new, path, compressed=source.compressed)
    notes = (f"{clipped} voxels did not fit the stored type and were clipped",) if clipped else ()
    return Written(final, (final,), clipped, notes)


def save_image(
    path: Path,
    values: NDArray[Any],
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    direction: NDArray[np.float64],
    text: str,
) -> None:
    """Writes a compressed NRRD or MetaImage file; the extension tells which.

    Args:
        path: file to write.
        values: ``[z, y, x]``.
        origin: LPS mm of the first voxel.
        spacing: mm along ``(x, y, z)``.
        direction: ``[3, 3]``, orthonormal columns, LPS.
        text: what was done, for the header.
    """
    with _quiet() as sitk:
        image = sitk.GetImageFromArray(np.ascontiguousarray(values))
        image.SetOrigin(origin.tolist())
        image.SetSpacing(spacing.tolist())
        image.SetDirection(direction.ravel().tolist())
        image.SetMetaData("medidiff", text)
        _save(image, path, compressed=True)


def _save(image: Any, path: Path, *, compressed: bool) -> None:
    with _quiet() as sitk:
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
