"""Abdominal organs of the CT phantom: liver with lesions, spleen, stomach, kidneys, great vessels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from shapes import Array, Point, both, ellipsoid, melt, rod, union
from vessels import Segment, chain, draw, grow

LESIONS: tuple[tuple[Point, float, float], ...] = (
    ((-88.0, -22.0, -13.0), 5.0, -14.0),
    ((-96.0, 22.0, -13.0), 7.0, -7.0),
    ((-52.0, -48.0, -13.0), 9.0, -5.0),
    ((-66.0, 48.0, -13.0), 11.0, -3.0),
)
"""Low-contrast spheres in the liver: centre in mm (before the body's warp), radius in mm, contrast in HU."""

LIVER, SPLEEN, BLOOD, FAT, MUSCLE = 104.0, 119.0, 152.0, -104.0, 62.0


@dataclass(frozen=True)
class Trees:
    """Vessels of the abdomen."""

    hepatic: list[Segment]
    portal: list[Segment]
    splenic: list[Segment]
    mesenteric: list[Segment]

    @classmethod
    def grow(cls, rng: np.random.Generator) -> Trees:
        """Hepatic veins meet at the vena cava under the dome; the portal vein enters at the hilum."""
        cava = (-20.0, 30.0, 6.0)
        hepatic: list[Segment] = []
        for towards, radius in (
            ((-1.0, 0.1, -0.25), 4.4), ((-0.75, -0.8, -0.3), 4.2), ((0.35, -1.0, -0.25), 3.6),
            ((-0.8, 0.6, -0.75), 3.0),
        ):  # fmt: skip
            hepatic += grow(rng, cava, towards, radius, length=6.0, finest=0.65, spread=0.5)
        hilum = (-28.0, 0.0, -24.0)
        portal = chain([(8.0, 12.0, -44.0), (-10.0, 6.0, -34.0), hilum], 6.2, 5.8)
        for towards, radius in (
            ((-1.0, 0.35, 0.15), 4.6), ((-0.8, -0.6, 0.3), 4.0), ((0.75, -0.8, 0.3), 3.8),
            ((-0.6, 0.7, -0.5), 3.2),
        ):  # fmt: skip
            portal += grow(rng, hilum, towards, radius, length=5.5, finest=0.65, spread=0.6)
        splenic = chain(
            [(8.0, 12.0, -44.0), (28.0, 16.0, -38.0), (50.0, 24.0, -30.0), (70.0, 30.0, -24.0),
             (88.0, 34.0, -20.0)], 4.2, 3.4,
        )  # fmt: skip
        for towards in ((1.0, 0.6, 0.4), (1.0, -0.5, -0.3), (0.8, 0.9, -0.4)):
            splenic += grow(rng, (88.0, 34.0, -20.0), towards, 2.2, length=4.0, finest=0.7)
        mesenteric: list[Segment] = []
        for start in ((30.0, -62.0, -30.0), (70.0, -62.0, -24.0), (60.0, 10.0, -34.0), (20.0, -5.0, -30.0)):
            for towards in ((1.0, -0.3, 0.2), (-0.6, 0.4, 0.5), (0.1, -1.0, 0.1)):
                mesenteric += grow(rng, start, towards, 1.5, length=9.0, finest=0.5)
        return cls(hepatic, portal, splenic, mesenteric)


def paint(s: Any, trees: Trees) -> None:
    """Everything under the diaphragm, the muscle of the diaphragm, and aorta, cava and oesophagus."""
    p = s.plane
    _, gap = s.diaphragm
    below = both(s.cavity + 1.2, -gap + 1.0)
    s.paint(both(below - 0.6, -below - 1.4), MUSCLE)
    below = below + 1.4
    s.paint(both(draw(p, trees.mesenteric), below), 110.0)
    _left_side(s, trees, below)
    _kidneys(s, below)
    _liver(s, trees, below)
    _great_vessels(s)


def _left_side(s: Any, trees: Trees, below: Array) -> None:
    """Spleen, stomach with air over food, colon at the splenic flexure, pancreas."""
    p, f = s.plane, s.f
    kidney = ellipsoid(p, (60.0, 50.0, -54.0), (28.0, 30.0, 52.0), 20.0) - 3.0
    stomach = ellipsoid(p, (64.0, -14.0, -8.0), (41.0, 56.0, 25.0), -22.0)
    antrum = ellipsoid(p, (22.0, -48.0, -32.0), (40.0, 20.0, 16.0), 10.0)
    stomach = both(melt(stomach, antrum, 14.0) + 1.5 * f["medium"], below, 5.0 - p.wx)
    pancreas = union(
        rod(p, (18.0, 4.0), (48.0, 14.0), 9.0) + 0.5 * abs(p.z + 32.0),
        rod(p, (48.0, 14.0), (82.0, 26.0), 8.0) + 0.6 * abs(p.z + 26.0),
    )
    pancreas = pancreas + 2.2 * f["tiny"] + 2.0 * f["small"]
    s.paint(pancreas, 96.0 + 6.0 * f["tiny"])
    s.paint(draw(p, trees.splenic), BLOOD + 8.0)
    spleen = ellipsoid(p, (100.0, 34.0, -10.0), (34.0, 54.0, 29.0), -14.0) + 1.2 * f["small"]
    hollow = ellipsoid(p, (66.0, 14.0, -14.0), (36.0, 42.0, 40.0), -10.0)
    spleen = both(spleen, -hollow, -kidney, below, -stomach + 4.0)
    s.paint(spleen, SPLEEN + 2.2 * f["tiny"] + 1.6 * f["small"])
    s.paint(both(draw(p, trees.splenic), spleen), BLOOD)
    colon = ellipsoid(p, (104.0, -34.0, -34.0), (22.0, 26.0, 24.0), 10.0) + 2.6 * f["medium"]
    colon = both(colon, below, -stomach + 4.0)
    s.paint(colon, 70.0)
    stool = -20.0 + 60.0 * f["small"] - 420.0 * np.clip(f["tiny"] + f["small"] - 1.3, 0.0, 1.6)
    s.paint(colon + 2.4, stool)
    s.paint(both(colon + 2.4, p.wy + 42.0 + 0.6 * f["medium"]), -965.0)
    folds = 2.8 + 1.1 * np.maximum(f["small"], -1.2) + 0.3 * f["tiny"]
    s.paint(stomach, 92.0 + 3.0 * f["tiny"])
    food = 26.0 + 6.0 * f["medium"] + 22.0 * np.clip(f["small"] - 0.3, 0.0, 1.5) + 5.0 * f["tiny"]
    s.paint(stomach + folds, food)
    s.paint(both(stomach + folds, p.y[:, None] + 32.0 + 0.0 * p.wx), -978.0)


def _kidneys(s: Any, below: Array) -> None:
    """Cortex, pyramids and sinus; the fat around them is the background. Adrenals above."""
    p, f = s.plane, s.f
    for side, centre, turn in ((1.0, (60.0, 50.0, -54.0), 20.0), (-1.0, (-58.0, 54.0, -70.0), -20.0)):
        kidney = both(ellipsoid(p, centre, (25.0, 29.0, 50.0), turn) + 0.8 * f["small"], below)
        s.paint(kidney, 186.0 + 3.0 * f["tiny"])
        pyramids = kidney + 6.5 + 3.2 * f["small"]
        s.paint(pyramids, 138.0 + 4.0 * f["small"])
        core = (centre[0] - 7.0 * side, centre[1] - 3.0, centre[2] - 4.0)
        sinus = ellipsoid(p, core, (12.0, 12.0, 26.0), turn) + 2.5 * f["small"]
        s.paint(sinus, FAT + 14.0)
        pelvis = both(ellipsoid(p, core, (5.0, 6.0, 20.0), turn), sinus)
        s.paint(pelvis, 20.0)
        size = 2.3 - 0.13 * abs(p.z + (16.0 if side > 0 else 20.0))
        if size > 0.4:
            x = 34.0 * side
            gland = union(
                rod(p, (x, 36.0), (x + 3.0 * side, 46.0), size),
                rod(p, (x + 3.0 * side, 46.0), (x, 58.0), size),
                rod(p, (x + 3.0 * side, 46.0), (x + 9.0 * side, 57.0), size),
            )  # fmt: skip
            s.paint(gland, 74.0)


def _liver(s: Any, trees: Trees, below: Array) -> None:
    """Right and left lobe under the diaphragm, vessels, gallbladder, lesions."""
    p, f = s.plane, s.f
    right = ellipsoid(p, (-74.0, -2.0, -22.0), (80.0, 92.0, 78.0), -8.0)
    left = ellipsoid(p, (2.0, -52.0, -16.0), (58.0, 33.0, 28.0), 4.0)
    liver = melt(right, left, 16.0) + 1.2 * f["medium"]
    behind = both(ellipsoid(p, (-10.0, 62.0, 0.0), (40.0, 38.0, 90.0)), p.wx + 60.0)
    hilum = ellipsoid(p, (-16.0, 4.0, -36.0), (22.0, 9.0, 16.0), 20.0)
    fissure = both(np.abs(p.wx + 10.0 + 0.25 * (p.wy + 50.0)) - 3.2 + 0.12 * (p.z + 34.0), p.wy + 18.0)
    gall = ellipsoid(p, (-34.0, -44.0, -38.0), (13.0, 21.0, 15.0), 25.0) + 0.6 * f["small"]
    kidney = ellipsoid(p, (-58.0, 54.0, -70.0), (28.0, 32.0, 53.0), -20.0)
    liver = both(liver, below, -behind, -hilum, -fissure, -(gall - 1.2), -kidney)
    tissue = LIVER + 1.6 * f["haze"] + 1.4 * f["tiny"] + 1.2 * f["grain"]
    for centre, radius, contrast in LESIONS:
        tissue += contrast * np.clip(0.5 - ellipsoid(p, centre, (radius, radius, radius)) / 1.0, 0.0, 1.0)
    s.paint(liver, tissue)
    inside = liver + 1.0
    clear = union(*(ellipsoid(p, c, (r, r, r)) for c, r, _ in LESIONS)) - 1.5
    for tree, value in ((trees.portal, 158.0), (trees.hepatic, 146.0)):
        s.paint(both(draw(p, tree), inside, -clear), value)
    s.paint(
        both(draw(p, trees.portal), union(hilum, ellipsoid(p, (0.0, 8.0, -38.0), (30.0, 18.0, 22.0)))), 160.0
    )
    s.paint(gall, 88.0)
    s.paint(gall + 1.6, 11.0 + 1.5 * f["medium"])


def _great_vessels(s: Any) -> None:
    """Aorta with a calcified plaque, vena cava, crura, oesophagus, azygos vein."""
    p, f = s.plane, s.f
    drift = 0.06 * p.z
    crus = union(
        rod(p, (-3.0, 30.0), (-19.0, 52.0), 3.2 - 0.06 * p.z),
        rod(p, (8.0, 24.0), (33.0, 46.0), 3.4 - 0.06 * p.z),
    )
    if p.z < 16.0:
        s.paint(crus + 0.6 * f["small"], MUSCLE)
    aorta = np.hypot(p.wx - 17.0 - drift, p.wy - 33.0 - 0.5 * drift) - 10.8 + 0.2 * f["small"]
    s.paint(aorta - 1.3, 55.0)
    s.paint(aorta, BLOOD + 4.0)
    plaque = both(np.abs(aorta + 0.4) - 0.9, ellipsoid(p, (27.0, 36.0, -9.0), (5.0, 6.0, 4.0)))
    s.paint(plaque, 620.0)
    front = -6.0 if p.z > 8.0 else 0.0
    if p.z < 22.0:
        s.paint(np.hypot((p.wx + 20.0) / 1.25, p.wy - 33.0 - front) - 9.2 + 0.4 * f["small"], 138.0)
    x, y = (4.0, 20.0) if p.z > 0.0 else (4.0 + 0.9 * -p.z, 20.0 + 0.5 * p.z)
    if p.z > -14.0:
        gullet = np.hypot((p.wx - x) / 1.4, p.wy - y) - 5.6
        s.paint(gullet, 64.0)
        s.paint(np.hypot((p.wx - x - 1.0) / 1.8, p.wy - y) - 1.5, -500.0, 0.8)
    s.paint(np.hypot(p.wx + 2.0, p.wy - 37.5) - 2.6, 140.0)
