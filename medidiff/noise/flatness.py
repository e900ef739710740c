"""Flatness: how much of the level of the flattest patches is structure, told by the less flat ones.

Where fine structure fills a slice, as at low resolution, its flattest patches hold structure too, and their
level is above that of the noise (by half at 3 % noise on heads of 2 mm). But noise has the same spectrum in
the flattest fifth of the patches as in the flattest: what the fifth has more is structure, and it shows the
spectrum of structure in this scan. In

    P(f) = N + a (Q(f) - P(f))

P is the power of the flattest patches, Q that of the fifth, and a, found by least squares over the radial
frequencies, says how much structure the flattest hold, in units of what they hold less than the fifth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medidiff.noise.estimate_mr import PATCH_PX, RADIUS, TissueNoise, level_of

MOST = 1.0
"""Largest a. Coloured noise falls with the frequency as structure does: it must not be taken for it."""

LEAST = 0.5**0.5
"""Smallest share: half of the power. Where nearly all of it looks like structure, the colour of the noise,
which falls with the frequency too, decides more than the structure does."""

FILTERED = 0.2
"""Power at the highest frequencies over the mean, below which a filter has coloured the noise, so that there
is no N and all of the noise would pass for structure. On scans with white noise and structure it is 0.46 and
more, on clinical scans as they are 0.25 and more, after a Gaussian of 0.6 px 0.16 and less."""

FEWEST_RINGS = 3


def noise_share(slices: Sequence[TissueNoise], zero_fill: tuple[float, float]) -> float:
    """Level of the noise over the level of the flattest patches, for all slices of a scan together.

    Args:
        slices: at least one.
        zero_fill: image matrix over acquired matrix along ``(y, x)``; beyond it there is no noise to see.

    Returns:
        Between `LEAST` and 1; 1 where too few frequencies can be told apart, and where the noise is filtered.
    """
    flat = np.mean([s.spectrum / s.sigma**2 for s in slices], axis=0)
    more = np.mean([(s.coarse - s.spectrum) / s.sigma**2 for s in slices], axis=0)
    v, u = np.mgrid[:PATCH_PX, :PATCH_PX]
    edge_v, edge_u = (0.85 * PATCH_PX / z for z in zero_fill)
    seen = (RADIUS > 3.0) & (v < edge_v) & (u < edge_u)
    ring = np.where(seen, np.rint(RADIUS), -1.0)
    rings = [ring == r for r in np.unique(ring[seen])]
    if len(rings) < FEWEST_RINGS or flat[rings[-1]].mean() < FILTERED * level_of(flat) ** 2:
        return 1.0
    a = _share([float(flat[r].mean()) for r in rings], [float(more[r].mean()) for r in rings], rings)
    structure = np.zeros_like(flat)
    for r in rings:
        structure[r] = max(float(more[r].mean()), 0.0)
    return float(np.clip(level_of(np.maximum(flat - a * structure, 0.0)) / level_of(flat), LEAST, 1.0))


def _share(flat: list[float], more: list[float], rings: list[NDArray[np.bool_]]) -> float:
    """a of P = N + a (Q - P), by least squares; a ring counts by its size and its relative scatter."""
    power, excess = np.asarray(flat), np.maximum(more, 0.0)
    weight = np.sqrt([np.count_nonzero(r) for r in rings]) / power
    design = np.stack([np.ones_like(power), excess], axis=1) * weight[:, None]
    (_, a), *_ = np.linalg.lstsq(design, power * weight, rcond=None)
    return float(np.clip(a, 0.0, MOST))
