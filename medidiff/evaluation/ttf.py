"""TTF: how sharply edges of a given contrast come out, measured on disk inserts.

A non-linear denoiser has no single MTF: its sharpness depends on contrast and noise, so that the task
transfer function (Richard et al. 2012, Med Phys 39:4115; ICRU Report 87) is measured at the contrast and
dose in question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import PixelError
from medidiff.volume import FloatArray

BIN_PX = 0.1
LENGTH = 4000
"""Bins of the line spread, padded with zeros: 201 frequencies from 0 to half a cycle per pixel."""

MIN_REACH_PX = 4.0
"""The profile must cover at least this distance on either side of the edge."""

RESAMPLES = 200
LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ttf:
    """Task transfer function of one disk insert.

    Attributes:
        f: frequencies in lp/cm, from 0 to the Nyquist frequency.
        ttf: normalised to 1 at 0.
        f50: lp/cm at which it first falls to one half (TTF50); None if it does not.
        f50_ci: 95 % bootstrap interval of `f50` over realisations; None with a single one, or if `f50` is
            None in one replicate in twenty.
        contrast: insert minus surround as measured, in the image's unit.
        realisations: slices averaged.
        pixel_mm: pixel size in mm.
    """

    f: tuple[float, ...]
    ttf: tuple[float, ...]
    f50: float | None
    f50_ci: tuple[float, float] | None
    contrast: float
    realisations: int
    pixel_mm: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "f_lp_cm": list(self.f),
            "ttf": list(self.ttf),
            "ttf50_lp_cm": self.f50,
            "ttf50_ci": None if self.f50_ci is None else list(self.f50_ci),
            "contrast": self.contrast,
            "realisations": self.realisations,
            "pixel_mm": self.pixel_mm,
            "ci_level": LEVEL,
            "protocol": f"disk insert, radial edge profile in {BIN_PX:g} px bins over realisations",
        }


def ttf(
    slices: FloatArray,
    centre_yx: tuple[float, float],
    radius_mm: float,
    pixel_mm: float,
    rng: np.random.Generator,
) -> Ttf:
    """TTF from the edge of a disk: edge spread -> line spread -> magnitude of its FFT, 1 at frequency 0.

    The edge spread is the mean over angles and realisations at each distance from the centre, from a quarter
    of the radius to seven quarters; nothing but the disk and its uniform surround may lie there.

    Args:
        slices: realisations of the same insert, ``[n, y, x]``.
        centre_yx: centre in pixel coordinates (0 is the centre of the first pixel).
        radius_mm: true radius of the disk.
        pixel_mm: pixel size in mm.
        rng: of the bootstrap.

    Raises:
        PixelError: the disk is too small, lies too near the border or has no contrast.
    """
    radius = radius_mm / pixel_mm
    reach = 0.75 * radius
    if reach < MIN_REACH_PX:
        raise PixelError(
            f"The insert is too small for a TTF: its radius must be at least {MIN_REACH_PX / 0.75:.1f} px",
            received=f"{radius:.1f} px",
        )
    rows, columns = _box(slices.shape[1:], centre_yx, radius + reach)
    y, x = np.ogrid[rows, columns]
    distance = np.hypot(y - centre_yx[0], x - centre_yx[1]).ravel()
    values = slices[:, rows, columns].reshape(len(slices), -1).astype(np.float64)

    f, curve, contrast = _transfer(distance, values.mean(axis=0), radius, reach)
    lp_cm = f * 10.0 / pixel_mm
    f50 = _crossing(lp_cm, curve, 0.5)
    ci = None
    if f50 is not None and len(values) > 1:
        weights = rng.multinomial(len(values), np.full(len(values), 1.0 / len(values)), RESAMPLES)
        means = weights @ values / len(values)
        drawn = [_crossing(lp_cm, _transfer(distance, m, radius, reach)[1], 0.5) for m in means]
        known = [v for v in drawn if v is not None]
        if len(known) >= LEVEL * RESAMPLES:
            low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
            ci = float(low), float(high)
    return Ttf(tuple(map(float, lp_cm)), tuple(map(float, curve)), f50, ci, contrast, len(slices), pixel_mm)


def _box(shape: tuple[int, ...], centre_yx: tuple[float, float], reach: float) -> tuple[slice, slice]:
    """Rows and columns within `reach` of the centre."""
    low = [int(np.floor(c - reach)) for c in centre_yx]
    high = [int(np.ceil(c + reach)) + 1 for c in centre_yx]
    if min(low) < 0 or any(h > n for h, n in zip(high, shape, strict=True)):
        raise PixelError("The insert lies too near the border for a TTF", received=f"centre {centre_yx}")
    return slice(low[0], high[0]), slice(low[1], high[1])


def _transfer(distance: Floats, values: Floats, radius: float, reach: float) -> tuple[Floats, Floats, float]:
    """Frequencies in cycles per pixel up to 0.5, the TTF there, and the contrast."""
    bins = int(round(2 * reach / BIN_PX))
    which = np.floor((distance - (radius - reach)) / BIN_PX).astype(np.intp)
    inside = (which >= 0) & (which < bins)
    count = np.bincount(which[inside], minlength=bins)
    full = count > 0
    mean_r = np.bincount(which[inside], distance[inside], bins)[full] / count[full]
    mean_v = np.bincount(which[inside], values[inside], bins)[full] / count[full]
    grid = radius - reach + BIN_PX * (np.arange(bins) + 0.5)
    edge = np.interp(grid, mean_r, mean_v)
    plateau = bins // 6
    contrast = float(edge[:plateau].mean() - edge[-plateau:].mean())
    if contrast == 0.0:
        raise PixelError("The insert has no contrast: there is no edge to measure")
    line = -np.diff(edge) / contrast * _taper(bins - 1)
    f = np.asarray(np.fft.rfftfreq(LENGTH, BIN_PX), np.float64)
    f = f[f <= 0.5]
    spectrum: Floats = np.abs(np.fft.rfft(line, LENGTH))[: len(f)]
    # The difference of neighbouring bins is a box of one bin in space.
    return f, spectrum / spectrum[0] / np.sinc(f * BIN_PX), contrast


def _taper(count: int) -> Floats:
    """1 over the middle half, a cosine down to 0 at the ends (Tukey): cuts the noise far from the edge."""
    x = np.abs(np.linspace(-1.0, 1.0, count))
    return np.where(x < 0.5, 1.0, 0.5 * (1.0 + np.cos(2.0 * np.pi * (x - 0.5))))


def _crossing(f: Floats, curve: Floats, level: float) -> float | None:
    """Frequency of the first fall below a level, linear between samples."""
    below = np.flatnonzero(curve < level)
    if not below.size or below[0] == 0:
        return None
    k = int(below[0])
    share = (curve[k - 1] - level) / (curve[k - 1] - curve[k])
    return float(f[k - 1] + share * (f[k] - f[k - 1]))
