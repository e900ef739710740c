"""MetaImage headers, checked before ITK sees them: its parser prints what it does not understand and crashes
on some of it (NDims above 10), and keeps every line that it does not know (MetaIO documentation, MetaObject
and MetaImage fields).
"""

from __future__ import annotations

import math
import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path

from .items import Reason
from .streams import unpacks

LINE = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_ .|/()+-]{0,99}?)[ \t]*=[ \t]*(.*?)\s*")
LAST = "ElementDataFile"
MAX_LINE = 4000
MAX_LINES = 200

ONE = {"ID", "ParentID", "HeaderSize", "ElementNumberOfChannels", "CompressedDataSize", "CompressionLevel"}
"""Fields of one integer."""

REAL = {"ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"}
"""Fields of one number."""

EACH = {"Offset", "Position", "Origin", "CenterOfRotation", "ElementSpacing", "ElementSize", "DimSize"}
"""Fields of one number for each dimension."""

SQUARE = {"TransformMatrix", "Rotation", "Orientation"}
"""Fields of dimensions times dimensions numbers."""

TRUTH = {"BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData"}
TRUE = ("true", "t", "1")
FALSE = ("false", "f", "0")
TYPES = {f"MET_{t}" for t in ("CHAR", "UCHAR", "SHORT", "USHORT", "INT", "UINT", "LONG", "ULONG", "LONG_LONG",
                              "ULONG_LONG", "FLOAT", "DOUBLE")}  # fmt: skip


def problem(head: bytes) -> tuple[Reason, str] | None:
    """What is wrong with a MetaImage header, None where it can be given to ITK.

    Args:
        head: the first bytes of the file, the whole header among them.
    """
    fields: dict[str, str] = {}
    for line in filter(bytes.strip, head.split(b"\n")[:MAX_LINES]):
        found = LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if found is None:
            return Reason.DAMAGED_HEADER, "a line that is no field"
        name = found[1].decode("ascii")
        if name in fields:
            return Reason.DAMAGED_HEADER, f"{name} twice"
        fields[name] = found[2].decode("utf-8", "replace")
        if name == LAST:
            break
    wrong = [name for name in ("NDims", "DimSize", "ElementType", LAST) if not fields.get(name)]
    wrong += [name for name, value in fields.items() if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)]
    if wrong:
        return Reason.DAMAGED_HEADER, wrong[0]
    if fields["NDims"] not in ("2", "3"):
        dimensions = fields["NDims"].isdecimal() and 0 < int(fields["NDims"]) < 100
        return Reason.UNSUPPORTED_LAYOUT if dimensions else Reason.DAMAGED_HEADER, f"NDims {fields['NDims']}"
    if fields["ElementType"] not in TYPES:
        array = fields["ElementType"].removesuffix("_ARRAY") in TYPES
        return Reason.UNSUPPORTED_LAYOUT if array else Reason.DAMAGED_HEADER, fields["ElementType"]
    wrong = [name for name, value in fields.items() if not _fits(name, value, int(fields["NDims"]))]
    if not wrong and fields[LAST] == "LOCAL":
        if int(fields.get("HeaderSize", 0)) > 0:
            wrong = ["HeaderSize"]
        elif fields.get("CompressedData", "").lower() in TRUE and not int(
            fields.get("CompressedDataSize", 0)
        ):
            wrong = ["CompressedDataSize"]
    if not wrong and fields.get("BinaryData", "").lower() in FALSE:
        return Reason.UNSUPPORTED_LAYOUT, "voxels written as text"
    return (Reason.DAMAGED_HEADER, wrong[0]) if wrong else None


def _fits(name: str, value: str, dimensions: int) -> bool:
    """True where a value is what its field must have."""
    if name in TRUTH:
        return value.lower() in (*TRUE, *FALSE)
    count = (
        1 if name in ONE | REAL else dimensions if name in EACH else dimensions**2 if name in SQUARE else None
    )
    if count is None:
        return True
    words = value.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    whole = name in ONE or name == "DimSize"
    if len(numbers) != count or not all(map(math.isfinite, numbers)) or "_" in value:
        return False
    return not whole or all(re.fullmatch(r"[+-]?\d{1,18}", word) for word in words)


def is_whole(path: Path, size: int) -> bool:
    """True where the packed voxels of a MetaImage file are whole and unpack to `size` bytes at least.

    ITK would print what is wrong, and give the rest of the image as it finds the memory.

    Args:
        path: a file without `problem`, on disk.
        size: bytes of the image.
    """
    with path.open("rb") as file:
        fields = {}
        while LAST not in fields:
            name, _, value = file.readline(MAX_LINE).decode("utf-8", "replace").partition("=")
            fields[name.strip()] = value.strip()
        local = fields[LAST] == "LOCAL"
        with nullcontext(file) if local else (path.parent / fields[LAST]).open("rb") as voxels:
            voxels.seek(max(int(fields.get("HeaderSize", 0)), 0), os.SEEK_CUR)
            left = int(fields.get("CompressedDataSize", 0)) or sys.maxsize
            return unpacks(voxels, size, left)
