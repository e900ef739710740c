"""Ribs, sternum and spine of the CT phantom: cortical shell over spongy bone, with partial volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from shapes import Array, both, rod, union

RIB_STEP = 25.0
"""Distance between ribs along z, mm."""

VERTEBRA = 29.0
"""Height of a vertebra with its disc, mm."""


def paint_ribs(s: Any) -> None:
    """Ribs run around the chest wall, falling towards the front; cartilage takes over and rises again."""
    p, f = s.plane, s.f
    phi = s.angle + 0.02 * f["medium"]
    fall = 66.0 * (1.0 - np.cos(np.minimum(phi, 2.1))) / (1.0 - np.cos(2.1))
    rise = 62.0 * np.maximum(phi - 2.1, 0.0)
    side = np.where(p.wx > 0, 2.5, -1.5)
    middle = s.wall - 5.2
    bone = np.full(phi.shape, 99.0)
    cartilage = bone.copy()
    for k in range(-2, 6):
        level = 6.0 + RIB_STEP * k + side - fall + rise
        last = 2.95 if k > 1 else (2.05, 2.35, 2.6)[max(k, -1) + 1]
        size = 1.0 - 0.12 * np.cos(2.0 * phi)
        rib = 3.6 * size * (np.hypot((s.depth - middle) / (3.6 * size), (p.z - level) / 6.6) - 1.0)
        inside = both(rib, (0.24 - phi) * 60.0)
        bone = union(bone, both(inside, (phi - min(last, 2.12)) * 70.0))
        cartilage = union(cartilage, both(inside, (2.12 - phi) * 70.0, (phi - last) * 70.0))
    _bone(s, bone, shell=1.0, dense=690.0, spongy=210.0)
    s.paint(cartilage, 118.0 + 14.0 * f["tiny"])
    s.paint(both(np.abs(cartilage + 0.6) - 0.5, cartilage), 190.0, 0.5)
    if p.z > 2.0:
        tip = 4.0 + 0.35 * (p.z - 2.0)
        sternum = np.hypot(p.wx / (1.0 + 0.05 * p.z), (s.depth - s.wall + 5.5) / 0.8) - min(tip, 6.0)
        _bone(s, both(sternum, p.wy), shell=0.9, dense=420.0, spongy=150.0)


def paint_spine(s: Any) -> None:
    """Vertebral bodies, discs, canal with cord, pedicles, laminae and processes."""
    p, f = replace(s.plane, wy=s.plane.wy + 4.0), s.f
    t = (p.z + 7.0) % VERTEBRA - VERTEBRA / 2.0
    disc = abs(t) > 11.6
    waist = 1.0 - 0.09 * max(0.0, 1.0 - (t / 10.0) ** 2)
    body = np.hypot(p.wx / (20.5 * waist), (p.wy - 60.0) / (15.5 * waist)) - 1.0
    body = np.maximum(body * 16.0, -(np.hypot(p.wx / 1.5, p.wy - 84.0) - 11.5))
    body = body + 0.5 * f["small"]
    if disc:
        s.paint(body - 0.8, 92.0 + 5.0 * f["small"])
        s.paint(both(np.hypot(p.wx / 1.3, p.wy - 60.0) - 8.0, body), 74.0)
    else:
        plate = np.clip((abs(t) - 9.6) / 1.2, 0.0, 1.0)
        _bone(s, body, shell=1.1, dense=560.0, spongy=185.0 + 330.0 * plate)
        vein = both(np.abs(p.wx) - 1.2, np.abs(p.wy - 68.0) - 7.0)
        s.paint(vein, 90.0, 0.7 * max(0.0, 1.0 - abs(t) / 3.0))
    arch = union(
        rod(p, (-12.5, 90.0), (-2.0, 97.0), 3.0), rod(p, (12.5, 90.0), (2.0, 97.0), 3.0)
    )  # fmt: skip
    if t > -3.0:
        pedicles = union(rod(p, (-14.0, 72.0), (-14.0, 90.0), 3.8), rod(p, (14.0, 72.0), (14.0, 90.0), 3.8))
        out = 30.0 - 0.4 * abs(t - 4.0)
        wings = union(
            rod(p, (-14.0, 89.0), (-out, 97.0), 3.6 - 0.12 * abs(t - 4.0)),
            rod(p, (14.0, 89.0), (out, 97.0), 3.6 - 0.12 * abs(t - 4.0)),
        )  # fmt: skip
        arch = union(arch, pedicles, wings)
    else:
        facets = union(
            np.hypot((np.abs(p.wx) - 14.0) / 1.15, p.wy - 90.0) - 5.4,
            rod(p, (-16.0, 88.0), (-11.0, 92.0), 3.0),
        )
        arch = union(arch, facets)
    reach = 108.5 - 0.14 * abs(t + 4.0)
    arch = union(arch, rod(p, (0.0, 97.0), (0.6, reach - 4.0), 2.5))
    canal = np.hypot(p.wx / 1.12, p.wy - 84.0) - 8.8
    _bone(s, both(arch + 0.3 * f["small"], -canal - 0.2), shell=1.1, dense=640.0, spongy=260.0)
    joint = both(np.abs(np.abs(p.wx) - 13.5 - 0.35 * (p.wy - 90.0)) - 0.6, np.abs(p.wy - 90.5) - 4.5)
    if t <= -3.0:
        s.paint(joint, 60.0, 0.8)
    s.paint(canal, -55.0)
    s.paint(np.hypot(p.wx / 1.15, p.wy - 83.6) - 7.2, 18.0)
    s.paint(np.hypot(p.wx / 1.3, p.wy - 83.4) - 3.9, 44.0)


def _bone(s: Any, shape: Array, *, shell: float, dense: float, spongy: Array | float) -> None:
    """A dense shell of `shell` mm over trabecular bone."""
    f = s.f
    s.paint(shape, dense + 30.0 * f["small"])
    s.paint(shape + shell * (1.0 + 0.2 * f["small"]), spongy + 26.0 * f["tiny"] + 20.0 * f["grain"])
