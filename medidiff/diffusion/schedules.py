"""Level grids: pure functions that return descending levels, the start first and the end last.

Matched levels are tau = t / t_y from 1 to 0; K intervals cost K network evaluations.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Levels = tuple[float, ...]
TAU_MIN = 0.1
"""Lowest level of `geo` before 0: below a tenth of the scan's noise a step changes nothing visible."""

REST, MOST_REST = 0.15, 0.5
"""Lowest and highest level at which `natural` stops. What a network leaves of the noise is of low
frequencies; where the lower share of the scan's own noise stays, the mean frequency of what remains shifts by
less than 15 % down to a tenth of the dose (`benchmarks/observer.py`)."""

LEFT = {"ct": 0.01, "mr": 0.0}
"""Noise SD that `natural` leaves, network units (CT: 5 HU), within those levels. At full dose small faint
objects can be seen, and a network that takes out more takes some of them for noise: with 0.15 everywhere two
of eight were less detectable than in the scan, with this none (`benchmarks/observer.py`)."""

FAST_DDPM: Levels = tuple((k + 1) / 1000 for k in (999, 949, 899, 849, 799, 699, 599, 399, 199, 0)) + (0.0,)
"""The non-uniform ten-step grid of Fast-DDPM (Jiang et al. 2024) over 1000 levels, as s."""


def geo(steps: int, tau_min: float = TAU_MIN) -> Levels:
    """Geometric from 1 to tau_min in `steps` levels, then 0."""
    _at_least_one(steps)
    return (*(float(t) for t in np.geomspace(1.0, tau_min, steps)), 0.0)


def quad(steps: int, last: float = 0.0) -> Levels:
    """tau_i = (1 - i / K)^2, from 1 to `last`."""
    _at_least_one(steps)
    return tuple(last + (1.0 - last) * (1.0 - i / steps) ** 2 for i in range(steps + 1))


def uniform(steps: int) -> Levels:
    """Equal steps from 1 to 0."""
    _at_least_one(steps)
    return tuple(1.0 - i / steps for i in range(steps + 1))


def karras(steps: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> Levels:
    """EDM noise levels sigma_max .. sigma_min, then 0 (Karras et al. 2022, eq. 5)."""
    _at_least_one(steps)
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (*(float(u**rho) for u in np.linspace(*ends, steps)), 0.0)


def grid(kind: Literal["geo", "quad"], steps: int, t_y: float, t_min: float, left: float = 0.0) -> Levels:
    """The grid for a scan of noise SD t_y; of one step where there is too little noise for several.

    Args:
        kind: ``"geo"``, to 0, or ``"quad"``, to where `left` stays, from `REST` to `MOST_REST`.
        steps: network evaluations.
        t_y: noise SD of the scan.
        t_min: lowest trained noise SD, same unit.
        left: noise SD that ``"quad"`` leaves, same unit.
    """
    if kind not in ("geo", "quad"):
        raise ValueError(f"kind must be 'geo' or 'quad'. Received: {kind}")
    several = t_y > 2 * t_min
    if kind == "quad":
        return quad(steps if several else 1, min(max(REST, left / t_y), MOST_REST))
    return geo(steps, max(TAU_MIN, t_min / t_y)) if several else (1.0, 0.0)


def _at_least_one(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1. Received: {steps}")
