"""The one item of a path, as most tests of the readers want it."""

from __future__ import annotations

from pathlib import Path

from medidiff.io import SeriesItem, discover


def only(path: Path) -> SeriesItem:
    """The one item that is found under a path."""
    (item,) = discover([path]).items
    return item
