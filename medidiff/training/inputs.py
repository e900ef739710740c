"""Inputs: what a network is given of a simulated slice; the released recipes, and the ablations of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medidiff.intensity import Intensity
from medidiff.models.processes import MATCHED, make
from medidiff.training.config import TrainConfig
from medidiff.volume import FloatArray

LEVELS = 1000
"""Levels of the DDPM in training (Ho et al. 2020)."""

MIXING_LEVELS = 10
"""Levels of the noise-free mixing, as in CoreDiff (Gao et al. 2024, IEEE Trans Med Imaging)."""

BRIDGE_LOW = 0.02
"""Lowest level of the bridge: below it there is hardly any noise to remove."""


@dataclass(frozen=True)
class Inputs:
    """What a network is given.

    Attributes:
        process: forward process, a key of `medidiff.models.processes.PROCESSES`.
        conditioning: ``"map"``: the noise level and its relative map; ``"scalar"``: the level alone;
            ``"none"``: neither, all coefficients are those of `blind_sigma`.
        context: whether neighbour slices are given.
        blind_sigma: the level that a network without conditioning is always told, network units.
        first: states are those where sampling starts (validation); only a prior, which has no scan to
            start from, is judged at all levels.
    """

    process: str = MATCHED
    conditioning: str = "map"
    context: bool = True
    blind_sigma: float = 0.1
    first: bool = False

    @classmethod
    def of(cls, config: TrainConfig, *, first: bool = False) -> Inputs:
        """As a run asks for."""
        data = config.data
        scale = Intensity.ct().scale if config.modality == "ct" else 1.0
        middle = float(np.sqrt(data.sigma[0] * data.sigma[1])) / scale
        return cls(config.process, data.conditioning, data.context, middle, first)

    def told(self, sigma: float) -> float:
        """The noise level that the network is told where `sigma` is known."""
        return self.blind_sigma if self.conditioning == "none" else sigma

    def state(
        self, x: FloatArray, y: FloatArray, t_y: float, rng: np.random.Generator
    ) -> tuple[FloatArray, float]:
        """A state of the process and its noise level (`medidiff.diffusion.process`).

        Args:
            x: clean image.
            y: scan.
            t_y: its noise SD.
            rng: source of randomness.

        Returns:
            What `Process.inputs` gives the network as state, and `Process.time`.
        """
        process = make(self.process, t_y)
        s = 1.0 if self.first and self.process != "prior" else self._level(rng)
        alpha, beta, gamma = process.coef(s)
        state = alpha * x + beta * y
        if gamma:
            state = state + gamma * rng.standard_normal(x.shape, dtype=np.float32)
        if self.process in ("ddpm", "prior"):
            state = state / alpha
        return np.asarray(state, np.float32), process.time(s)

    def _level(self, rng: np.random.Generator) -> float:
        if self.process in ("ddpm", "prior"):
            return float(rng.integers(1, LEVELS + 1)) / LEVELS
        if self.process == "mixing":
            return float(rng.integers(1, MIXING_LEVELS + 1)) / MIXING_LEVELS
        return float(rng.uniform(BRIDGE_LOW, 1.0))
