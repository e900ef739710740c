"""Training objective: loss terms and the exact correction for noisy targets.

The functions use operators and a namespace `xp` (``numpy``, ``keras.ops``, ``jax.numpy``), so that the
trainer and the NumPy reference are the same lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medidiff.diffusion.arrays import Array, Namespace
from medidiff.volume import HU_EDGES

MAX_FRACTION = 0.5
"""Largest usable a: beyond it the corrected target carries more than twice the reference's noise."""


def _identity(x: Array) -> Array:
    return x


@dataclass(frozen=True, eq=False)
class NoisyTarget:
    """A reference x_F = x + n_F that is itself noisy, with the input y = x_F + n_ins made from it.

    For independent Gaussian noises of equal covariance E[x_F | y] = (1 - a) E[x | y] + a y, so that
    regressing D on x* = (x_F - a y) / (1 - a) has the minimiser D = E[x | y]: nothing is to be undone at
    inference. A network trained naively on x_F is repaired by the same formula, applied to its output. As an
    estimate of x_F itself, (1 - a) D + a y has an error of variance (1 - a)^2 v + (1 - a) sigma_F^2.

    Attributes:
        sigma_f: noise SD of the reference.
        sigma_ins: SD of the inserted noise; both scalars or one value per sample, broadcastable to images.
    """

    sigma_f: Array
    sigma_ins: Array

    @classmethod
    def at(cls, t: Array, sigma_f: Array) -> NoisyTarget:
        """The pair whose input has noise SD t in all.

        Raises:
            ValueError: t < 1.41 sigma_f, where a would exceed one half (NumPy numbers only).
        """
        if np.any(np.asarray(sigma_f) ** 2 > MAX_FRACTION * np.asarray(t) ** 2):
            raise ValueError(f"a level t can use targets up to t / 1.41. Received: t={t}, sigma_f={sigma_f}")
        return cls(sigma_f, (t**2 - sigma_f**2) ** 0.5)

    @property
    def a(self) -> Array:
        """a = sigma_F^2 / (sigma_F^2 + sigma_ins^2): dose of the input over dose of the reference."""
        return self.sigma_f**2 / (self.sigma_f**2 + self.sigma_ins**2)

    @property
    def t(self) -> Array:
        """Noise SD of the input: what the network is told."""
        return (self.sigma_f**2 + self.sigma_ins**2) ** 0.5

    @property
    def excess_variance(self) -> Array:
        """sigma_F^2 / (1 - a): variance of x* around D beyond the posterior's; goes into the NLL."""
        return self.sigma_f**2 / (1.0 - self.a)

    def target(self, reference: Array, y: Array) -> Array:
        """x* = (x_F - a y) / (1 - a), what D is regressed on. Also repairs a naively trained prediction."""
        return (reference - self.a * y) / (1.0 - self.a)


def weighted_square(D: Array, target: Array, weight: Array) -> Array:
    """w |D - x|^2, per pixel; weight is lambda(s) times the tissue weight."""
    return weight * (D - target) ** 2


def nll(
    D: Array,
    v: Array,
    target: Array,
    excess: Array = 0.0,
    xp: Namespace = np,
    stop_gradient: Callable[[Array], Array] = _identity,
) -> Array:
    """0.5 [(x - stopgrad D)^2 / v + ln v] per pixel, v the total variance v + sigma_F^2 / (1 - a).

    Args:
        D: mean head; the gradient stops here, so that this term trains the variance head alone.
        v: variance head.
        target: x or x*.
        excess: `NoisyTarget.excess_variance`.
        xp: gives log.
        stop_gradient: the framework's.
    """
    total = v + excess
    return 0.5 * ((target - stop_gradient(D)) ** 2 / total + xp.log(total))


def bias_loss(error: Array, hu: Array, xp: Namespace = np, edges: tuple[float, ...] = HU_EDGES) -> Array:
    """Sum over HU bins of (bin mean of D - x)^2, over the whole batch.

    Args:
        error: D - x, any unit.
        hu: clean truth, or low-passed reference (a noisy one biases who belongs to a bin), same shape.
        xp: gives where, logical_and, sum and maximum.
        edges: bin edges; an empty bin adds nothing.
    """
    loss: Array = 0.0
    for low, high in zip(edges, edges[1:], strict=False):
        inside = xp.logical_and(hu >= low, hu < high)
        count = xp.sum(xp.where(inside, 1.0, 0.0))
        loss = loss + (xp.sum(xp.where(inside, error, 0.0)) / xp.maximum(count, 1.0)) ** 2
    return loss
