"""Pictures: the slices that a report shows, kept in whole steps so that any window can be set later.

They lie beside the report in one `report-images.npz`: numpy arrays are exact, need no decoder, and one
file is harder to lose than a folder. The page is made from it and from report.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import PixelError
from medidiff.evaluation.region import body
from medidiff.report.orientation import Orientation
from medidiff.volume import HU_RANGE, FloatArray, Volume

Steps = NDArray[np.int16]
Images = dict[str, Steps]
"""Slice pictures by key, ``series/slice/layer``."""

ABDOMEN_WINDOW, LUNG_WINDOW = (50.0, 400.0), (-600.0, 1500.0)
LUNG, SOFT, LUNG_SHARE = (-950.0, -600.0), (-200.0, 200.0), 0.25

MR_STEPS = 4000
"""Steps between 0 and the 99.9th percentile of an image that is not in HU."""
SD_STEPS = 250
RANGE = (-32767, 32767)
TOP_PERCENTILE, SHOWN_PERCENTILE = 99.9, 99.5
DIFFERENCE_SDS = 4.0
"""Differences are shown from minus to plus so many noise SDs."""
TITLES = {
    "noisy": "Before", "denoised": "After", "difference": "Before minus after",
    "uncertainty": "Uncertainty (SD)", "reference": "Reference",
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A slice that is shown.

    Attributes:
        index: counted from 0.
        why: ``"best"``, ``"median"``, ``"worst"``, ``"flagged"`` or ``"asked for"``; several may hold.
    """

    index: int
    why: tuple[str, ...]


def not_there(wanted: Sequence[int], count: int) -> tuple[str, ...]:
    """A note about slices that were asked for, counted from 1, and do not exist."""
    absent = ", ".join(str(n) for n in wanted if not 1 <= n <= count)
    return (f"slices asked for that are not there: {absent} (there are {count})",) if absent else ()


def standard_window(volume: Volume, shown: Sequence[int]) -> tuple[float, float] | None:
    """Centre and width in which CT slices are shown first: lung where the body has much of it, else abdomen.

    Args:
        volume: with little noise.
        shown: slices.

    Returns:
        None for anything but HU.
    """
    if volume.unit != "HU":
        return None
    padding = None if volume.padding is None else volume.padding[list(shown)]
    part = replace(volume, array=volume.array[list(shown)], padding=padding, adjacent=None)
    try:
        inside = part.array[body(part).inside]
    except PixelError:
        return ABDOMEN_WINDOW
    lung, soft = (np.count_nonzero((inside > low) & (inside < high)) for low, high in (LUNG, SOFT))
    return LUNG_WINDOW if lung > LUNG_SHARE * (lung + soft) else ABDOMEN_WINDOW


def choose(
    scores: Sequence[float | None],
    wanted: Sequence[int] = (),
    flagged: Sequence[int] = (),
    most_flagged: int = 2,
) -> tuple[Chosen, ...]:
    """Best, median and worst slice, those that the user asked for, and the first flagged ones.

    Args:
        scores: one for each slice, higher is better; None or NaN where there is none.
        wanted: indices that the user asked for, counted from 0.
        flagged: indices of flagged slices, the most important first.
        most_flagged: how many of those.
    """
    rank = [(s, k) for k, s in enumerate(scores) if s is not None and np.isfinite(s)]
    rank.sort(reverse=True)
    why: dict[int, list[str]] = {}
    if len(rank) == 1 or not rank and len(scores):
        why[rank[0][1] if rank else len(scores) // 2] = ["median"]
    elif rank:
        for word, place in (("best", 0), ("median", len(rank) // 2), ("worst", len(rank) - 1)):
            why.setdefault(rank[place][1], []).append(word)
    for word, indices in (("asked for", wanted), ("flagged", flagged[:most_flagged])):
        for k in indices:
            if 0 <= k < len(scores):
                why.setdefault(k, []).append(word)
    for k in flagged:
        if k in why and "flagged" not in why[k]:
            why[k].append("flagged")
    return tuple(Chosen(k, tuple(why[k])) for k in sorted(why))


def take(
    number: int,
    chosen: Sequence[Chosen],
    volumes: Mapping[str, FloatArray],
    like: Volume,
    differences: Mapping[str, tuple[str, str]],
    difference_limit: float,
    titles: Mapping[str, str] | None = None,
    window: tuple[float, float] | None = None,
    marks: Mapping[int, Sequence[tuple[int, int, int]]] | None = None,
) -> tuple[dict[str, Any], Images]:
    """The chosen slices of one series.

    Args:
        number: of the series, counted from 1.
        chosen: from `choose`.
        volumes: layer name to array ``[z, y, x]``; the layer ``uncertainty`` is an SD.
        like: gives unit and geometry.
        differences: name of a difference layer to the two layers, first minus second.
        difference_limit: differences are shown from minus to plus this.
        titles: how layers are called on the page, where not as in `TITLES`.
        window: centre and width of the standard window; None for the modality's.
        marks: slice index to squares that are drawn on its differences: first row, first column, side.

    Returns:
        what goes into report.json, and the arrays that go beside it.
    """
    turn = Orientation.of(like.affine)
    row_mm, column_mm = turn.pixel_mm(*like.spacing[1:])
    main = next(iter(volumes))
    scales = {
        name: _scale(name, array[[c.index for c in chosen]], like.unit) for name, array in volumes.items()
    }
    layers: list[dict[str, Any]] = []
    names = {**TITLES, **(titles or {})}
    for name in volumes:
        kind = "uncertainty" if name == "uncertainty" else "image"
        step, offset, top = scales[name]
        layers.append({"name": name, "title": names[name], "kind": kind, "step": step, "offset": offset})
        if kind == "uncertainty":
            layers[-1]["window"] = {"centre": top / 2, "width": top}
    for name, (first, second) in differences.items():
        layers.append({
            "name": name, "title": names[name], "kind": "difference", "of": [first, second],
            "window": {"centre": 0.0, "width": 2 * _rounded(difference_limit)},
        })  # fmt: skip
    images: Images = {}
    slices = []
    stored = volumes[main].shape[1:]
    for c in chosen:
        for name, array in volumes.items():
            step, offset, _ = scales[name]
            image = array[c.index] if name == "uncertainty" else _emptied(array[c.index], like, c.index)
            images[f"{number}/{c.index + 1}/{name}"] = turn.apply(_stored(image, step, offset))
        squares = [turn.square(*mark, *stored) for mark in (marks or {}).get(c.index, ())]
        slices.append({"number": c.index + 1, "why": list(c.why), "marks": squares})
    rows, columns = turn.apply(volumes[main][0]).shape
    content = {
        "unit": like.unit,
        "rows": rows,
        "columns": columns,
        "row_mm": row_mm,
        "column_mm": column_mm,
        "edges": list(turn.edges),
        "windows": _windows(like, scales[main][2], window),
        "layers": _in_order(layers),
        "slices": slices,
    }
    return content, images


def values(
    picture: Mapping[str, Any], images: Mapping[str, Steps], number: int, slice_number: int, layer: str
) -> FloatArray:
    """Real-world values ``[y, x]`` of a layer of a stored slice, differences included."""
    found = next(one for one in picture["layers"] if one["name"] == layer)
    if found["kind"] == "difference":
        first, second = (values(picture, images, number, slice_number, name) for name in found["of"])
        return first - second
    stored = images[f"{number}/{slice_number}/{layer}"]
    return (stored.astype(np.float32) * np.float32(found["step"]) + np.float32(found["offset"])).astype(
        np.float32
    )


def _windows(like: Volume, top: float, standard: tuple[float, float] | None) -> list[dict[str, Any]]:
    """The presets, the standard one first."""
    if like.unit == "HU":
        presets = [
            ("Abdomen", *ABDOMEN_WINDOW),
            ("Lung", *LUNG_WINDOW),
            ("Bone", 500.0, 2000.0),
            ("Brain", 40.0, 80.0),
        ]
    else:
        top = _rounded(top)
        presets = [("Full", top / 2, top), ("Dark", top / 4, top / 2), ("Bright", 3 * top / 4, top / 2)]
    if standard is not None:
        same = [p for p in presets if p[1:] == standard]
        presets = [same[0] if same else ("Protocol", *standard), *(p for p in presets if p[1:] != standard)]
    return [{"name": n, "centre": c, "width": w} for n, c, w in presets]


def _scale(name: str, shown: FloatArray, unit: str) -> tuple[float, float, float]:
    """Step, offset and upper end of the standard window of a layer."""
    finite = shown[np.isfinite(shown)]
    top = float(np.percentile(finite, TOP_PERCENTILE)) if finite.size else 1.0
    if name == "uncertainty":
        top = max(_rounded(top), 1e-6)
        return top / SD_STEPS, 0.0, top
    if unit == "HU":
        return 1.0, 0.0, top
    end = float(np.percentile(finite[finite > 0], SHOWN_PERCENTILE)) if (finite > 0).any() else max(top, 1e-6)
    return max(top, 1e-6) / MR_STEPS, 0.0, end


def _emptied(image: FloatArray, like: Volume, k: int) -> FloatArray:
    """Slice k with air, or 0, where there is no image: in CT the 0 that stands for NaN is water."""
    if like.padding is None or not like.padding[k].any():
        return image
    empty = np.float32(HU_RANGE[0] if like.unit == "HU" else 0.0)
    return np.where(like.padding[k], np.minimum(image, empty), image)


def _stored(image: FloatArray, step: float, offset: float) -> Steps:
    """Whole steps, int16; what is not a number becomes the lowest value."""
    steps = np.nan_to_num(
        (image.astype(np.float64) - offset) / step, nan=RANGE[0], posinf=RANGE[1], neginf=RANGE[0]
    )
    return np.clip(np.rint(steps), *RANGE).astype(np.int16)


def _in_order(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pictures first, then differences, then uncertainty."""
    order = {"image": 0, "difference": 1, "uncertainty": 2}
    return sorted(layers, key=lambda one: order[one["kind"]])


def _rounded(value: float) -> float:
    """Two significant digits: the ends of a window are printed."""
    return float(f"{value:.2g}")
