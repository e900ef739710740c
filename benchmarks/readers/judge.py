"""What an answer is worth: each slice of it is looked up in the truth, by value and by place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from readers.scan import Array, Image

SAME = 1.0
"""Mean absolute difference up to which two slices show the same image."""
NEAR = 0.1
"""mm up to which two places are the same."""
EXACT = 1e-3
"""Error that float32 makes of a value."""


@dataclass
class Part:
    """One volume that a tool gave.

    Attributes:
        label: what sets it apart from the tool's other volumes, such as a suffix of the file name.
        slices: how many.
        steps: smallest and largest distance of neighbouring slices in mm.
        error: largest difference of a value from the truth.
        off: largest distance of a slice's corner from its true place in mm.
        invented: slices that are no slice of the scan.
        repeated: slices that come twice.
        mixed: True where it holds slices of several stacks.
        colour: True for RGB.
        other: True where it is an image that is no slice of the scan, for itself.
        tolerance: largest error that is none.
    """

    label: str
    slices: int
    steps: tuple[float, float]
    error: float = 0.0
    off: float = 0.0
    invented: int = 0
    repeated: int = 0
    mixed: bool = False
    colour: bool = False
    other: bool = False
    tolerance: float = EXACT

    @property
    def wrong(self) -> bool:
        """True where a value or a place is false."""
        return (
            self.error > self.tolerance or self.off > NEAR or self.mixed or self.invented + self.repeated > 0
        )


@dataclass
class Verdict:
    """What a tool made of a case.

    Attributes:
        parts: the volumes it gave.
        lost: slices of the scan that are in no volume.
        said: True where it warned.
        skipped: reasons of skipped files.
        failed: why it gave nothing, or less.
        crashed: True where `failed` is an accident, not an answer.
    """

    parts: list[Part] = field(default_factory=list)
    lost: int = 0
    said: bool = False
    skipped: list[str] = field(default_factory=list)
    failed: str = ""
    crashed: bool = False


def judge(truth: list[Image], volumes: list[tuple[Array, list[Array], str]]) -> Verdict:
    """Compares volumes with the slices of a case.

    Args:
        truth: every image of the case.
        volumes: values ``[x, y, z]`` (RGB: ``[x, y, z, 3]``) with one affine, or one for each z, to LPS mm,
            and a label.
    """
    scan = [image for image in truth if image.stack is not None]
    others = [image for image in truth if image.stack is None and image.stored.size]
    verdict = Verdict()
    found: set[int] = set()
    for values, affines, label in volumes:
        colour = values.ndim == 4
        grey = values.astype(float).mean(axis=3) if colour else values  # the colours of the cases are grey
        planes, places = _as_slices(grey, affines, scan[0].affine)
        part = Part(label, len(planes), _steps(places), colour=colour, tolerance=scan[0].tolerance or EXACT)
        stacks: set[int | None] = set()
        seen: set[int] = set()
        for plane, place in zip(planes, places, strict=True):
            k = _shown(plane, scan)
            if k is None and _shown(plane, others) is not None:
                stacks.add(None)
                continue
            k = _at(plane, place, scan) if k is None else k
            if k is None:
                part.invented += 1
                continue
            part.repeated += k in seen
            seen.add(k)
            stacks.add(scan[k].stack)
            part.error = max(part.error, float(np.abs(plane - scan[k].values).max()))
            part.off = max(part.off, _distance(place, scan[k]))
        part.mixed, part.other = len(stacks) > 1, stacks == {None} and not part.invented
        verdict.parts.append(part)
        found |= seen
    verdict.lost = len(scan) - len(found)
    return verdict


def _as_slices(values: Array, affines: list[Array], like: Array) -> tuple[list[Array], list[Array]]:
    """Slices ``[row, column]`` with an affine each, turned and flipped to the axes of `like`."""
    first = np.asarray(affines[0], float)
    if len(affines) > 1:  # slice by slice: the axes are those of the file
        return [values[:, :, k].T.astype(float) for k in range(values.shape[2])], [
            np.asarray(a, float) for a in affines
        ]
    cosines = np.abs((first[:3, :3] / np.linalg.norm(first[:3, :3], axis=0)).T @ like[:3, :3])
    order = [int(np.argmax(cosines[:, axis])) for axis in range(3)]
    order = order if sorted(order) == [0, 1, 2] else [0, 1, 2]
    matrix = first.copy()
    matrix[:3, :3] = first[:3, order]
    values = values.astype(float).transpose(order)
    for axis in range(3):
        if matrix[:3, axis] @ like[:3, axis] < 0:
            values = np.flip(values, axis)
            matrix[:3, 3] += matrix[:3, axis] * (values.shape[axis] - 1)
            matrix[:3, axis] *= -1
    places = []
    for k in range(values.shape[2]):
        place = matrix.copy()
        place[:3, 3] += matrix[:3, 2] * k
        places.append(place)
    return [values[:, :, k].T for k in range(values.shape[2])], places


def _difference(plane: Array, image: Image) -> float:
    """Mean absolute difference, infinite where the sizes differ."""
    if plane.shape != image.stored.shape[:2]:
        return np.inf
    values = image.values if image.values.ndim == 2 else image.values.mean(axis=2)
    return float(np.abs(plane - values).mean())


def _distance(place: Array, image: Image) -> float:
    """Largest distance in mm of the slice's corners from where they are."""
    rows, columns = image.stored.shape[:2]
    corners = np.array([[x, y, 0, 1] for x in (0, columns - 1) for y in (0, rows - 1)]).T
    return float(np.linalg.norm((place @ corners - image.affine @ corners)[:3], axis=0).max())


def _shown(plane: Array, images: list[Image]) -> int | None:
    """Which image a slice shows."""
    differences = [_difference(plane, image) for image in images]
    return int(np.argmin(differences)) if min(differences, default=np.inf) <= SAME else None


def _at(plane: Array, place: Array, scan: list[Image]) -> int | None:
    """The slice of the scan at a place."""
    places = [_distance(place, i) if plane.shape == i.stored.shape[:2] else np.inf for i in scan]
    return int(np.argmin(places)) if min(places) <= NEAR else None


def _steps(places: list[Array]) -> tuple[float, float]:
    """Smallest and largest distance of neighbours along the slice normal, mm."""
    if len(places) < 2:
        return 0.0, 0.0
    normal = np.cross(places[0][:3, 0], places[0][:3, 1])
    steps = np.diff(sorted(p[:3, 3] @ normal for p in places)) / np.linalg.norm(normal)
    return float(steps.min()), float(steps.max())


def verdict_of(
    truth: list[Image], answer: dict[str, Any], volumes: list[tuple[Array, list[Array], str]]
) -> Verdict:
    """The verdict on the answer of a tool, with what it said."""
    verdict = judge(truth, volumes)
    verdict.skipped = list(answer["skipped"])
    verdict.failed = answer["failed"]
    verdict.crashed = answer["error"] in (
        "AttributeError",
        "IndexError",
        "KeyError",
        "TypeError",
        "crash",
        "timeout",
    )
    return verdict
