"""Rician noise for methods that know only Gaussian noise: a variance-stabilising transform and its inverse.

f(m) = integral of dm / sd(m) makes the noise Gaussian of SD 1 to first order; the inverse is that of the
mean, A such that E[f(m) | A] is what was found, so that no noise floor is left (Foi 2011, "Noise estimation
and removal in MR imaging: the variance-stabilization approach", with the asymptotic transform).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from medidiff.noise.floor import koay_xi, rician_mean
from medidiff.volume import FloatArray
from peers.given import Given, Method, Single

TOP = 60.0
"""SNR up to which the transform is tabulated; above, the noise is Gaussian and the transform straight."""


@cache
def _tables() -> tuple[NDArray[np.float64], ...]:
    """A, m, f(m) and E[f(m) | A], in units of sigma."""
    signal = np.concatenate([np.linspace(0.0, 6.0, 601), np.linspace(6.05, TOP, 1080)])
    mean = rician_mean(signal, 1.0)
    slope = 1.0 / np.sqrt(np.maximum(koay_xi(signal), 0.4))
    # Below the mean of pure noise the transform goes on with the slope that it has there.
    m = np.concatenate([[0.0], mean])
    f = np.concatenate([[0.0], slope[0] * mean[0] + _integral(mean, slope)])
    x = np.linspace(-8.0, 8.0, 801)
    expected = np.empty_like(signal)
    for i, a in enumerate(signal):
        values = np.maximum(a + x, 1e-9)
        log = np.log(values) - 0.5 * (values - a) ** 2 + np.log(special.i0e(values * a))
        weight = np.where(a + x > 0, np.exp(log), 0.0)
        expected[i] = (weight * _extended(values, m, f)).sum() / weight.sum()
    return signal, m, f, np.maximum.accumulate(expected)


def stabilise(image: FloatArray, sigma: float) -> FloatArray:
    """Magnitudes to values whose noise has SD 1."""
    _, m, f, _ = _tables()
    return _extended(np.asarray(image, np.float64) / sigma, m, f).astype(np.float32)


def unstabilise(values: FloatArray, sigma: float) -> FloatArray:
    """The signal A whose mean stabilised magnitude is as found; 0 below that of pure noise."""
    signal, _, _, expected = _tables()
    return (_extended(np.asarray(values, np.float64), expected, signal) * sigma).astype(np.float32)


def stabilised(method: Single) -> Single:
    """The method between transform and inverse, told an SD of 1."""

    def run(given: Given) -> Iterator[FloatArray]:
        inner = replace(given, slab=stabilise(given.slab, given.sigma), sigma=1.0)
        for answer in method(inner):
            yield unstabilise(answer, given.sigma)

    return run


def without_floor(method: Single) -> Method:
    """The method as it is, and with its mean magnitudes freed from the Rician floor in two ways.

    An average of magnitudes is above the signal: by sigma^2 in the square where there is signal, by up to
    2 sigma^2 in air.
    """

    def run(given: Given) -> Iterator[tuple[FloatArray, ...]]:
        for answer in method(given):
            square = np.square(answer)
            yield tuple(np.sqrt(np.maximum(square - k * given.sigma**2, 0.0)) for k in (0.0, 1.0, 2.0))

    return run


def corrected(method: Single) -> Method:
    """All of these answers, for the best of them to count."""

    def run(given: Given) -> Iterator[FloatArray | tuple[FloatArray, ...]]:
        yield from stabilised(method)(given)
        yield from without_floor(method)(given)

    return run


def _integral(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running trapezoidal integral, 0 at the start."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])


def _extended(
    x: NDArray[np.float64], grid: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation, held below the grid and going on with slope 1 above it."""
    return np.asarray(np.interp(x, grid, values) + np.maximum(x - grid[-1], 0.0))
