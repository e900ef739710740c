"""From a scan to an image: the samplers of the modes `mean`, `natural` and `sample`.

A sampler knows a `Process` and ``denoised(x, t) -> (D, v)``: the estimate of the clean image for a state x
of noise level t, and its variance (None if unknown). x is what ``process.inputs`` returns. Randomness is
injected: ``noise(rng)`` draws a unit-SD noise image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from medidiff.diffusion.arrays import Array, Noise
from medidiff.diffusion.process import Process

Denoised: TypeAlias = Callable[[Array, float], tuple[Array, Array | None]]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a sampler returns.

    Attributes:
        image: the sampler's answer.
        mean: D at the first evaluation: the posterior mean given the scan.
        variance: v at the first evaluation: the posterior variance given the scan.
        evaluations: network evaluations spent.
    """

    image: Array
    mean: Array
    variance: Array | None
    evaluations: int


def mean(
    denoised: Denoised,
    y: Array,
    process: Process,
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
) -> Estimate:
    """The posterior mean D(y): best PSNR, unbiased; one evaluation at s = 1."""
    x0_hat, v = denoised(process.inputs(process.start(y, 1.0, rng, noise), y, 1.0), process.time(1.0))
    return Estimate(x0_hat, x0_hat, v, 1)


def natural(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
) -> Estimate:
    """Euler steps of the probability-flow ODE, x <- D + (t'/t)(x - D) for the matched process.

    Deterministic from the scan on: texture comes from the scan's own residual. Where the last level is not 0,
    that share of the residual stays.
    """
    return _chain(denoised, y, process, levels, False, rng, noise)


def sample(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
) -> Estimate:
    """A draw from the posterior by the reverse SDE; for the matched process, with r = (t'/t)^2,

        x <- D + r (x - D) + sqrt(t'^2 (1 - r) m^2 + (1 - r)^2 v) n

    The v term, the last step's included, returns the variance that finite steps lose. If `denoised` gives no
    variance this is the plain ancestral sampler.
    """
    return _chain(denoised, y, process, levels, True, rng, noise)


def _chain(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    stochastic: bool,
    rng: np.random.Generator | None,
    noise: Noise | None,
) -> Estimate:
    """Walks down the levels, one evaluation and one `Process.step` each."""
    if len(levels) < 2 or any(a <= b for a, b in pairwise(levels)) or levels[-1] < 0.0:
        raise ValueError(f"levels must descend to 0 or above. Received: {tuple(levels)}")
    x = process.start(y, levels[0], rng, noise)
    first: tuple[Array, Array | None] | None = None
    for s, s_next in pairwise(levels):
        x0_hat, v = denoised(process.inputs(x, y, s), process.time(s))
        if first is None:
            first = x0_hat, v
        if stochastic:
            eta = process.ancestral(s, s_next)
            x = process.step(x, x0_hat, y, s, s_next, eta, rng=rng, noise=noise, v=v)
        else:
            x = process.step(x, x0_hat, y, s, s_next)
    assert first is not None
    return Estimate(x, *first, len(levels) - 1)
