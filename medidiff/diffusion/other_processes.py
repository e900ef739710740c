"""Processes of other methods, for comparison: conditional DDPM, Brownian bridge, noise-free mixing."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.arrays import Array, Noise
from medidiff.diffusion.process import Coefficients, Process, scan_as_start


class VariancePreserving(Process):
    """Conditional DDPM (Ho et al. 2020, eq. 4): white noise, 1000 levels, beta linear from 1e-4 to 0.02.

    s = k / 1000 is level k; between levels ln(alpha_bar) is interpolated. The network sees x_s / alpha, whose
    noise SD is sigma = gamma / alpha, so that EDM preconditioning applies unchanged (Karras 2022, Table 1).

    Args:
        conditional: whether the network also sees the scan.
    """

    noise = "white"

    def __init__(self, conditional: bool = True) -> None:
        self.sees_scan = conditional

    def coef(self, s: float) -> Coefficients:
        """(sqrt(alpha_bar), 0, sqrt(1 - alpha_bar))."""
        log_abar = -float(np.interp(s, np.linspace(0.0, 1.0, 1001), _minus_log_alpha_bar()))
        return Coefficients(float(np.exp(log_abar / 2)), 0.0, float(np.sqrt(-np.expm1(log_abar))))

    def time(self, s: float) -> float:
        """t = gamma / alpha."""
        alpha, _, gamma = self.coef(s)
        return gamma / alpha

    def level(self, sigma: float) -> float:
        """The s at which gamma / alpha is sigma; sigma up to 157."""
        return float(np.interp(np.log1p(sigma**2), _minus_log_alpha_bar(), np.linspace(0.0, 1.0, 1001)))

    def start(
        self, y: Array, s: float = 1.0, rng: np.random.Generator | None = None, noise: Noise | None = None
    ) -> Array:
        """Pure noise of SD gamma: the clean image's share in it is neglected."""
        return self.coef(s).gamma * self.draw(y, rng, noise)

    def inputs(self, x_s: Array, y: Array, s: float) -> Array:
        """(x_s / alpha, y), or x_s / alpha alone if not conditional."""
        state = x_s / self.coef(s).alpha
        return (state, y) if self.sees_scan else state


class Bridge(Process):
    """Brownian bridge from the scan: (1 - s) x + s y + 2 b sqrt(s (1 - s)) eps, eps white (Li et al. 2023).

    Args:
        t_y: noise SD of the scan, network units.
        b: SD of the bridge at its middle, same unit. `time` tells levels apart only while 2 b^2 <= t_y^2.
    """

    noise = "white"

    def __init__(self, t_y: float, b: float) -> None:
        self.t_y, self.b = float(t_y), float(b)

    def coef(self, s: float) -> Coefficients:
        """(1 - s, s, 2 b sqrt(s (1 - s)))."""
        return Coefficients(1.0 - float(s), float(s), 2.0 * self.b * float(np.sqrt(s * (1.0 - s))))

    def time(self, s: float) -> float:
        """SD of what remains of the scan's noise plus the bridge's."""
        return float(np.hypot(s * self.t_y, self.coef(s).gamma))

    def start(
        self, y: Array, s: float = 1.0, rng: np.random.Generator | None = None, noise: Noise | None = None
    ) -> Array:
        """The scan itself."""
        return scan_as_start(self, y, s)

    def ancestral(self, s: float, s_next: float) -> float:
        """Makes the step (1 - r) x0_hat + r x_s + 2 b sqrt(s' (1 - r)) n, r = s'/s."""
        if s_next == 0.0:
            return 0.0
        return float(np.sqrt(1.0 - s_next / s * (1.0 - s) / (1.0 - s_next)))


class Mixing(Process):
    """Noise-free mixing of clean image and scan, (1 - s) x + s y (CoreDiff-style; usually ten uniform steps).

    Args:
        t_y: noise SD of the scan, network units.
        kind: ``"cold"`` rebuilds every state from x0_hat and y (cold diffusion, Bansal et al. 2022, naive
            form); ``"indi"`` moves the state itself (InDI, Delbracio & Milanfar 2023, eq. 6).
    """

    noise = "none"

    def __init__(self, t_y: float, kind: Literal["cold", "indi"] = "cold") -> None:
        if kind not in ("cold", "indi"):
            raise ValueError(f"kind must be 'cold' or 'indi'. Received: {kind}")
        self.t_y, self.kind = float(t_y), kind

    def coef(self, s: float) -> Coefficients:
        """(1 - s, s, 0)."""
        return Coefficients(1.0 - float(s), float(s), 0.0)

    def time(self, s: float) -> float:
        """t = s t_y: with x0_hat = x the state is the scan at a lower noise level."""
        return float(s) * self.t_y

    def start(
        self, y: Array, s: float = 1.0, rng: np.random.Generator | None = None, noise: Noise | None = None
    ) -> Array:
        """The scan itself."""
        return scan_as_start(self, y, s)

    def ancestral(self, s: float, s_next: float) -> float:
        """0: the process is deterministic."""
        return 0.0

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
        """Deterministic step of the chosen kind; eta and v are ignored, for there is no noise to draw."""
        if self.kind == "indi":
            r = float(s_next) / float(s)
            return (1.0 - r) * x0_hat + r * x_s
        return super().step(x_s, x0_hat, y, s, s_next)


@cache
def _minus_log_alpha_bar() -> NDArray[np.float64]:
    """-ln(alpha_bar) at levels 0..1000 of the linear schedule (Ho et al. 2020, section 4)."""
    beta = np.linspace(1e-4, 0.02, 1000)
    return np.concatenate([[0.0], np.cumsum(-np.log1p(-beta))])
