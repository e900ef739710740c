"""Resumed: the report of a resumed run also holds what the runs before it found.

A run that is resumed leaves out the series that are done, and measures nothing of them. Their figures and
pictures are those of the report that lies in the folder already, or that a killed run left of single series
(`unfinished`), and go from there into the new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medidiff.errors import NoImageError
from medidiff.report.files import JSON, read
from medidiff.report.pictures import Images
from medidiff.report.unfinished import key, place
from medidiff.report.wording import moment

NUMBERED = re.compile(r"report-(\d+)\.json")
SETTINGS = ("mode", "tier", "steps", "samples", "strength", "seed")
OF_THIS_RUN = ("input", "label", "series_uid", "status", "reason", "code", "outputs", "seconds")
"""What the account of a series says of the run itself, whoever measured the series."""

SLACK_S = 60.0
"""An output may be so much younger than its report: copies of a folder have times of their own."""


def with_earlier(
    report: Mapping[str, Any], images: Images, folder: Path, outputs: Sequence[Path | None]
) -> tuple[dict[str, Any], Images]:
    """A report with figures and pictures of the series that an earlier run denoised.

    Args:
        report: content of a new report.json, with the series that are done among the others.
        images: what goes beside it.
        folder: where earlier reports lie.
        outputs: for each series the output that was there already; None for all others.

    Returns:
        report and images with what is known; a series of which nothing is known stays as it is.
    """
    series, pictures = list(report["series"]), dict(images)
    models, engines = list(report["models"]), list(report["engines"])
    open_ = {key(series[k]): k for k, path in enumerate(outputs) if path is not None}
    for file, earlier, stored in _earlier(folder, report["identified"], list(open_)):
        for number, old in enumerate(earlier["series"], start=1):
            k = open_.get(key(old))
            path = None if k is None else outputs[k]
            if k is None or path is None or not (old.get("arms") or old["status"] == "denoised"):
                continue
            del open_[key(old)]
            if not old.get("arms") or _younger(path, file):
                continue  # what lies there now is not what was measured
            series[k] = _taken(old, series[k], earlier)
            start, mine = f"{number}/", f"{k + 1}/"
            pictures |= {
                mine + name.removeprefix(start): image
                for name, image in stored.items()
                if name.startswith(start)
            }
            models += [m for m in earlier["models"] if m not in models and m["name"] == old["model"]]
            engines += [e for e in earlier["engines"] if e not in engines]
        if not open_:
            break
    return {**report, "series": series, "models": models, "engines": engines}, pictures


def _earlier(
    folder: Path, identified: bool, wanted: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Path, dict[str, Any], Images]]:
    """The reports of denoising in a folder, the newest first: those that name as much as the new one.

    What is known of a wanted series alone is newer than all others: it goes once they hold it.
    """
    if not wanted:
        return
    numbered = {int(m.group(1)): p for p in folder.glob("report-*.json") if (m := NUMBERED.fullmatch(p.name))}
    alone = (place(folder, known) for known in wanted)
    for file in (*alone, folder / JSON, *(numbered[n] for n in sorted(numbered, reverse=True))):
        with suppress(NoImageError):  # none, damaged, or of another version
            found, images = read(file)
            if found["kind"] == "denoising" and found.get("identified") == identified:
                yield file, found, images


def _younger(output: Path, report: Path) -> bool:
    """Whether an output was made after the report: by a run that left none, as when it is killed."""
    try:
        return output.stat().st_mtime > report.stat().st_mtime + SLACK_S
    except OSError:
        return True


def _taken(old: Mapping[str, Any], new: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The account of a series with the figures of an earlier run, which a note names."""
    notes = list(old["notes"])
    if old["status"] == "denoised":
        settings = earlier.get("settings") or {}
        how = ", ".join(f"{key} {settings[key]}" for key in SETTINGS if key in settings)
        notes.insert(0, f"denoised and measured by an earlier run, {moment(earlier['started'])}: {how}")
    return {**old, **{key: new[key] for key in OF_THIS_RUN}, "notes": notes}
