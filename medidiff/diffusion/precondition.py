"""EDM preconditioning (Karras et al. 2022, Table 1): the network sees and gives unit-variance numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medidiff.diffusion.arrays import Array, Namespace

H_MIN, H_MAX = -8.0, 2.0
"""Range of the log-variance head: v stays between 0.0003 and 7.4 times c_out^2."""


@dataclass(frozen=True)
class Precondition:
    """The coefficients of D(x, s) = c_skip x + c_out F(c_in x, c_noise).

    They depend on the noise only through its pixel SD, so they hold for coloured noise too. s -> 0 returns
    the input; large s turns the network into a predictor of x.

    Attributes:
        sigma_data: SD of the clean training patches, in network units (one value per modality).
    """

    sigma_data: float

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise ValueError(f"sigma_data must be positive. Received: {self.sigma_data}")

    def c_skip(self, s: Array) -> Array:
        """sd^2 / (s^2 + sd^2): the share of the input that is kept."""
        return self.sigma_data**2 / (s * s + self.sigma_data**2)

    def c_out(self, s: Array) -> Array:
        """s sd / sqrt(s^2 + sd^2): the SD of what the input leaves unknown."""
        return s * self.sigma_data / (s * s + self.sigma_data**2) ** 0.5

    def c_in(self, s: Array) -> Array:
        """1 / sqrt(s^2 + sd^2): makes the input unit-variance."""
        return 1.0 / (s * s + self.sigma_data**2) ** 0.5

    def c_noise(self, s: Array, xp: Namespace = np) -> Array:
        """ln(s) / 4, the noise-level embedding; s must be positive."""
        return 0.25 * xp.log(s)

    def weight(self, s: Array) -> Array:
        """lambda(s) = 1 / c_out^2: equal effective weight at every noise level."""
        return (s * s + self.sigma_data**2) / (s * s * self.sigma_data**2)

    def apply(self, F: Array, x: Array, s: Array) -> Array:
        """D(x, s) from the raw network output F.

        Args:
            F: raw output of the mean head, shaped like x.
            x: noisy state, network units.
            s: its noise SD, same unit, broadcastable to x.
        """
        return self.c_skip(s) * x + self.c_out(s) * F

    def target(self, x0: Array, x: Array, s: Array) -> Array:
        """The F that makes `apply` return x0 (the network's effective training target)."""
        return (x0 - self.c_skip(s) * x) / self.c_out(s)

    def variance(self, h: Array, s: Array, xp: Namespace = np) -> Array:
        """v = c_out^2 exp(h), h clipped to [-8, 2]: per-pixel variance of x around D."""
        return self.c_out(s) ** 2 * xp.exp(xp.clip(h, H_MIN, H_MAX))
