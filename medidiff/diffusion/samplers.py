"""From a scan to an image: five samplers, one signature.

A sampler knows a `Process` and ``denoised(x, t) -> (D, v)``: the estimate of the clean image for a state x
of noise level t, and its variance (None if unknown). x is what ``process.inputs`` returns. Randomness is
injected: ``noise(rng)`` draws a unit-SD noise image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np

from medidiff.diffusion.arrays import Array, Noise
from medidiff.diffusion.process import Process

Denoised: TypeAlias = Callable[[Array, float], tuple[Array, Array | None]]
DIRECT = (1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Step:
    """What a callback is told after each network evaluation.

    Attributes:
        index: number of this evaluation, from 0.
        count: number of evaluations in all.
        level: level that was evaluated.
        x: state after the step.
        x0_hat: estimate of the clean image.
        v: its variance.
    """

    index: int
    count: int
    level: float
    x: Array
    x0_hat: Array
    v: Array | None


Callback: TypeAlias = Callable[[Step], None]


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


class Sampler(Protocol):
    """The signature of all samplers."""

    def __call__(
        self,
        denoised: Denoised,
        y: Array,
        process: Process,
        levels: Sequence[float],
        *,
        rng: np.random.Generator | None = None,
        noise: Noise | None = None,
        callback: Callback | None = None,
    ) -> Estimate:
        """Runs the sampler over descending levels."""


def mean(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float] = DIRECT,
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """The posterior mean D(y): best PSNR, unbiased; one evaluation at ``levels[0]``."""
    return _blend(denoised, y, process, (levels[0], 0.0), rng, noise, callback)


def strength(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """D + rho (y - D), rho = ``levels[-1]`` = sqrt(dose_in / dose_target): the scan as if at a higher dose.

    Keeps the scan's own noise texture; exact where D = x; one evaluation. rho = 1 returns the scan itself.
    """
    return _blend(denoised, y, process, levels, rng, noise, callback)


def mean_ref(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """(1 - a) D + a y = E[x_F | y], a = ``levels[-1]`` = the scan's dose over the reference's dose.

    The best estimate of a *noisy* reference x_F whose noise is a part of the scan's; only for scoring against
    such a reference. Its error has variance (1 - a)^2 v + (1 - a) sigma_F^2.
    """
    return _blend(denoised, y, process, levels, rng, noise, callback)


def natural(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """Euler steps of the probability-flow ODE, x <- D + (t'/t)(x - D) for the matched process.

    Deterministic from the scan on: texture comes from the scan's own residual. Where the last level is not 0,
    that share of the residual stays.
    """
    return _chain(denoised, y, process, levels, False, rng, noise, callback)


def sample(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    *,
    rng: np.random.Generator | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Estimate:
    """A draw from the posterior by the reverse SDE; for the matched process, with r = (t'/t)^2,

        x <- D + r (x - D) + sqrt(t'^2 (1 - r) m^2 + (1 - r)^2 v) n

    The v term, the last step's included, returns the variance that finite steps lose. If `denoised` gives no
    variance this is the plain ancestral sampler.
    """
    return _chain(denoised, y, process, levels, True, rng, noise, callback)


SAMPLERS: Mapping[str, Sampler] = {
    "mean": mean,
    "natural": natural,
    "sample": sample,
    "strength": strength,
    "mean_ref": mean_ref,
}


def _blend(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    rng: np.random.Generator | None,
    noise: Noise | None,
    callback: Callback | None,
) -> Estimate:
    """D + rho (y - D) with one evaluation at the first level, rho the last level."""
    if not 0.0 <= levels[-1] <= 1.0:
        raise ValueError(f"the last level must lie in [0, 1]. Received: {levels[-1]}")
    s, rho = levels[0], float(levels[-1])
    x0_hat, v = denoised(process.inputs(process.start(y, s, rng, noise), y, s), process.time(s))
    image = x0_hat
    if rho == 1.0:  # bit for bit, which D + (y - D) is not
        image = y
    elif rho > 0.0:
        image = x0_hat + rho * (y - x0_hat)
    if callback is not None:
        callback(Step(0, 1, s, image, x0_hat, v))
    return Estimate(image, x0_hat, v, 1)


def _chain(
    denoised: Denoised,
    y: Array,
    process: Process,
    levels: Sequence[float],
    stochastic: bool,
    rng: np.random.Generator | None,
    noise: Noise | None,
    callback: Callback | None,
) -> Estimate:
    """Walks down the levels, one evaluation and one `Process.step` each."""
    if len(levels) < 2 or any(a <= b for a, b in pairwise(levels)) or levels[-1] < 0.0:
        raise ValueError(f"levels must descend to 0 or above. Received: {tuple(levels)}")
    x = process.start(y, levels[0], rng, noise)
    first: tuple[Array, Array | None] | None = None
    for i, (s, s_next) in enumerate(pairwise(levels)):
        x0_hat, v = denoised(process.inputs(x, y, s), process.time(s))
        if first is None:
            first = x0_hat, v
        if stochastic:
            eta = process.ancestral(s, s_next)
            x = process.step(x, x0_hat, y, s, s_next, eta, rng=rng, noise=noise, v=v)
        else:
            x = process.step(x, x0_hat, y, s, s_next)
        if callback is not None:
            callback(Step(i, len(levels) - 1, s, x, x0_hat, v))
    assert first is not None
    return Estimate(x, *first, len(levels) - 1)
