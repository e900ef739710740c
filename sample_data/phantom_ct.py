"""A synthetic adult from the lower chest to the upper abdomen, in HU, portal venous phase.

Coordinates are LPS mm: x to the patient's left, y to the back, z to the head; z = 0 lies between the domes of
the diaphragm and the kidneys. `Body` holds the fields and vessel trees, `render` makes one slice.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import phantom_abdomen
import vessels
from phantom_bones import paint_ribs, paint_spine
from scipy import ndimage
from shapes import Array, Field, Plane, both, ellipsoid, melt, rod, union

SEED = 20240
SHAPE = (384, 384)
PIXEL_MM = 0.9
SLICE_MM = 5.0
HEIGHTS = tuple(-28.0 + SLICE_MM * k for k in range(12))
"""Centres of the slices, mm."""

FINE = 2
"""Samples per pixel in each direction."""

DEPTHS = (-5.0 / 3.0, 0.0, 5.0 / 3.0)
"""Heights of the planes that make one slice, mm from its centre."""

BLUR_MM = 0.6
"""SD of the point spread."""

SIDE = np.array([0.72, 0.62, 0.3])
"""Direction from a lung artery to its bronchus."""

FAT, MUSCLE, BLOOD = -104.0, 62.0, 152.0


class Body:
    """The patient: seeded fields and trees; `render` is a function of it and the height alone."""

    def __init__(self, seed: int = SEED) -> None:
        scales = {"large": 34.0, "medium": 15.0, "small": 7.0, "tiny": 3.2, "grain": 1.6}
        self.fields = {name: Field(seed + k, s) for k, (name, s) in enumerate(scales.items(), 1)}
        self.fields["large2"] = Field(seed + 11, 34.0)
        self.fields["septa"] = Field(seed + 12, 9.0, (1.0, 1.0, 2.0))
        self.fields["strands"] = Field(seed + 13, 2.6, (2.6, 0.8, 6.0))
        self.fields["haze"] = Field(seed + 14, 11.0)
        self.lung_vessels = self._lung_trees(np.random.default_rng([seed, 1]))
        self.abdomen = phantom_abdomen.Trees.grow(np.random.default_rng([seed, 2]))

    @staticmethod
    def _lung_trees(rng: np.random.Generator) -> list[vessels.Segment]:
        """Arteries and veins of both lungs: they enter at the hila, above the field of view."""
        roots = [
            ((-36.0, 14.0, 62.0), (-0.5, 0.6, -1.0), 5.6), ((-38.0, -8.0, 56.0), (-0.8, -0.5, -0.8), 5.0),
            ((-34.0, 24.0, 48.0), (-0.4, 0.9, -0.7), 5.2), ((-42.0, 6.0, 50.0), (-1.0, 0.3, -0.6), 5.2),
            ((-40.0, 0.0, 48.0), (-0.9, -0.9, -0.4), 4.8), ((-34.0, 30.0, 40.0), (-0.3, 0.8, -1.0), 4.6),
            ((-36.0, 20.0, 44.0), (-1.0, 0.8, -0.9), 4.8), ((-44.0, -20.0, 44.0), (-0.6, -1.0, -0.5), 4.4),
            ((48.0, 22.0, 62.0), (0.5, 0.6, -1.0), 5.4), ((60.0, 8.0, 54.0), (0.9, -0.1, -0.7), 4.8),
            ((40.0, 30.0, 46.0), (0.2, 0.9, -0.9), 5.0), ((70.0, 0.0, 46.0), (0.9, -0.6, -0.6), 4.4),
            ((46.0, 30.0, 42.0), (0.8, 0.8, -0.8), 4.8), ((62.0, 18.0, 44.0), (1.0, 0.3, -0.5), 4.6),
        ]  # fmt: skip
        trees: list[vessels.Segment] = []
        for start, towards, radius in roots:
            trees += vessels.grow(rng, start, towards, radius, length=4.2, finest=0.5, spread=0.6)
        return trees

    def render(self, height: float) -> Array:
        """One slice: planes at `DEPTHS`, averaged, blurred, binned to pixels.

        Returns:
            float64 ``[384, 384]`` HU.
        """
        shape = (SHAPE[0] * FINE, SHAPE[1] * FINE)
        step = PIXEL_MM / FINE
        planes = [
            _Slice(self, Plane.regular(shape, step, height + d, SLICE_MM / len(DEPTHS))).hu for d in DEPTHS
        ]
        mean = ndimage.gaussian_filter(np.mean(planes, axis=0), BLUR_MM / step, mode="nearest")
        return np.asarray(mean.reshape(SHAPE[0], FINE, SHAPE[1], FINE).mean((1, 3)))


class _Slice:
    """One plane through the body: shapes that organs share, painted from the outside in."""

    def __init__(self, body: Body, plane: Plane) -> None:
        self.body, self.plane = body, plane
        self.f = {name: field(plane) for name, field in body.fields.items()}
        plane.warp(
            3.0 * self.f["large"] + 0.9 * self.f["medium"], 3.0 * self.f["large2"] + 0.8 * self.f["septa"]
        )
        self.hu = np.full(plane.wx.shape, -1000.0)
        self._table()
        self._wall()
        paint_ribs(self)
        self._lungs()
        self._heart()
        phantom_abdomen.paint(self, body.abdomen)
        paint_spine(self)

    def paint(self, shape: Array, value: Array | float, amount: float = 1.0) -> None:
        """Blends `value` in."""
        self.plane.paint(self.hu, shape, value, amount)

    @cached_property
    def depth(self) -> Array:
        """Distance below the skin in mm, positive inside."""
        x, y = self.plane.x[None, :], self.plane.y[:, None] + 4.0
        a, b, n = 158.0, np.where(y > 0, 117.0, 106.0), 2.35
        radius = (np.abs(x / a) ** n + np.abs(y / b) ** n) ** (1.0 / n)
        along = np.hypot(x, y) / np.maximum(radius, 1e-6)
        normal = np.where(radius > 0.2, (1.0 - radius) * along * 0.93, 60.0)
        groove = 3.5 * np.exp(-((x / 15.0) ** 2)) * (y > 40)
        return np.asarray(normal - groove + 1.6 * self.f["large"] + 0.6 * self.f["medium"])

    @cached_property
    def angle(self) -> Array:
        """0 at the back, pi in front."""
        return np.asarray(np.arctan2(np.abs(self.plane.wx), self.plane.wy - 2.0))

    @cached_property
    def fat(self) -> Array:
        """Thickness of subcutaneous fat in mm."""
        front = np.sin(self.angle / 2.0) ** 4
        side = np.sin(self.angle) ** 4
        lower = np.clip((20.0 - self.plane.z) / 50.0, 0.0, 1.0)
        base = 9.0 + (4.0 + 5.0 * lower) * front + 5.0 * side * lower
        return np.asarray(base + 1.2 * self.f["septa"] + 0.7 * self.f["tiny"])

    @cached_property
    def wall(self) -> Array:
        """Depth of the inner surface of the body wall in mm."""
        front = np.clip((self.angle - 2.1) / 0.6, 0.0, 1.0)
        return np.asarray(self.fat + 15.0 - 4.5 * front + 0.7 * self.f["septa"])

    @cached_property
    def cavity(self) -> Array:
        """Inside of the rib cage and abdominal wall, the paravertebral muscles cut out."""
        p = self.plane
        muscle = np.hypot((np.abs(p.wx) - 27.0) / 1.5, p.wy - 92.0) - 17.5
        return both(self.wall - self.depth, -muscle)

    @cached_property
    def diaphragm(self) -> tuple[Array, Array]:
        """Height above the diaphragm, and the same as a distance (negative above), mm."""
        x, y = self.plane.wx, self.plane.wy
        # Steep towards the side and the back, where the lung reaches far down; gentle elsewhere.
        front = np.where(y < -4.0, 0.42, 1.0)
        right = 27.0 - 52.0 * (
            np.where(x > -66.0, 0.4, 1.0) * ((x + 66.0) / 72.0) ** 2 + front * ((y + 4.0) / 84.0) ** 2
        )
        left = 20.0 - 50.0 * (
            np.where(x < 72.0, 0.4, 1.0) * ((x - 72.0) / 66.0) ** 2 + front * ((y + 4.0) / 82.0) ** 2
        )
        top = -melt(-right, -left, 10.0) + 1.6 * self.f["medium"]
        slope_y, slope_x = np.gradient(top, self.plane.step)
        above = self.plane.z - top
        return above, -above / np.sqrt(1.0 + slope_x**2 + slope_y**2)

    def _table(self) -> None:
        """A curved couch: a thin shell around foam."""
        x, y = self.plane.x[None, :], self.plane.y[:, None]
        top = np.hypot(x, y + 470.0) - 585.0
        lower = np.hypot(x, y + 560.0) - 698.0
        inside = both(-top, lower, np.abs(x) - 200.0 + 0.0 * y)
        self.paint(inside, -890.0)
        self.paint(both(-top, top - 1.4), -420.0)
        self.paint(both(-lower - 1.4, lower), -420.0)

    def _wall(self) -> None:
        """Skin, fat with septa, layered muscle; the cavity starts as fat."""
        p, f, d = self.plane, self.f, self.depth
        fat = FAT + 4.0 * f["haze"] + 3.0 * f["tiny"]
        septum = np.exp(-((f["septa"] / 0.07) ** 2)) * np.clip((d - 3.0) / 4.0, 0.0, 1.0)
        self.paint(-d, fat + 42.0 * septum)
        self.paint(both(-d, d - 1.7), 38.0)
        fibres = 5.0 * f["tiny"] + 4.0 * f["small"] - 38.0 * np.clip(f["strands"] - 1.5, 0.0, 1.2)
        muscle = both(self.fat - d, d - self.wall)
        self.paint(muscle, MUSCLE + fibres)
        # Fat planes between the layers, and the line between the two recti.
        layer = np.abs(d - self.fat - 6.0 - 1.6 * f["septa"]) - 0.55
        self.paint(both(layer, muscle + 1.5), -45.0, 0.75)
        self.paint(both(np.abs(p.wx - 1.0) - 2.2, p.wy + 40.0, muscle), -70.0, 0.8)
        back = np.hypot((np.abs(p.wx) - 27.0) / 1.5, p.wy - 90.5) - 15.0
        back = both(back, 9.0 - d)
        self.paint(both(back - 1.6, 6.0 - d), fat)
        marbled = 95.0 * np.clip(f["strands"] - 0.9, 0.0, 1.4)
        self.paint(back, MUSCLE + 3.0 + 4.0 * f["small"] - marbled)
        blade = rod(p, (88.0, 76.0), (108.0, 58.0), 2.6 - 0.12 * max(0.0, 34.0 - p.z))
        mirrored = rod(p, (-90.0, 76.0), (-109.0, 57.0), 2.6 - 0.12 * max(0.0, 36.0 - p.z))
        if p.z > 12.0:
            self.paint(union(blade, mirrored) - 5.0, MUSCLE + fibres)
        self.paint(self.cavity, fat)

    def _lungs(self) -> None:
        """Parenchyma with a gradient towards the back, vessels beside bronchi, fissures."""
        p, f = self.plane, self.f
        above, gap = self.diaphragm
        middle = union(
            np.hypot((p.wx - 6.0) / 0.72, p.wy - 42.0) - 35.0,
            self.heart - 5.0,
            both(np.abs(p.wx - 6.0) - 3.0 - 0.06 * (p.wy + 40.0) ** 2 / 10.0, p.wy + 10.0),
        )
        self.lung = both(self.cavity + 1.6, gap + 1.5, -middle)
        air = -872.0 + 0.42 * (p.wy + 80.0) + 16.0 * f["haze"] + 13.0 * f["tiny"] + 11.0 * f["grain"]
        near = np.exp(-np.maximum(above, 0.0) / 7.0)
        self.paint(self.lung, air + 55.0 * near)
        inner = self.lung + 1.0
        tree = self.body.lung_vessels
        wide = [s for s in tree if s.radius > 1.6]
        shifted = [
            vessels.Segment(s.start + 1.9 * s.radius * SIDE, s.end + 1.9 * s.radius * SIDE, s.radius, s.tip)
            for s in wide
        ]
        self.paint(both(vessels.draw(p, shifted, 0.7, 0.75), inner), 0.0)
        self.paint(both(vessels.draw(p, shifted, 0.0, 0.75), inner), -960.0)
        self.paint(both(vessels.draw(p, tree), inner), 95.0)
        for centre, level in ((-66.0, 26.0), (66.0, 22.0)):
            sheet = p.wy + 14.0 - 0.9 * (p.z - level) + 0.002 * (p.wx - centre) ** 2 + 1.5 * f["medium"]
            self.paint(both(np.abs(sheet) / 1.35 - 0.35, inner), -640.0, 0.7)

    @cached_property
    def heart(self) -> Array:
        """Outer surface of the heart."""
        p = self.plane
        main = ellipsoid(p, (30.0, -34.0, 40.0), (60.0, 44.0, 47.0), 28.0)
        right = ellipsoid(p, (-16.0, -22.0, 44.0), (28.0, 36.0, 40.0))
        return melt(main, right, 12.0)

    def _heart(self) -> None:
        """Fat pad, myocardium, chambers, oesophagus and descending aorta."""
        p, f = self.plane, self.f
        above, _ = self.diaphragm
        chest = both(self.cavity + 1.0, -above)
        self.paint(both(self.heart - 3.2 - 1.5 * f["medium"], chest), FAT + 5.0 * f["haze"])
        self.paint(both(np.abs(self.heart - 3.4 - 1.5 * f["medium"]) - 0.7, chest), 20.0)
        muscle = both(self.heart + 1.2 * f["small"], chest)
        self.paint(muscle, 108.0 + 4.0 * f["small"] + 2.5 * f["tiny"])
        left = ellipsoid(p, (44.0, -34.0, 44.0), (32.0, 20.0, 33.0), 28.0) + 1.4 * f["small"]
        right = ellipsoid(p, (10.0, -52.0, 42.0), (40.0, 16.0, 36.0), 30.0) + 1.6 * f["small"]
        atrium = ellipsoid(p, (-20.0, -22.0, 46.0), (20.0, 28.0, 36.0))
        self.paint(both(union(left, right, atrium), muscle + 2.0), BLOOD + 6.0 + 2.0 * f["medium"])
        groove = both(ellipsoid(p, (-6.0, -44.0, 40.0), (3.4, 9.0, 50.0), 30.0), muscle)
        self.paint(groove, FAT + 10.0)
        self.paint(ellipsoid(p, (-6.0, -45.0, 40.0), (1.7, 1.7, 60.0)), BLOOD, 1.0 if p.z > 4.0 else 0.0)
