"""Panels: the stored slices as pictures in the page, within its size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medidiff.report.encode import grey, packed, png
from medidiff.report.pictures import Images, values
from medidiff.report.wording import number as printed

PAGE_BYTES = 14_000_000
"""Pictures of a page take at most this, so that the whole stays below 15 MB."""

WIDEST, SMALL, THUMBNAIL = 768, 256, 96
"""Columns of the pictures that lie beside each other; the viewer has all of them."""

Panel = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """Pictures of one series as the page shows them.

    Attributes:
        number: of the series, counted from 1.
        count: slices of the series.
        first: the slice that is shown first.
        aspect: width over height.
        slices: for each slice its number, why it was chosen, its panels and the squares marked on it.
        data: JSON for the viewer, base64 inside; None where only the panels are shown.
        why: how the slices were chosen.
        left_out: what was left out to keep the page small; "" for nothing.
    """

    number: int
    count: int
    first: int
    aspect: float
    slices: list[dict[str, Any]]
    data: str | None
    why: str
    left_out: str = ""

    @property
    def size(self) -> int:
        """Bytes that the pictures take."""
        return len(self.data or "") + sum(len(p["uri"]) for one in self.slices for p in one["panels"])


def show(number: int, series: Mapping[str, Any], images: Images, room: int) -> Shown | None:
    """The pictures of a series in as much detail as there is room for.

    Args:
        number: of the series, counted from 1.
        series: its part of report.json.
        images: what lies beside it.
        room: bytes.

    Returns:
        None where the series has no pictures, or they are not at hand.
    """
    picture = series.get("pictures")
    if not picture or not any(key.startswith(f"{number}/") for key in images):
        return None
    found = None
    for found in _levels(number, series, images):
        if found.size <= room:
            break
    return found


def panels(
    number: int, series: Mapping[str, Any], images: Images, slice_number: int, width: int
) -> list[Panel]:
    """The panels of one slice: layer by layer a picture with its name, window and description."""
    picture = series["pictures"]
    unit = picture["unit"]
    found = []
    for layer in picture["layers"]:
        window = layer.get("window") or picture["windows"][0]
        image = values(picture, images, number, slice_number, layer["name"])
        low, high = (ends(window["centre"] + side * window["width"] / 2) for side in (-1, 1))
        shown = grey(image, window["centre"], window["width"])
        found.append(
            {
                "name": layer["name"],
                "kind": layer["kind"],
                "title": layer["title"],
                "low": low,
                "high": f"{high} {unit}",
                "uri": png(shown, colour=layer["kind"] == "uncertainty", width=width),
                "alt": f"{layer['title']}, slice {slice_number}, shown from {low} to {high} {unit}",
            }
        )
    return found


def aspect(picture: Mapping[str, Any]) -> float:
    """Width over height of the slices, from their size in mm."""
    return float(picture["columns"] * picture["column_mm"] / (picture["rows"] * picture["row_mm"]))


def squares(picture: Mapping[str, Any], marks: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """Where marks (first row, first column, side) lie on a picture, in per cent of it."""
    rows, columns = picture["rows"] / 100, picture["columns"] / 100
    return [
        {"left": column / columns, "top": row / rows, "width": side / columns, "height": side / rows}
        for row, column, side in marks
    ]


def ends(value: float) -> str:
    """An end of a window, with four digits as the viewer prints it."""
    return printed(float(f"{value:.4g}"), "g")


def _levels(number: int, series: Mapping[str, Any], images: Images) -> Iterator[Shown]:
    """The pictures of a series in less and less detail."""
    picture = series["pictures"]
    every = [one["number"] for one in picture["slices"]]
    some = [one["number"] for one in picture["slices"] if {"median", "worst"} & set(one["why"])] or every[:1]
    hint = f"medidiff report with --series {number} makes a page that shows everything."
    for chosen, width, whole, what in (
        (every, WIDEST, True, ""),
        (some, WIDEST, True, f"{len(some)} of {len(every)} chosen slices are shown"),
        (some, SMALL, False, f"{len(some)} of {len(every)} chosen slices are shown, small and in one window"),
        (some[:1], THUMBNAIL, False, f"1 of {len(every)} chosen slices is shown, as a thumbnail"),
    ):
        median = [o["number"] for o in picture["slices"] if "median" in o["why"] and o["number"] in chosen]
        yield Shown(
            number,
            int(series["shape_zyx"][0]),
            (median or chosen)[0],
            aspect(picture),
            [_slice(number, series, images, n, width) for n in chosen],
            _data(number, picture, images, chosen) if whole else None,
            _why(picture),
            f"{what}, to keep this page small; {hint}" if what else "",
        )


def _slice(
    number: int, series: Mapping[str, Any], images: Images, slice_number: int, width: int
) -> dict[str, Any]:
    picture = series["pictures"]
    found = next(one for one in picture["slices"] if one["number"] == slice_number)
    shown = panels(number, series, images, slice_number, width)
    return {
        "number": slice_number,
        "why": found["why"],
        "marks": squares(picture, found["marks"]),
        "panels": shown,
    }


def _data(number: int, picture: Mapping[str, Any], images: Images, chosen: Sequence[int]) -> str:
    """What the viewer needs, as JSON that cannot end its ``<script>`` element."""
    stored = [layer["name"] for layer in picture["layers"] if layer["kind"] != "difference"]
    content = {
        "unit": picture["unit"],
        "rows": picture["rows"],
        "columns": picture["columns"],
        "aspect": aspect(picture),
        "windows": picture["windows"],
        "layers": picture["layers"],
        "slices": [
            {"number": n, "layers": {name: packed(images[f"{number}/{n}/{name}"]) for name in stored}}
            for n in chosen
        ],
    }
    return json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")


def _why(picture: Mapping[str, Any]) -> str:
    """How the slices were chosen, a sentence or two."""
    words = {word for one in picture["slices"] for word in one["why"]}
    parts = []
    if words & {"best", "worst"}:
        parts.append(f"Best, median and worst slice by {picture['rank']}.")
    elif "median" in words:
        parts.append("The middle slice.")
    if "asked for" in words:
        parts.append("Slices that were asked for.")
    if "flagged" in words:
        parts.append("Flagged slices; squares mark where the difference holds structure.")
    return " ".join(parts)
