"""Building blocks of the phantoms: smooth random fields, implicit shapes in mm, anti-aliased painting.

A shape is an array of approximate signed distances in mm, negative inside. Everything is evaluated plane by
plane on a regular grid, in double precision, from a seed: the same seed gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float, float]


@dataclass
class Plane:
    """One infinitely thin axial plane, LPS mm.

    Attributes:
        x, y: regular coordinates of columns and rows.
        z: height.
        step: sample distance in mm.
        thick: height in mm for which this plane stands.
        wx, wy: ``[h, w]`` coordinates in which organs are evaluated: the regular ones, or warped ones.
    """

    x: Array
    y: Array
    z: float
    step: float
    thick: float
    wx: Array
    wy: Array

    @classmethod
    def regular(cls, shape: tuple[int, int], step: float, z: float, thick: float) -> Plane:
        """A grid centred on the origin."""
        y, x = ((np.arange(n) - (n - 1) / 2.0) * step for n in shape)
        wy, wx = np.meshgrid(y, x, indexing="ij")
        return cls(x, y, z, step, thick, wx, wy)

    def warp(self, dx: Array, dy: Array) -> None:
        """Displaces the coordinates in which organs are evaluated."""
        self.wx, self.wy = self.wx + dx, self.wy + dy

    def cover(self, shape: Array) -> Array:
        """Share of each sample that lies inside a shape: edges that lean are wider, by the plane's height."""
        dy, dx = np.gradient(shape, self.step)
        flat = np.minimum(dx * dx + dy * dy, 1.0)
        width = self.step * np.sqrt(flat) + self.thick * np.sqrt(1.0 - flat)
        return np.asarray(np.clip(0.5 - shape / np.maximum(width, self.step), 0.0, 1.0))

    def paint(self, image: Array, shape: Array, value: Array | float, amount: float = 1.0) -> None:
        """Blends `value` into `image` inside `shape`."""
        share = amount * self.cover(shape)
        image += share * (value - image)


class Field:
    """Zero-mean Gaussian random field of unit SD: white noise on a lattice seen through Gaussians.

    Args:
        seed: of the lattice values.
        scale: lattice constant in mm; the correlation length is about as long.
        stretch: factors on the scale along (x, y, z).
        reach: half width in mm of the box in which the field can be evaluated.
    """

    def __init__(
        self, seed: int, scale: float, stretch: Point = (1.0, 1.0, 1.0), reach: float = 200.0
    ) -> None:
        self.steps = tuple(scale * s for s in stretch)
        self.nodes = [np.arange(-reach, reach + s, s) for s in self.steps]
        counts = [len(n) for n in self.nodes]
        # Lattice planes are drawn when they are needed: a fine field has too many to keep.
        self.seed, self.counts = seed, counts

    def __call__(self, plane: Plane) -> Array:
        """Values ``[h, w]``."""
        weight = self._weights(2, np.array([plane.z]))[0]
        used = np.flatnonzero(weight > 1e-4)
        lattice = sum(weight[k] * self._layer(int(k)) for k in used) / np.sqrt((weight[used] ** 2).sum())
        return np.asarray(self._weights(1, plane.y) @ lattice @ self._weights(0, plane.x).T)

    def gradient(self, plane: Plane) -> Array:
        """Length of the gradient ``[h, w]`` per mm."""
        half = 0.25 * min(self.steps)
        above, below = (self(replace(plane, z=plane.z + h)) for h in (half, -half))
        dy, dx = np.gradient(self(plane), plane.step)
        return np.asarray(np.sqrt(dx**2 + dy**2 + ((above - below) / (2.0 * half)) ** 2))

    def _layer(self, k: int) -> Array:
        rng = np.random.default_rng([self.seed, k])
        return rng.standard_normal((self.counts[1], self.counts[0]))

    def _weights(self, axis: int, at: Array) -> Array:
        """Gaussian weights ``[len(at), nodes]`` of unit power."""
        distance = (at[:, None] - self.nodes[axis][None, :]) / (0.75 * self.steps[axis])
        weight = np.exp(-0.5 * distance**2)
        return np.asarray(weight / np.sqrt((weight**2).sum(1, keepdims=True)))


def ellipsoid(plane: Plane, centre: Point, radii: Point, turn: float = 0.0) -> Array:
    """Approximate distance to an ellipsoid, turned by `turn` degrees about z."""
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    x, y = plane.wx - centre[0], plane.wy - centre[1]
    u, v, w = c * x + s * y, c * y - s * x, plane.z - centre[2]
    a, b, d = radii
    if abs(w) > 1.3 * d + 12.0:
        return np.full(x.shape, abs(w) - d)
    k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / d) ** 2)
    k1 = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2 + (w / d**2) ** 2)
    return np.asarray(k0 * (k0 - 1.0) / np.maximum(k1, 1e-6))


def rod(plane: Plane, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Distance to a line in the plane thickened to `radius`."""
    x, y = plane.wx - start[0], plane.wy - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    return np.asarray(np.hypot(x - t * dx, y - t * dy) - radius)


def union(*shapes: Array) -> Array:
    """Inside any."""
    return reduce(np.minimum, shapes)


def both(*shapes: Array) -> Array:
    """Inside all."""
    return reduce(np.maximum, shapes)


def melt(a: Array, b: Array, width: float) -> Array:
    """Union with a fillet of `width` mm (polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / width, 0.0, 1.0)
    return np.asarray(b + (a - b) * h - width * h * (1.0 - h))
