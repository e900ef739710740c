"""Unfinished: figures of series that are done lie on disk until the report of their run does.

A run that is killed writes no report, and whoever resumes it finds them here. Each series is a small report
of its own, so that one costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from medidiff.io.atomic import remove_leftovers
from medidiff.report.files import archive, as_json, images_of, put
from medidiff.report.pictures import Images

FOLDER = "report-unfinished"
DIGITS = 16


def key(series: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a series of a folder: its output, and which stack of it."""
    outputs = series.get("outputs") or {}
    return outputs.get("denoised"), tuple(series.get("stack") or ()), tuple(series.get("shape_zyx") or ())


def place(folder: Path, known: tuple[Any, ...]) -> Path:
    """Where the figures of a series lie.

    Args:
        folder: of the report to come.
        known: from `key`. What it says is hashed, and goes into no name of a file.
    """
    return folder / FOLDER / f"report-{sha256(repr(known).encode()).hexdigest()[:DIGITS]}.json"


def keep(folder: Path, report: Mapping[str, Any], images: Images) -> None:
    """Keeps what was found of one series; what was found of an earlier output in its place goes.

    Args:
        folder: of the report to come.
        report: content of a report.json with this series alone.
        images: what goes beside it, by ``series/slice/layer`` with its number in the run.

    Raises:
        OutputError: it cannot be written.
        OSError: what lies there cannot be removed.
    """
    file = place(folder, key(report["series"][0]))
    _remove(file)
    if images:
        put(images_of(file), archive({f"1/{k.partition('/')[2]}": image for k, image in images.items()}))
    put(file, as_json(report))  # last: it says that all is there


def clear(folder: Path, report: Mapping[str, Any]) -> None:
    """Removes what a report on disk holds; what it does not hold, as that of another run, stays.

    Args:
        folder: of the report.
        report: content of its report.json.
    """
    if not (folder / FOLDER).is_dir():
        return
    with suppress(OSError):  # it only takes space
        for series in report["series"]:
            if series.get("arms") or series["status"] == "denoised":
                _remove(place(folder, key(series)))
        remove_leftovers(folder / FOLDER)
        (folder / FOLDER).rmdir()


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    images_of(file).unlink(missing_ok=True)
