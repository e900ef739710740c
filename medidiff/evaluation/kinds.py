"""Kinds of tissue: bins of the smoothed scan that tell tissue apart, not noise.

Choosing pixels by the noisy scan chooses noise too: in a uniform phantom the brightest third is where the
noise is positive, and taking the noise away seems to darken it. For a posterior mean D the mean of D - y in
the bin ``a <= s(y) < b`` of the smoothed scan s(y) is ``-c (f(a) - f(b)) / P``, with c the covariance of
noise and smoothed noise, f the density of s(y) and P the share of the bin (Stein's identity; D - x has no
mean given y). Bins where that is not small beside the noise are not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from medidiff.volume import HU_EDGES, HU_NAMES, FloatArray

MR_KINDS = ("dark", "middle", "bright")
ONE_KIND = ("all",)
CHOSEN_NOISE = 0.05
"""Largest mean of the noise that a bin may choose, in noise SDs."""
MOST_SLICES = 12
DENSITY_WIDTH = 0.5
"""Half width of the window of a density at an edge, in SDs of the smoothed noise."""


class Uniform(NamedTuple):
    """Pixels in uniform tissue of one slice: the smoothed scan, what was removed, and that smoothed."""

    smooth: FloatArray
    removed: FloatArray
    removed_smooth: FloatArray


class Kinds(NamedTuple):
    """Names of the kinds of tissue, and the edges of their bins, one more, ascending."""

    names: tuple[str, ...]
    edges: tuple[float, ...]


HU_KINDS = Kinds(HU_NAMES, HU_EDGES)
"""The HU bins, which are far wider than smoothed noise."""


def kinds_of(slices: Iterable[Uniform], sigma: float, smoothing_px: float, floor: float) -> Kinds:
    """Thirds of the uniform tissue by brightness; one kind for all where thirds would choose noise.

    Args:
        slices: uniform tissue of some slices.
        sigma: noise SD of the scan.
        smoothing_px: SD of the Gaussian filter of the smoothed scan.
        floor: lower edge of the darkest bin.

    Returns:
        Kinds of tissue; none where there is no uniform tissue.
    """
    parts = [np.concatenate(part) for part in zip(*slices, strict=True)]
    if not parts or not parts[0].size:
        return Kinds((), (0.0,))
    smooth, removed, removed_smooth = (part.astype(np.float64) for part in parts)
    low, high = max(floor, 0.0), float(np.nextafter(smooth.max(), np.inf, dtype=np.float32))
    first, second = map(float, np.quantile(smooth, [1 / 3, 2 / 3]))
    # Of white noise at least; what a denoiser removed tells how far its noise is correlated.
    white = sigma**2 / (2 * np.pi * smoothing_px**2)
    covariance = max(white, float(np.mean(removed * removed_smooth)))
    width = DENSITY_WIDTH * np.sqrt(max(white / 2, float(np.var(removed_smooth)), 1e-12))
    density = max(float(np.mean(np.abs(smooth - edge) < width)) / (2 * width) for edge in (first, second))
    chosen = covariance * density / (1 / 3)
    if not low < first < second < high or chosen > CHOSEN_NOISE * sigma:
        return Kinds(ONE_KIND, (low, high))
    return Kinds(MR_KINDS, (low, first, second, high))
