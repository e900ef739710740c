"""Inserts: small faint objects of known truth mixed into training slices.

Clinical slices show few lesions, so that a network trained on them alone takes a faint small object for
noise and its posterior mean wipes it out. Ellipsoids and vessels of known contrast, added to the reference
*before* noise is inserted, belong to the truth exactly, whatever noise the reference has itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray

DIAMETER_MM = (2.0, 20.0)
CONTRAST_HU = (3.0, 60.0)
COUNT = (4, 40)
"""Fewest and most inserts of a slice; diameters, contrasts and counts are log-uniform."""

THROUGH = 0.3
"""Share of inserts that run through the neighbour slices unchanged, as vessels do."""


def draw_inserts(hu: FloatArray | NDArray[np.int16], pixel_mm: float, rng: np.random.Generator) -> FloatArray:
    """Contrast of random inserts in the body of a slice and its neighbours.

    Args:
        hu: ``[3, h, w]`` previous, centre, next, HU.
        pixel_mm: pixel size.
        rng: source of randomness.

    Returns:
        float32 ``[3, h, w]`` HU to add; zero outside of the inserts, and everywhere without a body.
    """
    from scipy import ndimage

    contrast = np.zeros(hu.shape, np.float32)
    rows, columns = np.nonzero(ndimage.uniform_filter(hu[1].astype(np.float32), 7) > -300.0)
    if not len(rows):
        return contrast
    for _ in range(int(round(_log_uniform(rng, *COUNT)))):
        at = int(rng.integers(len(rows)))
        radius = 0.5 * _log_uniform(rng, *DIAMETER_MM) / pixel_mm
        height = _log_uniform(rng, *CONTRAST_HU) * float(rng.choice((-1.0, 1.0)))
        aspect, angle = float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.0, np.pi))
        edge = float(rng.uniform(0.8, 2.0))
        through = rng.random() < THROUGH
        for plane in range(3):
            # An ellipsoid cut off its middle is smaller; far enough off, it is gone.
            off = 0.0 if plane == 1 or through else float(rng.uniform(0.0, 1.3))
            r = radius * float(np.sqrt(max(0.0, 1.0 - off * off)))
            if r > 0.25:
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
    u = dx * np.cos(angle) + dy * np.sin(angle)
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / aspect
    view += np.float32(height) * np.clip((radius - np.hypot(u, v)) / edge + 0.5, 0.0, 1.0).astype(np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
