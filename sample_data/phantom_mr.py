"""A synthetic T1-weighted head: folded cortex from level sets of smooth noise, deep nuclei, skull, scalp.

Coordinates are LPS mm, z = 0 at the thalamus. Intensities are arbitrary: white matter 640, times a bias
field.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from shapes import Array, Field, Plane, both, ellipsoid, melt, rod, union

SEED = 20241
SHAPE = (208, 176)
PIXEL_MM = 1.0
SLICE_MM = 4.0
HEIGHTS = tuple(-30.0 + SLICE_MM * k for k in range(24))
"""Centres of the slices, mm."""

FINE = 2
DEPTHS = (-1.4, 0.0, 1.4)
BLUR_MM = 0.45

WHITE, GREY, FLUID, SCALP, MUSCLE, BONE, AIR = 640.0, 455.0, 130.0, 820.0, 330.0, 45.0, 6.0


class Head:
    """Seeded fields; `render` is a function of them and the height alone."""

    def __init__(self, seed: int = SEED) -> None:
        scales = {"huge": 60.0, "large": 30.0, "medium": 13.0, "small": 6.0, "tiny": 2.4}
        self.fields = {name: Field(seed + k, s, reach=150.0) for k, (name, s) in enumerate(scales.items())}
        self.folds = Field(seed + 11, 6.6, reach=150.0)
        self.minor = Field(seed + 12, 5.0, reach=150.0)

    def render(self, height: float) -> Array:
        """One slice, float64 ``[208, 176]``."""
        shape = (SHAPE[0] * FINE, SHAPE[1] * FINE)
        step = PIXEL_MM / FINE
        planes = [self._plane(Plane.regular(shape, step, height + d, SLICE_MM / len(DEPTHS))) for d in DEPTHS]
        mean = ndimage.gaussian_filter(np.mean(planes, axis=0), BLUR_MM / step, mode="nearest")
        return np.asarray(mean.reshape(SHAPE[0], FINE, SHAPE[1], FINE).mean((1, 3)))

    def _plane(self, p: Plane) -> Array:
        f = {name: field(p) for name, field in self.fields.items()}
        p.warp(1.6 * f["large"] + 0.5 * f["medium"], 1.6 * f["huge"] + 0.5 * f["medium"])
        image = np.full(p.wx.shape, AIR)
        brain = self._hull(p) + 0.5 * f["medium"]
        _shell(p, image, brain, f)
        inside = brain - 0.8
        p.paint(image, inside, FLUID)
        self._cerebrum(p, image, brain, f)
        _deep(p, image, f)
        if p.z < -6.0:
            _hindbrain(p, image, brain, f)
        bias = 1.0 + 0.10 * f["huge"] + 0.0009 * p.y[:, None] - 0.0008 * p.x[None, :]
        return np.asarray(image * bias)

    @staticmethod
    def _hull(p: Plane) -> Array:
        """The inside of the skull: an egg, wider at the back, with temporal lobes below."""
        upper = ellipsoid(p, (0.0, 4.0, 8.0), (68.0, 85.0, 66.0 if p.z > 8.0 else 40.0))
        if p.z > 8.0:
            return upper
        poles = union(
            ellipsoid(p, (-38.0, -14.0, -16.0), (28.0, 38.0, 34.0)),
            ellipsoid(p, (38.0, -14.0, -16.0), (28.0, 38.0, 34.0)),
        )  # fmt: skip
        back = ellipsoid(p, (0.0, 40.0, -14.0), (54.0, 46.0, 46.0))
        front = ellipsoid(p, (0.0, -30.0, 12.0), (58.0, 50.0, 44.0))
        stem = ellipsoid(p, (0.0, 6.0, -20.0), (24.0, 26.0, 80.0))
        return melt(melt(melt(melt(poles, back, 10.0), front, 10.0), stem, 10.0), upper, 6.0)

    def _cerebrum(self, p: Plane, image: Array, brain: Array, f: dict[str, Array]) -> None:
        """Grey ribbon along the hull and along sulci: zero sets of smooth noise, deepest inside the hull."""
        depth = -brain
        sheets = []
        for field, deepest in ((self.folds, 31.0), (self.minor, 17.0)):
            value = np.abs(field(p)) / np.maximum(field.gradient(p), 0.05)
            limit = deepest * (1.0 + 0.25 * f["medium"])
            sheets.append(value + 0.35 * np.maximum(depth - limit + 8.0, 0.0) ** 1.5)
        between = np.abs(p.wx + 0.8 * f["medium"])
        corpus = ellipsoid(p, (0.0, -2.0, 14.0), (30.0, 46.0, 12.0))
        sheets.append(np.where(corpus < 3.0, np.maximum(between, 6.0 - corpus), between))
        for side in (-1.0, 1.0):
            # The Sylvian fissure and the insula behind it.
            x, y = side * p.wx, p.wy
            line = np.abs(y + 12.0 + 0.5 * (p.z - 4.0) - 0.3 * (x - 50.0))
            sheets.append(line + 0.8 * np.maximum(34.0 - x, 0.0) + 0.25 * max(0.0, abs(p.z - 2.0) - 18.0))
        sulcus = np.minimum.reduce(sheets)
        rim = np.minimum(depth - 1.6, sulcus - 0.55 - 0.25 * np.maximum(f["medium"], -1.0))
        grey = GREY + 7.0 * f["small"] + 6.0 * f["tiny"]
        white = WHITE + 8.0 * f["medium"] + 5.0 * f["tiny"]
        p.paint(image, -rim, grey)
        p.paint(image, -(rim - 3.2 - 0.4 * f["small"]), white)
        if p.z > -16.0:
            p.paint(image, both(corpus + 1.0, np.abs(p.wy - 0.0) - 40.0, np.abs(p.wx) - 16.0), white + 12.0)


def _shell(p: Plane, image: Array, brain: Array, f: dict[str, Array]) -> None:
    """Scalp, skull with marrow, and for the lower slices face muscles, orbits and air cells."""
    x, y = p.wx, p.wy
    outer = brain - 13.0 - 1.2 * f["large"]
    if p.z < 10.0:
        face = ellipsoid(p, (0.0, -36.0, -40.0), (68.0, 60.0, 58.0))
        neck = ellipsoid(p, (0.0, 34.0, -40.0), (60.0, 58.0, 60.0))
        outer = melt(outer, union(face, neck), 12.0)
    p.paint(image, outer, SCALP + 30.0 * f["small"])
    p.paint(image, both(outer, -outer - 1.6), 480.0)
    p.paint(image, both(outer + 5.0, -brain + 6.0), MUSCLE + 40.0 * np.clip(f["tiny"], -1.0, 2.0))
    skull = brain - 7.2 - 1.2 * f["medium"]
    p.paint(image, skull, BONE)
    marrow = np.abs(brain - 4.6 - 0.8 * f["medium"]) - 1.0 - 0.6 * f["small"]
    p.paint(image, both(marrow, skull + 1.0), 420.0, 0.75)
    p.paint(image, brain - 1.6, BONE)
    if p.z < -8.0:
        for side in (-1.0, 1.0):
            orbit = ellipsoid(p, (33.0 * side, -58.0, -34.0), (18.0, 27.0, 18.0), 12.0 * side)
            orbit = both(orbit, -brain + 4.0)
            p.paint(image, both(orbit - 1.5, -brain + 3.0), BONE)
            p.paint(image, orbit, 780.0)
            globe = ellipsoid(p, (34.0 * side, -70.0, -34.0), (12.2, 12.2, 12.2))
            p.paint(image, globe - 0.8, 360.0)
            p.paint(image, globe, 150.0)
            p.paint(image, ellipsoid(p, (34.0 * side, -79.0, -34.0), (4.6, 2.4, 4.6)), 380.0)
            nerve = rod(p, (31.0 * side, -58.0), (18.0 * side, -38.0), 2.2 - 0.2 * abs(p.z + 34.0))
            p.paint(image, both(nerve, orbit), 430.0)
            cells = both(np.hypot(x - 50.0 * side, (y - 20.0) / 1.6) - 11.0, -brain + 1.5, -f["small"] + 0.1)
            p.paint(image, cells, 15.0)
    if p.z < -17.0:
        nose = both(np.abs(x) - 10.0, y + 52.0, -(y + 88.0), -brain + 5.0)
        p.paint(image, nose, 20.0)
        p.paint(image, both(np.abs(np.abs(x) - 4.0 - f["small"]) - 0.7, nose), 420.0)


def _deep(p: Plane, image: Array, f: dict[str, Array]) -> None:
    """Nuclei of grey matter in white matter, and the ventricles."""
    grey = GREY + 25.0 + 5.0 * f["tiny"]
    core = ellipsoid(p, (0.0, 0.0, 8.0), (36.0, 46.0, 21.0)) + 0.8 * f["small"]
    if p.z > -20.0:
        p.paint(image, core, WHITE + 4.0 * f["small"])
    for side in (-1.0, 1.0):
        thalamus = ellipsoid(p, (11.0 * side, 10.0, 3.0), (9.0, 15.0, 11.0), -25.0 * side)
        putamen = ellipsoid(p, (27.0 * side, -6.0, 3.0), (5.2, 17.0, 13.0), -12.0 * side)
        pallidum = ellipsoid(p, (20.5 * side, -3.0, 1.0), (4.0, 10.0, 8.0), -16.0 * side)
        caudate = ellipsoid(p, (14.0 * side, -20.0, 8.0), (5.0, 10.0, 13.0), -14.0 * side)
        for shape, value in (
            (thalamus, grey + 25.0),
            (putamen, grey),
            (pallidum, grey + 75.0),
            (caudate, grey),
        ):
            p.paint(image, shape + 0.5 * f["small"], value)
        horn = ellipsoid(p, (10.0 * side, -22.0, 14.0), (4.6, 15.0, 10.0), 16.0 * side)
        trunk = ellipsoid(p, (10.5 * side, 6.0, 20.0), (4.6, 27.0, 6.5), -12.0 * side)
        trigone = ellipsoid(p, (23.0 * side, 34.0, 8.0), (6.0, 15.0, 14.0), -24.0 * side)
        ventricle = melt(melt(horn, trunk, 5.0), trigone, 6.0)
        p.paint(image, ventricle + 0.4 * f["small"], FLUID)
        plexus = ellipsoid(p, (22.0 * side, 30.0, 9.0), (2.6, 6.0, 5.0), -24.0 * side)
        p.paint(image, plexus + 0.6 * f["tiny"], 360.0)
        temporal = ellipsoid(p, (32.0 * side, -2.0, -20.0), (3.4, 14.0, 4.0), -10.0 * side)
        p.paint(image, temporal - 4.0, grey)
        p.paint(image, temporal, FLUID)
    p.paint(image, ellipsoid(p, (0.0, 6.0, 1.0), (2.2, 16.0, 11.0)), FLUID)
    p.paint(image, ellipsoid(p, (0.0, 27.0, -1.0), (3.2, 4.0, 3.5)), 420.0)


def _hindbrain(p: Plane, image: Array, brain: Array, f: dict[str, Array]) -> None:
    """Midbrain in its cisterns, and the cerebellum with its folia, under the tentorium."""
    tent = ellipsoid(p, (0.0, 44.0, -40.0), (50.0, 38.0, 32.0))
    lobe = both(tent, brain + 2.0)
    p.paint(image, both(lobe - 1.6, brain + 0.8), FLUID)
    radial = np.hypot(p.wx / 1.2, p.wy - 30.0) + 2.5 * f["medium"]
    folia = np.abs((radial / 3.4 + 0.35 * f["medium"]) % 1.0 - 0.5)
    p.paint(image, lobe, GREY - 15.0 - 150.0 * np.clip(0.13 - folia, 0.0, 0.13) / 0.13)
    tree = both(lobe + 6.5 + 2.4 * f["small"], np.abs(p.wx) * -1.0 + 3.0)
    p.paint(image, tree, WHITE - 25.0)
    cistern = ellipsoid(p, (0.0, 4.0, -26.0), (26.0, 21.0, 22.0)) + 1.0 * f["small"]
    p.paint(image, both(cistern, brain + 1.0), FLUID)
    stem = melt(
        melt(
            ellipsoid(p, (-10.0, -1.0, -24.0), (8.0, 9.0, 30.0), 25.0),
            ellipsoid(p, (10.0, -1.0, -24.0), (8.0, 9.0, 30.0), -25.0), 6.0,
        ),
        ellipsoid(p, (0.0, 10.0, -26.0), (13.0, 10.0, 40.0)), 6.0,
    )  # fmt: skip
    p.paint(image, stem + 0.3 * f["small"], WHITE - 60.0 + 8.0 * f["small"])
    p.paint(image, ellipsoid(p, (0.0, 14.0, -24.0), (1.8, 2.2, 30.0)), FLUID)
