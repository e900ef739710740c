"""The only series under a path: references, noise maps, phantoms."""

from __future__ import annotations

import re
from pathlib import Path

from medidiff.batch.skips import nothing_found
from medidiff.errors import UsageError
from medidiff.io import SeriesItem, discover, read
from medidiff.volume import Volume

MAP = re.compile(r"(medidiff |_desc-)(residual|uncertainty)")
"""Marks of what `medidiff denoise` writes beside a result."""


def is_map(item: SeriesItem) -> bool:
    """True for a residual or uncertainty map of medidiff."""
    return MAP.search(item.description if item.kind == "dicom" else item.path.name) is not None


def find_one(path: Path, what: str, *, label_maps: bool = False, result: bool = False) -> SeriesItem:
    """The only series under a path.

    Args:
        path: file or folder.
        what: what it is, for messages.
        label_maps: label maps and masks count too.
        result: it is a result of medidiff, whose residual and uncertainty maps may lie beside it.

    Raises:
        NoImageError: no image.
        RefusedError: no image that can be processed.
        UsageError: more than one series.
    """
    found = discover([path], label_maps=label_maps)
    if not found.items:
        raise nothing_found([path], found.skipped)
    items = [item for item in found.items if not (result and is_map(item))] or list(found.items)
    if len(items) > 1:
        labels = ", ".join(item.label for item in items[:4])
        raise UsageError(
            f"{what} must be one series, and there are {len(items)}", where=path, received=labels,
            hint="Give the folder or file of one of them.",
        )  # fmt: skip
    return items[0]


def read_one(path: Path, what: str, *, label_maps: bool = False, result: bool = False) -> Volume:
    """Reads the only series under a path; see `find_one`."""
    return read(find_one(path, what, label_maps=label_maps, result=result))
