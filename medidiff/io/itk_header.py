"""Headers of NRRD and MetaImage files (3D Slicer's exchange formats): what ITK would lose is refused."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..volume import Modality
from . import grid, meta_header
from .formats import head_of, is_packed
from .items import Reason, SeriesItem
from .itk_fields import Kept, kept_of
from .itk_reader import extension_of, image_bytes, open_reader
from .names import image_stem, output_name, printable
from .streams import DEFLATE_RATIO, most_unpacked

ORTHOGONAL = 1e-4
HEAD = 65536
NRRD_END = rb"\r?\n\r?\n"
META_END = rb"(?<=\n)ElementDataFile[ \t]*=[^\n]*\n?"
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

SCALED = (
    "values are scaled as its ElementToIntensityFunctionSlope and ElementToIntensityFunctionOffset say; "
    "ITK and 3D Slicer leave these out"
)


@dataclass(frozen=True)
class ItkSource:
    """Layout of a file.

    Attributes:
        extension: of a file of this format in one piece: ``".nrrd"`` or ``".mha"``.
        slices: file axis of the slices.
        dimension: 2 or 3.
        compressed: True where the voxels are packed.
        affine: file voxel indices to LPS mm.
        kept: what ITK would lose of the header.
        voxels: file of the voxels: the file itself, or that of a detached header.
    """

    extension: str
    slices: int
    dimension: int
    compressed: bool
    affine: NDArray[np.float64]
    kept: Kept
    voxels: Path


def inspect(
    path: Path, root: Path | None = None, *, label_maps: bool = False
) -> SeriesItem | tuple[Reason, str]:
    """Reads the header of an NRRD or MetaImage file.

    Args:
        path: file whose content is NRRD or MetaImage.
        root: input folder that it was found under; its sub-folders are kept in the output.
        label_maps: takes a label map or mask for an image too.

    Returns:
        the item, or why it is none.

    Raises:
        OSError: the file cannot be read.
    """
    head = head_of(path, HEAD)
    if head[:4] != b"NRRD" and (reason := meta_header.problem(head)):
        return reason
    fields = fields_of(head)
    if reason := _refusal(fields):
        return reason
    kept = kept_of(head[: end_of(head)])
    if not isinstance(kept, Kept):
        return kept
    voxels = _voxel_file(path, fields)
    if not isinstance(voxels, Path):
        return voxels
    with open_reader(path) as reader:
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            return Reason.DAMAGED_HEADER, ""
        dimension = reader.GetDimension()
        if reason := _wrong_kind(path, reader, label_maps):
            return reason
        if missing := _bad_size(path, voxels, fields, reader):
            return missing
    direction = np.eye(3)
    direction[:dimension, :dimension] = np.reshape(reader.GetDirection(), (dimension, dimension))
    if not np.abs(direction.T @ direction - np.eye(3)).max() <= ORTHOGONAL:
        return Reason.SHEARED, ""
    spacing: Any = tuple(kept.mm * s for s in (*reader.GetSpacing(), 1.0)[:3])
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = [kept.mm * x for x in (*reader.GetOrigin(), 0.0)[:3]]
    if not np.isfinite(affine).all():
        return Reason.NO_SPACING, "origin or spacing is not finite"
    shape: Any = (*reader.GetSize(), 1)[:3]
    slices = grid.slice_axis(spacing, shape) if dimension == 3 else 2
    z, y, x = grid.axes(slices)
    told = META_MODALITY.get(fields.get("modality", ""))
    return SeriesItem(
        path=path,
        kind="itk",
        files=(path,),
        modality=told or grid.modality_from_name(path),
        description=printable(image_stem(path)),
        name=output_name(path, root),
        shape=(shape[z], shape[y], shape[x]),
        spacing=(spacing[z], spacing[y], spacing[x]),
        notes=() if (kept.slope, kept.inter) == (1.0, 0.0) else (SCALED,),
        own_output="medidiff" in fields,
        headers=ItkSource(
            extension_of(path), slices, dimension, _is_compressed(fields), affine, kept, voxels
        ),
    )  # fmt: skip


def fields_of(head: bytes) -> dict[str, str]:
    """The text header: lower-case names to values (NRRD ``name: value``, MetaImage ``Name = Value``)."""
    text = head[: end_of(head)].decode("latin-1")
    pairs = (re.split(r":=|: ?| ?= ?", line.strip(), maxsplit=1) for line in text.splitlines())
    return {p[0].strip().lower(): p[1].strip() for p in pairs if len(p) == 2 and p[0][:1].isalpha()}


def end_of(head: bytes) -> int:
    """Where the text header ends."""
    found = re.search(NRRD_END if head[:4] == b"NRRD" else META_END, head)
    return found.end() if found else len(head)


def _is_compressed(fields: dict[str, str]) -> bool:
    packed = fields.get("compresseddata", "").lower() in meta_header.TRUE
    return packed or fields.get("encoding", "").startswith(("gz", "bz"))


def _refusal(fields: dict[str, str]) -> tuple[Reason, str] | None:
    """What ITK would read without an error, and lose."""
    space = fields.get("space", "").lower()
    if space and space not in KEPT_SPACES:
        return Reason.UNSUPPORTED_LAYOUT, f"space {space}"
    kinds = set(fields.get("kinds", "").lower().split())
    if kinds - {"domain", "space", "???", "none"}:
        return Reason.UNSUPPORTED_LAYOUT, f"kinds {fields['kinds']}"
    vectors = re.findall(r"\(([^)]*)\)", fields.get("space directions") or fields.get("spacedirections", ""))
    if not vectors:
        return None
    try:
        rows = np.array([[float(v) for v in vector.split(",")] for vector in vectors])
    except ValueError:
        return Reason.DAMAGED_HEADER, "space directions"
    norms = np.linalg.norm(rows, axis=1)
    if not norms.all():
        return Reason.NO_SPACING, "space directions"
    unit = rows / norms[:, None]
    if np.abs(unit @ unit.T - np.eye(len(unit))).max() > ORTHOGONAL:
        return Reason.SHEARED, "space directions"
    return None


def _voxel_file(path: Path, fields: dict[str, str]) -> Path | tuple[Reason, str]:
    """The file of the voxels, or why it is not opened."""
    name = fields.get("data file") or fields.get("datafile") or fields.get("elementdatafile") or "LOCAL"
    if name == "LOCAL":
        return path
    if name.startswith("LIST") or "%" in name:
        return Reason.UNSUPPORTED_LAYOUT, "voxels in many files"
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name):
        return Reason.VOXELS_ELSEWHERE, ""
    if not path.is_file() or is_packed(path):
        return Reason.PACKED_HEADER, ""
    voxels = path.parent / parts
    return voxels if voxels.is_file() else (Reason.NO_VOXEL_FILE, parts.name)


def _wrong_kind(path: Path, reader: Any, label_maps: bool) -> tuple[Reason, str] | None:
    import SimpleITK

    name = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    dimension, components = reader.GetDimension(), reader.GetNumberOfComponents()
    if "complex" in name:
        return Reason.COMPLEX_PIXELS, name
    if "label" in name:
        return Reason.LABEL_MAP, name
    if components != 1 or "vector" in name or dimension not in (2, 3):
        return Reason.UNSUPPORTED_LAYOUT, f"{dimension} dimensions, {components} components"
    named = grid.LABEL_NAME.search(image_stem(path).lower()) or path.name.lower().endswith(".seg.nrrd")
    if named and not label_maps:
        return Reason.LABEL_MAP, ""
    return None


def _bad_size(path: Path, voxels: Path, fields: dict[str, str], reader: Any) -> tuple[Reason, str] | None:
    """Why the voxels cannot be all there, before ITK makes room for what a header claims."""
    head = head_of(path, HEAD)
    place = Path(reader.GetFileName()) if voxels == path else voxels
    there = place.stat().st_size - (end_of(head) if voxels == path else 0)
    there -= max(int(fields.get("headersize", 0)), 0)
    if int(fields.get("compresseddatasize", 0)) > there:
        return Reason.TRUNCATED, f"{there} of {fields['compresseddatasize']} bytes"
    needed = image_bytes(reader)
    if needed < 1:
        return Reason.UNSUPPORTED_LAYOUT, "no voxels"
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("txt", "text", "ascii"):
        most = (there + 1) // 2 * needed // math.prod(reader.GetSize())  # a digit and a space for each voxel
    elif encoding == "hex":
        most = there // 2
    elif _is_compressed(fields):
        most = most_unpacked(there) if encoding.startswith("bz") else there * DEFLATE_RATIO
    else:
        most = there
    if most < needed:
        return Reason.TRUNCATED, f"{there} of {needed} bytes"
    if _is_compressed(fields) and needed > most_unpacked(there):
        return Reason.PACKING_BOMB, f"{needed} bytes from {there}"
    return None
