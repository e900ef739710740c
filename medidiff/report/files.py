"""Files: a report on disk, and back again.

``report.json`` is the report; ``report.csv`` and ``report.html`` are other views of it, and
``report-images.npz`` holds the slices that the page shows. All of them can be made again from the first and
the last.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from medidiff.errors import NoImageError, OutputError
from medidiff.io.atomic import reported, staged
from medidiff.report.head import FORMAT
from medidiff.report.pictures import Images

JSON, CSV, HTML, IMAGES = "report.json", "report.csv", "report.html", "report-images.npz"

SERIES_PAGE = re.compile(r"report-series-\d+\.html")

COMMON = {"started": str, "seconds": (int, float), "versions": dict, "platform": str}
RUN = {**COMMON, "models": list, "engines": list, "series": list, "skipped_files": list}
PARTS: dict[str, dict[str, Any]] = {
    "denoising": RUN,
    "evaluation": RUN,
    "phantom": {"started": str, "versions": dict, "phantom": dict, "findings": list},
}
"""What a report of each kind cannot do without, and the type that it has."""


def check(path: Path) -> None:
    """Makes sure that no file of somebody else is where a report goes.

    Args:
        path: the JSON file.

    Raises:
        OutputError: there is one.
    """
    if not path.exists():
        return
    try:
        ours = json.loads(path.read_text(encoding="utf-8")).get("tool") == "medidiff"
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise OutputError(
            "is not a report of medidiff and stays as it is", where=path, hint="Choose another place."
        )


def write(
    folder: Path, report: Mapping[str, Any], images: Images, *, overwrite: bool, page: bool
) -> list[Path]:
    """Writes the report of a run; an earlier one is kept under a number, or replaced with `overwrite`.

    Args:
        folder: where to; made if need be.
        report: content of report.json.
        images: what goes beside it.
        overwrite: replace an earlier report of medidiff.
        page: also write the table and the page.

    Returns:
        the files written, report.json first and the page last.

    Raises:
        OutputError: a foreign file is in the way, or a file cannot be written.
    """
    check(folder / JSON)
    files = {JSON: as_json(report)}
    if page:
        files |= {IMAGES: archive(images)} if images else {}
        files |= views(report, images)
    if (folder / JSON).exists() and not overwrite:
        _keep(folder)
    for old in (*(folder / name for name in {CSV, HTML, IMAGES} - set(files)), *_pages(folder)):
        with reported(old):
            old.unlink(missing_ok=True)  # it belongs to the report that is replaced
    return [put(folder / name, content) for name, content in files.items()]


def views(report: Mapping[str, Any], images: Images) -> dict[str, bytes]:
    """The table and the page of a report, by file name."""
    from medidiff.report.page import run_page
    from medidiff.report.phantom_page import phantom_page
    from medidiff.report.table import phantom_table, table

    if report["kind"] == "phantom":
        return {CSV: _bytes(phantom_table(report)), HTML: _bytes(phantom_page(report))}
    return {CSV: _bytes(table(report)), HTML: _bytes(run_page(report, images))}


def put(path: Path, content: bytes) -> Path:
    """Writes a file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with staged(path, folder=False, overwrite=True, inputs=()) as new:
        new.write_bytes(content)
    return path


def as_json(report: Mapping[str, Any]) -> bytes:
    """The text of a report.json."""
    return (json.dumps(report, indent=2, allow_nan=False) + "\n").encode()


def _bytes(text: str) -> bytes:
    """UTF-8, with question marks for file names that are no text."""
    return text.encode(errors="replace")


def read(path: Path) -> tuple[dict[str, Any], Images]:
    """A report and its images, which are empty where they were lost.

    Args:
        path: the folder of a report, or the JSON file itself.

    Raises:
        NoImageError: there is no report of this version of medidiff, or it or its images are damaged.
    """
    file = path / JSON if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        ours = report["tool"] == "medidiff"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise NoImageError("there is no report of medidiff", where=file)
    if report.get("format") != FORMAT:
        raise NoImageError(
            "is a report of another version of medidiff", where=file,
            received=f"format {report.get('format')}", hint="Run that version, or denoise again.",
        )  # fmt: skip
    _check_whole(report, file)
    return report, _images(images_of(file))


def images_of(file: Path) -> Path:
    """Where the images of a report lie: ``report-images-1.npz`` beside ``report-1.json``."""
    return file.with_name(file.name.replace("report", "report-images", 1)).with_suffix(".npz")


def _check_whole(report: Mapping[str, Any], file: Path) -> None:
    """Refuses a report that lacks a part of its kind."""
    kind = report.get("kind")
    if not isinstance(kind, str) or kind not in PARTS:
        raise NoImageError(
            "is not the report of a run, an evaluation or a phantom", where=file, received=f"kind {kind}"
        )
    wrong = [name for name, kind_of in PARTS[kind].items() if not isinstance(report.get(name), kind_of)]
    for number, series in enumerate(report.get("series", ()) if not wrong else (), start=1):
        words = series if isinstance(series, dict) else {}
        needed = ("label",) if words.get("arms") else ("label", "status", "reason")
        if not all(isinstance(words.get(word), str) for word in needed):
            wrong.append(f"series {number}")
    if wrong:
        raise NoImageError(
            f"is a damaged report: {', '.join(wrong)} is missing or no such thing", where=file,
            hint="Run the command again that made it.",
        )  # fmt: skip


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Tells whoever makes something of a report that it is damaged, where a value deep inside is missing.

    Args:
        file: the report.json, or its folder.

    Raises:
        NoImageError: a value is missing or of another type.
    """
    from jinja2 import UndefinedError

    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, UndefinedError) as error:
        raise NoImageError(
            "is a damaged report: a value is missing or no such thing",
            where=file / JSON if file.is_dir() else file,
            received=f"{type(error).__name__} {' '.join(str(error).split())[:120]}",
            hint="Run the command again that made it.",
        ) from error


def _images(path: Path) -> Images:
    """The images beside a report; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except MemoryError:
        raise
    except Exception as error:  # zip, deflate and npy each have their own
        raise NoImageError(
            "is damaged, so the pictures of the report cannot be read", where=path,
            received=" ".join(str(error).split())[:200] or type(error).__name__,
            hint="Make the report again, or move this file away: the page then has no pictures.",
        ) from error  # fmt: skip


def _keep(folder: Path) -> None:
    """Gives an earlier report, with all that belongs to it, the next free number."""
    k = 1
    while (folder / f"report-{k}.json").exists():
        k += 1
    with reported(folder):
        for name in (JSON, CSV, HTML, IMAGES):
            old = folder / name
            if old.exists():
                old.rename(folder / _numbered(name, k))
        for page in _pages(folder):
            page.rename(folder / page.name.replace("report", f"report-{k}", 1))


def _pages(folder: Path) -> list[Path]:
    """Pages of single series of the report in a folder, as `medidiff report --series` makes them."""
    return [page for page in folder.glob("report-series-*.html") if SERIES_PAGE.fullmatch(page.name)]


def _numbered(name: str, k: int) -> str:
    """``report-1.json``, ``report-images-1.npz``."""
    stem, extension = name.split(".")
    return f"{stem}-{k}.{extension}"


def archive(images: Images) -> bytes:
    """The images as an npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, **dict(sorted(images.items())))  # type: ignore[arg-type]
    return file.getvalue()
