"""Header fields of NRRD and MetaImage files that ITK does not heed, or does not write again.

They are the length of the unit of the grid, the scale of the values, and what a derived file has to say as
its source does: the lines are put into its header after ITK has written it. What cannot be kept that way is
refused. (NRRD format definition, "Basic fields" and "Space and orientation information"; MetaIO
documentation, MetaObject and MetaImage fields.)
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .items import Reason
from .streams import PIECE

MAX_HEADER = 1 << 20
"""Bytes in which the header of a file that ITK wrote ends; that of a source has at most 64 kB."""

TO_MM = {
    **dict.fromkeys(("", "?", "???", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
}
"""Units of length; where none is told, ITK and 3D Slicer take mm, and so does medidiff."""

NRRD_FIELD = re.compile(r"^([a-z][a-z ]*): ?(.*)$", re.MULTILINE | re.IGNORECASE)
NRRD_KEPT = {"sampleunits": "sample units", "thicknesses": "thicknesses"}
FLIPS = {
    "right-anterior-superior": (-1.0, -1.0), "ras": (-1.0, -1.0),
    "left-anterior-superior": (1.0, -1.0), "las": (1.0, -1.0),
}  # fmt: skip
"""Signs of the first two coordinates of a space in LPS, in which ITK writes."""

ITK_SPOILS = ("NRRD_measurement frame", "NRRD_units", "NRRD_thicknesses", "NRRD_sample units")
"""Metadata that ITK's writer turns into other numbers, or fails on."""

META_FIELD = re.compile(r"^[ \t]*([A-Za-z0-9]+)[ \t]*=[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
META_KEPT = (
    "Comment", "ObjectSubType", "Name", "ID", "ParentID", "Color", "AcquisitionDate", "DistanceUnits",
    "Modality", "SequenceID", "ElementSize",
)  # fmt: skip
SLOPE, OFFSET = "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"


@dataclass(frozen=True)
class Kept:
    """What ITK would lose of a header.

    Attributes:
        mm: length in mm of the unit of origin and spacing.
        slope: factor from stored to real-world values.
        inter: offset of real-world values, in their unit.
        lines: header lines of a derived file.
        scale_lines: more of them, for an image whose stored values have this slope and offset.
    """

    mm: float = 1.0
    slope: float = 1.0
    inter: float = 0.0
    lines: tuple[bytes, ...] = ()
    scale_lines: tuple[bytes, ...] = ()


def kept_of(header: bytes) -> Kept | tuple[Reason, str]:
    """What must be kept of a header, or why it cannot.

    Args:
        header: the text header of an NRRD file, or a MetaImage header without `meta_header.problem`.
    """
    text = header.decode("latin-1")  # any byte, and back
    return _of_nrrd(text) if header[:4] == b"NRRD" else _of_meta(text)


def _of_nrrd(text: str) -> Kept | tuple[Reason, str]:
    # NRRD readers take "space units" and "spaceunits" for the same field.
    fields = {name.replace(" ", "").lower(): value.strip() for name, value in NRRD_FIELD.findall(text)}
    if _finite(fields, "oldmin") or _finite(fields, "oldmax"):
        return Reason.UNSUPPORTED_LAYOUT, "old min and old max: quantised values"
    spaced = _finite(fields, "spacings") or "spacedirections" in fields
    if not spaced and (_finite(fields, "axismins") or _finite(fields, "axismaxs")):
        return Reason.UNSUPPORTED_LAYOUT, "axis mins and axis maxs without spacings"
    lines = [f"{name}: {fields[key]}" for key, name in NRRD_KEPT.items() if fields.get(key)]
    mm = 1.0
    if units := fields.get("spaceunits") or fields.get("units"):
        words = re.findall(r'"([^"]*)"', units)
        length = _length(words[0]) if len(set(words)) == 1 else None
        if length is None:
            return Reason.UNSUPPORTED_LAYOUT, f"space units {units}"
        mm = length
        lines.append(f"space units: {units}")
    if frame := fields.get("measurementframe"):
        turned = _frame_in_lps(frame, FLIPS.get(fields.get("space", "").lower(), (1.0, 1.0)))
        if turned is None:
            return Reason.DAMAGED_HEADER, "measurement frame"
        lines.append(f"measurement frame: {turned}")
    return Kept(mm, lines=_encoded(lines))


def _finite(fields: dict[str, str], name: str) -> bool:
    """True where a field has a finite number; NaN stands for "not known" in NRRD."""
    for word in fields.get(name, "").split():
        try:
            if math.isfinite(float(word)):
                return True
        except ValueError:
            continue
    return False


def _frame_in_lps(text: str, flips: tuple[float, float]) -> str | None:
    """The columns of a measurement frame, which are vectors of the space, in LPS; None where it is none."""
    try:
        columns = [[float(v) for v in column.split(",")] for column in re.findall(r"\(([^)]*)\)", text)]
    except ValueError:
        return None
    if not columns or any(len(column) != len(columns) for column in columns):
        return None
    signs = (*flips, 1.0)[: len(columns)]
    turned = [",".join(f"{s * v + 0.0:.17g}" for s, v in zip(signs, c, strict=True)) for c in columns]
    return " ".join(f"({column})" for column in turned)


def _of_meta(text: str) -> Kept | tuple[Reason, str]:
    fields = dict(META_FIELD.findall(text))
    mm = _length(fields.get("DistanceUnits", ""))
    if mm is None:
        return Reason.UNSUPPORTED_LAYOUT, f"DistanceUnits {fields['DistanceUnits']}"
    slope, inter = float(fields.get(SLOPE, 1)), float(fields.get(OFFSET, 0))
    if not slope:
        return Reason.RESCALE, f"{SLOPE} {fields[SLOPE]}"
    lines, scale = (
        [f"{name} = {fields[name]}" for name in names if fields.get(name)]
        for names in (META_KEPT, (SLOPE, OFFSET))
    )
    return Kept(mm, slope, inter, _encoded(lines), _encoded(scale))


def _length(unit: str) -> float | None:
    """The length of a unit in mm, None where it is not known."""
    data = unit.encode("latin-1")
    try:
        unit = data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # a micro sign in Latin-1
    return TO_MM.get(unit.strip().lower())


def _encoded(lines: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(line.encode("latin-1") for line in lines)


def put_lines(path: Path, lines: tuple[bytes, ...]) -> None:
    """Puts lines into the header of an NRRD or MetaImage file that ITK has just written in one piece.

    Raises:
        OSError: the disk is full, for example.
    """
    if not lines:
        return
    new = path.with_name(f"whole{path.suffix}")
    with path.open("rb") as old, new.open("wb") as file:
        head = old.read(MAX_HEADER)
        if head[:4] == b"NRRD":
            head = b"NRRD0005" + head[8:]  # the version that has all fields
            end = head.index(b"\n\n") + 1
        else:
            end = head.index(b"\nElementDataFile") + 1
        file.write(head[:end] + b"".join(line + b"\n" for line in lines) + head[end:])
        shutil.copyfileobj(old, file, PIECE)
    os.replace(new, path)
