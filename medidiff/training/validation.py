"""Validation on held-out patients while training: gain over the noisy input by noise level, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.engines.base import Engine
from medidiff.models.processes import MATCHED
from medidiff.training.config import TrainConfig
from medidiff.training.inputs import Inputs
from medidiff.training.loader import open_source
from medidiff.training.patches import Source, cut
from medidiff.training.samples import Samples, concatenate
from medidiff.volume import FloatArray

PER_SLICE = 4
"""Patches of one slice."""

SEED = 77
"""Seed of the validation noise, the same for every run, so that runs can be compared."""

QUARTERS = 4
"""Bins of the noise level, equally filled."""

Predict = Callable[[FloatArray, FloatArray], FloatArray]
"""Planes ``[n, p, p, 4]`` and condition ``[n, K]`` to the network's output ``[n, p, p, 2]``."""


def gains(ratios: FloatArray, quarters: NDArray[np.intp]) -> NDArray[np.float64]:
    """Gain over the noisy input for each quarter of the noise levels, dB; NaN for one without patches.

    Args:
        ratios: squared error over noise variance of each patch, `Validator.ratios`.
        quarters: bin of each patch, `Validator.quarters`.
    """
    means = [
        float(ratios[quarters == q].mean()) if (quarters == q).any() else np.nan for q in range(QUARTERS)
    ]
    return np.asarray(-10.0 * np.log10(np.maximum(means, 1e-6)))


def predictor(engine: Engine) -> Predict:
    """An engine, which has channels first, as what `Validator.run` asks for."""

    def predict(planes: FloatArray, condition: FloatArray) -> FloatArray:
        found = engine(np.ascontiguousarray(planes.transpose(0, 3, 1, 2)), np.ascontiguousarray(condition))
        return np.asarray(found.transpose(0, 2, 3, 1))

    return predict


@dataclass(frozen=True)
class Validator:
    """A fixed set of validation patches.

    Attributes:
        samples: patches of the validation patients with fixed noise.
        precondition: EDM coefficients.
        edges: noise-level bins, network units.
        scan_sigma: noise SD of the scan behind each patch, where the states have levels of their own; None
            for those of the samples.
        scans: label of the scan behind each patch.
        own: MR: noise SD that the target of each patch shares with its state, network units.
    """

    samples: Samples
    precondition: Precondition
    edges: tuple[float, ...]
    scan_sigma: FloatArray | None = None
    scans: tuple[str, ...] = ()
    own: FloatArray | None = None

    @classmethod
    def make(cls, config: TrainConfig, source: Source | None = None, slices: int = 48) -> Validator:
        """Draws the set from the validation patients."""
        source = source or open_source(config, "val")
        rng = np.random.default_rng(SEED)
        precondition = Precondition(config.sigma_data)
        inputs = Inputs.of(config, first=True)
        parts: list[Samples] = []
        levels: list[float] = []
        scans: list[str] = []
        shared: list[float] = []
        for _ in range(slices):
            drawn = source.draw(rng)
            parts.append(cut(drawn, config.data.patch, PER_SLICE, precondition, rng, inputs))
            levels += [drawn.sigma] * PER_SLICE
            scans += [drawn.scan] * PER_SLICE
            # The noise of CT targets is taken out of them, see `CTSource.simulate`.
            shared += [drawn.reference_sigma if config.modality == "mr" else 0.0] * PER_SLICE
        sigma = np.asarray(levels, np.float32)
        edges = np.quantile(sigma, np.linspace(0.0, 1.0, QUARTERS + 1))
        levels_of_scans = None if config.process == MATCHED else sigma
        return cls(
            concatenate(parts), precondition, tuple(float(e) for e in edges), levels_of_scans, tuple(scans),
            np.asarray(shared, np.float32),
        )  # fmt: skip

    @property
    def levels(self) -> FloatArray:
        """Noise SD of the scan behind each patch."""
        return self.samples.sigma if self.scan_sigma is None else self.scan_sigma

    @property
    def quarters(self) -> NDArray[np.intp]:
        """Noise-level bin of each patch, from 0."""
        return np.clip(np.digitize(self.levels, self.edges[1:-1]), 0, len(self.edges) - 2)

    def ratios(self, estimate: FloatArray) -> FloatArray:
        """Squared error of each patch, less the known noise of its target, over the noise variance."""
        s = self.samples
        weight = s.weight / s.weight.mean((1, 2), keepdims=True)
        square = (weight * ((estimate - s.target) ** 2 - s.excess)).mean((1, 2))
        return np.asarray(square / self.levels**2, np.float32)

    def run(self, predict: Predict) -> tuple[dict[str, float], FloatArray]:
        """Validates a network.

        Args:
            predict: the network.

        Returns:
            Figures in dB: ``gain`` = 10 log10(noise variance / mean squared error), the squared error
            having the known noise variance of the target subtracted, as a mean over four bins of noise
            level and for each; ``calibration``, the mean of v over the mean squared error. And D
            ``[n, p, p]``.
        """
        s = self.samples
        output = np.concatenate(
            [predict(s.planes[i : i + 16], s.condition[i : i + 16]) for i in range(0, len(s), 16)]
        )
        told = s.sigma_told[:, None, None]
        estimate = self.precondition.apply(output[..., 0], s.state, told)
        variance = self.precondition.variance(output[..., 1], told)
        weight = s.weight / s.weight.mean((1, 2), keepdims=True)
        ratios = self.ratios(estimate)
        each = gains(ratios, self.quarters)
        figures = {f"gain_q{q + 1}": float(gain) for q, gain in enumerate(each)}
        figures["gain"] = float(np.mean(each))
        predicted = (weight * variance).mean((1, 2)) / self.levels**2
        figures["calibration"] = float(predicted.mean() / max(float(ratios.mean()), 1e-9))
        return figures, estimate.astype(np.float32)

    def panel(self, estimate: FloatArray, count: int = 6) -> FloatArray:
        """Rows of input, estimate, target, removed noise, scaled to [0, 1]: ``[1, h, w, 1]``."""
        s = self.samples
        rows = []
        for i in np.linspace(0, len(s) - 1, count).astype(int):
            low, high = np.percentile(s.target[i], [1, 99])
            span = max(float(high - low), 1e-3)
            pictures = [(a[i] - low) / span for a in (s.state, estimate, s.target)]
            pictures.append(0.5 + (s.state[i] - estimate[i]) / (6.0 * s.sigma[i]))
            rows.append(np.concatenate(pictures, axis=1))
        return np.asarray(np.clip(np.concatenate(rows, axis=0), 0.0, 1.0)[None, :, :, None], np.float32)
