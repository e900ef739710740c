"""Forward processes x_s = alpha x0 + beta y + gamma eps, s in [0, 1], and one step back along each.

One generic step serves them all (DDIM family, Song et al. 2021, eq. 12, with the scan y as third anchor):

    e  = (x_s - alpha x0_hat - beta y) / gamma
    x' = alpha' x0_hat + beta' y + gamma' (sqrt(1 - eta^2) e + eta n)

eta = 0 is deterministic, eta = `Process.ancestral(s, s')` samples the process's own reverse transition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from medidiff.diffusion.arrays import Array, Noise, white


class Coefficients(NamedTuple):
    """The shares of clean image, scan and noise in a state."""

    alpha: float
    beta: float
    gamma: float


class Process(ABC):
    """A path of states from the start (s = 1) to the clean image (s = 0)."""

    noise: ClassVar[Literal["matched", "white", "none"]]
    sees_scan: bool = True
    """Whether the network's estimate already uses the scan (then data consistency would count it twice)."""

    @property
    def relative_sd(self) -> Array:
        """Local SD of the injected noise relative to its nominal SD; 1 unless the process has a map."""
        return 1.0

    @abstractmethod
    def coef(self, s: float) -> Coefficients:
        """alpha, beta and gamma at s."""

    @abstractmethod
    def time(self, s: float) -> float:
        """Noise level t that the network is told at s: SD of `inputs` around x, network units."""

    @abstractmethod
    def start(self, y: Array, s: float, rng: np.random.Generator | None, noise: Noise | None) -> Array:
        """The state at the first level s."""

    def inputs(self, x_s: Array, y: Array, s: float) -> Array:
        """What the network sees: the state, or the pair (state, scan)."""
        return x_s

    def ancestral(self, s: float, s_next: float) -> float:
        """The eta whose step draws from q(x' | x_s, x0), from the ratio of noise to signal at both levels."""
        now, then = self.coef(s), self.coef(s_next)
        ratio = (then.gamma * now.alpha) / (then.alpha * now.gamma)
        return float(np.sqrt(1.0 - ratio**2))

    def step(
        self,
        x_s: Array,
        x0_hat: Array,
        y: Array,
        s: float,
        s_next: float,
        eta: float = 0.0,
        *,
        rng: np.random.Generator | None = None,
        noise: Noise | None = None,
        v: Array | None = None,
    ) -> Array:
        """The state at s_next < s.

        Args:
            x_s: state at s.
            x0_hat: estimate of the clean image, shaped like x_s.
            y: scan.
            s: current level.
            s_next: next level.
            eta: share of fresh noise, 0 (deterministic) to 1 (all).
            rng: passed to `noise`.
            noise: draws a unit-SD noise image; white noise from `rng` if None and the process is white.
            v: variance of x around x0_hat. If given, x0_hat's share of the new state is dispersed by it
                (law of total variance), which restores the posterior variance that few steps lose.

        Raises:
            ValueError: noise is to be drawn and there is no source for it.
        """
        now, then = self.coef(s), self.coef(s_next)
        keep = then.gamma / now.gamma * float(np.sqrt(1.0 - eta**2)) if now.gamma > 0 else 0.0
        of_x0, of_y = then.alpha - keep * now.alpha, then.beta - keep * now.beta
        x = of_x0 * x0_hat
        if keep:
            x = x + keep * x_s
        if of_y:
            x = x + of_y * y
        variance: Array = (then.gamma * eta * self.relative_sd) ** 2 if then.gamma * eta else 0.0
        if v is not None:
            variance = variance + of_x0**2 * v
        elif not then.gamma * eta:
            return x
        return x + variance**0.5 * self.draw(y, rng, noise)

    def draw(self, y: Array, rng: np.random.Generator | None, noise: Noise | None) -> Array:
        """One unit-SD noise image shaped like y."""
        if noise is not None:
            return noise(rng)
        if self.noise == "white" and rng is not None:
            return white(rng, y.shape)
        raise ValueError(f"{type(self).__name__} draws {self.noise} noise: pass noise, a function of rng")


class Matched(Process):
    """The design's process: x_s = x + s t_y m n, noise of the scan's own covariance; the scan is the start.

    x -> x_t -> y is a Markov chain, so the network needs no scan channel.

    Args:
        t_y: noise SD of the scan, network units.
        relative_sd: local SD relative to t_y, broadcastable to the scan.
    """

    noise = "matched"

    def __init__(self, t_y: float, relative_sd: Array = 1.0) -> None:
        if not t_y > 0:
            raise ValueError(f"t_y must be positive. Received: {t_y}")
        self.t_y = float(t_y)
        self._relative_sd = relative_sd

    @property
    def relative_sd(self) -> Array:
        """Local noise SD m(u) relative to t_y."""
        return self._relative_sd

    def coef(self, s: float) -> Coefficients:
        """(1, 0, s t_y)."""
        return Coefficients(1.0, 0.0, float(s) * self.t_y)

    def time(self, s: float) -> float:
        """t = s t_y; the dose of a state goes as the inverse square of t."""
        return float(s) * self.t_y

    def start(
        self, y: Array, s: float = 1.0, rng: np.random.Generator | None = None, noise: Noise | None = None
    ) -> Array:
        """The scan itself."""
        return scan_as_start(self, y, s)


def scan_as_start(process: Process, y: Array, s: float) -> Array:
    """The scan; only s = 1 is one."""
    if s != 1.0:
        raise ValueError(f"{type(process).__name__} starts at the scan, s = 1. Received: {s}")
    return y
