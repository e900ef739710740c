"""Inserts: small faint objects of known truth mixed into training slices.

Clinical slices show few lesions, so that a network trained on them alone takes a faint small object for
noise and its posterior mean wipes it out. Ellipsoids and vessels of known contrast, added to the reference
*before* noise is inserted, belong to the truth exactly, whatever noise the reference has itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.arrays import Array, Namespace
from medidiff.volume import FloatArray

DIAMETER_MM = (2.0, 20.0)
CONTRAST_HU = (3.0, 60.0)
COUNT = (4, 40)
"""Fewest and most inserts of a slice; diameters, contrasts and counts are log-uniform."""

THROUGH = 0.3
"""Share of inserts that run through the neighbour slices unchanged, as vessels do."""

ASPECT = (0.6, 1.0)
"""Short axis over the long one."""

EDGE_PX = (0.8, 2.0)
"""Width of the edge."""

FARTHEST = 1.3
"""Most that a neighbour slice is off the middle of an ellipsoid, over its radius."""

SMALLEST_PX = 0.25
"""Radius from which an insert is drawn at all."""


def body(hu: FloatArray | NDArray[np.int16]) -> NDArray[np.bool_]:
    """Where inserts may have their middle, in a slice ``[h, w]`` in HU."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(hu.astype(np.float32), 7) > -300.0)


def ellipse(
    dy: Array, dx: Array, radius: Array, aspect: Array, angle: Array, edge: Array, xp: Namespace
) -> Array:
    """An ellipse with a linear edge, 1 inside and 0 outside.

    Args:
        dy, dx: distance from its middle, pixels.
        radius: long half-axis, pixels.
        aspect: short axis over the long one.
        angle: of the long axis, radians.
        edge: width of the edge, pixels.
        xp: ``numpy`` or ``jax.numpy``.
    """
    u = dx * xp.cos(angle) + dy * xp.sin(angle)
    v = (dy * xp.cos(angle) - dx * xp.sin(angle)) / aspect
    return xp.clip((radius - xp.hypot(u, v)) / edge + 0.5, 0.0, 1.0)


def draw_inserts(hu: FloatArray | NDArray[np.int16], pixel_mm: float, rng: np.random.Generator) -> FloatArray:
    """Contrast of random inserts in the body of a slice and its neighbours.

    Args:
        hu: ``[3, h, w]`` previous, centre, next, HU.
        pixel_mm: pixel size.
        rng: source of randomness.

    Returns:
        float32 ``[3, h, w]`` HU to add; zero outside of the inserts, and everywhere without a body.
    """
    contrast = np.zeros(hu.shape, np.float32)
    rows, columns = np.nonzero(body(hu[1]))
    if not len(rows):
        return contrast
    for _ in range(int(round(_log_uniform(rng, *COUNT)))):
        at = int(rng.integers(len(rows)))
        radius = 0.5 * _log_uniform(rng, *DIAMETER_MM) / pixel_mm
        height = _log_uniform(rng, *CONTRAST_HU) * float(rng.choice((-1.0, 1.0)))
        aspect, angle = float(rng.uniform(*ASPECT)), float(rng.uniform(0.0, np.pi))
        edge = float(rng.uniform(*EDGE_PX))
        through = rng.random() < THROUGH
        for plane in range(3):
            # An ellipsoid cut off its middle is smaller; far enough off, it is gone.
            off = 0.0 if plane == 1 or through else float(rng.uniform(0.0, FARTHEST))
            r = radius * float(np.sqrt(max(0.0, 1.0 - off * off)))
            if r > SMALLEST_PX:
                _add_ellipse(contrast[plane], int(rows[at]), int(columns[at]), r, aspect, angle, edge, height)
    return contrast


def _add_ellipse(
    plane: FloatArray, y: int, x: int, radius: float, aspect: float, angle: float, edge: float, height: float
) -> None:
    """Adds one ellipse with a linear edge of `edge` pixels in place."""
    reach = int(np.ceil(radius + edge)) + 1
    top, left = max(y - reach, 0), max(x - reach, 0)
    view = plane[top : y + reach + 1, left : x + reach + 1]
    dy = (np.arange(view.shape[0]) + top - y)[:, None]
    dx = (np.arange(view.shape[1]) + left - x)[None, :]
    view += np.float32(height) * ellipse(dy, dx, radius, aspect, angle, edge, np).astype(np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
