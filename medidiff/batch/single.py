"""The only series under a path: references, noise maps, phantoms."""

from __future__ import annotations

from pathlib import Path

from medidiff.batch.skips import nothing_found
from medidiff.errors import UsageError
from medidiff.io import SeriesItem, discover, read
from medidiff.volume import Volume


def find_one(path: Path, what: str, *, label_maps: bool = False) -> SeriesItem:
    """The only series under a path.

    Args:
        path: file or folder.
        what: what it is, for messages.
        label_maps: label maps and masks count too.

    Raises:
        NoImageError: no image.
        RefusedError: no image that can be processed.
        UsageError: more than one series.
    """
    found = discover([path], label_maps=label_maps)
    if not found.items:
        raise nothing_found([path], found.skipped)
    if len(found.items) > 1:
        labels = ", ".join(item.label for item in found.items[:4])
        raise UsageError(
            f"{what} must be one series, and there are {len(found.items)}", where=path, received=labels,
            hint="Give the folder or file of one of them.",
        )  # fmt: skip
    return found.items[0]


def read_one(path: Path, what: str, *, label_maps: bool = False) -> Volume:
    """Reads the only series under a path; see `find_one`."""
    return read(find_one(path, what, label_maps=label_maps))
