"""Branching vessel trees in three dimensions, drawn into planes as tapered rods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapes import Array, Plane, Point


@dataclass(frozen=True)
class Segment:
    """A straight piece of vessel: end points in mm, radii in mm, whether a bronchus runs beside it."""

    start: Array
    end: Array
    radius: float
    tip: float


def grow(
    rng: np.random.Generator,
    start: Point,
    towards: Point,
    radius: float,
    *,
    length: float = 9.0,
    finest: float = 0.45,
    spread: float = 0.55,
) -> list[Segment]:
    """Grows a tree: each branch wanders, tapers and splits in two by Murray's law, r^3 = r1^3 + r2^3.

    Args:
        rng: source of randomness.
        start: root in mm.
        towards: direction of the root.
        radius: of the root, mm.
        length: of a branch over its radius, for thick branches; fine ones are relatively longer.
        finest: branches below this radius are not drawn.
        spread: how far children turn away, in units of the direction.
    """
    segments: list[Segment] = []
    stack = [(np.array(start), _unit(np.array(towards)), radius)]
    while stack:
        point, heading, r = stack.pop()
        pieces = 3
        reach = (length * r + 5.0) * rng.uniform(0.7, 1.3) / pieces
        for _ in range(pieces):
            heading = _unit(heading + 0.16 * rng.standard_normal(3))
            after = point + reach * heading
            segments.append(Segment(point, after, r, 0.97 * r))
            point, r = after, 0.97 * r
        share = rng.uniform(0.25, 0.5)
        side = _unit(np.cross(heading, rng.standard_normal(3)))
        for part, sign in ((share, 1.0), (1.0 - share, -1.0)):
            child = r * part ** (1.0 / 3.0)
            if child >= finest:
                turn = spread * (1.6 if part < 0.4 else 1.0) * (1.0 - part)
                stack.append((point, _unit(heading + 1.5 * sign * turn * side), child))
    return segments


def chain(points: list[Point], radius: float, tip: float | None = None) -> list[Segment]:
    """A vessel through given points."""
    tip = radius if tip is None else tip
    radii = np.linspace(radius, tip, len(points))
    return [
        Segment(np.array(p), np.array(q), float(r), float(s))
        for p, q, r, s in zip(points, points[1:], radii, radii[1:], strict=False)
    ]


def draw(plane: Plane, segments: list[Segment], grown: float = 0.0, factor: float = 1.0) -> Array:
    """Distance to the nearest vessel wall ``[h, w]``, 10 mm where none is near.

    Args:
        plane: where to draw.
        segments: vessels.
        grown: added to each radius, mm.
        factor: on each radius.
    """
    out = np.full((len(plane.y), len(plane.x)), 10.0)
    for s in segments:
        widest = factor * max(s.radius, s.tip) + grown
        reach = widest + 2.0 * plane.step
        if not min(s.start[2], s.end[2]) - reach < plane.z < max(s.start[2], s.end[2]) + reach:
            continue
        rows = _window(plane.y, s.start[1], s.end[1], reach)
        columns = _window(plane.x, s.start[0], s.end[0], reach)
        along = s.end - s.start
        x = plane.x[columns][None, :] - s.start[0]
        y = plane.y[rows][:, None] - s.start[1]
        z = plane.z - s.start[2]
        t = np.clip((x * along[0] + y * along[1] + z * along[2]) / (along @ along), 0.0, 1.0)
        gap = np.sqrt((x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2)
        radius = factor * (s.radius + t * (s.tip - s.radius)) + grown
        out[rows, columns] = np.minimum(out[rows, columns], gap - radius)
    return out


def _window(axis: Array, a: float, b: float, reach: float) -> slice:
    low, high = np.searchsorted(axis, (min(a, b) - reach, max(a, b) + reach))
    return slice(int(low), int(high))


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v))
