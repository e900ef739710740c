"""A source of samples whose truth is known, and runs small enough for a test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from medidiff.models.config import UNetConfig
from medidiff.training.config import DataConfig, OptimiserConfig, TrainConfig
from medidiff.training.patches import SimulatedSlice


@dataclass
class ToySource:
    """Smooth random pictures (SD 0.5) under white noise: a network has only to learn to average.

    Attributes:
        sigma: lowest and highest noise SD, network units.
        size: side of a slice.
        target_noise: SD of noise in the target, told as excess.
    """

    sigma: tuple[float, float] = (0.15, 0.3)
    size: int = 48
    target_noise: float = 0.0

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        shape = (self.size, self.size)
        smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 6.0, mode="wrap")
        x = (0.5 * smooth / smooth.std()).astype(np.float32)
        sigma = float(np.exp(rng.uniform(*np.log(self.sigma))))
        planes = x + sigma * rng.standard_normal((3, *shape)).astype(np.float32)
        ones = np.ones(shape, np.float32)
        return SimulatedSlice(
            state=planes[1],
            previous=planes[0],
            following=planes[2],
            target=x + self.target_noise * rng.standard_normal(shape).astype(np.float32),
            sigma=sigma,
            neighbour_sigma=sigma,
            relative_sd=ones,
            excess=self.target_noise**2 * ones,
            weight=ones,
            worth=np.ones(shape, bool),
            texture=3.0,
            pixel_mm=0.7,
            modality="ct",
        )


def toy_config(output: Path, *, steps: int = 12, rate: float = 2e-3, **changes: object) -> TrainConfig:
    """Twelve steps of a tiny network: validations at 4, 8, 12, checkpoints at 3, 6, 9, 12."""
    fields: dict[str, object] = {
        "name": "toy",
        "modality": "ct",
        "output": str(output),
        "sigma_data": 0.5,
        "validate_every": 4,
        "checkpoint_every": 3,
        "network": UNetConfig((8, 12), 1),
        "data": DataConfig(patch=32, per_slice=4, slices_per_chunk=4),
        "optimiser": OptimiserConfig(steps=steps, batch=8, rate=rate, warmup=3, ema=0.9),
    }
    return TrainConfig(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class KeepingSource(ToySource):
    """A toy source that keeps its reference: smooth pictures with some noise of their own."""

    own: float = 0.05

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        s = super().draw(rng)
        shape = (self.size, self.size)
        reference = s.target + self.own * rng.standard_normal((3, *shape)).astype(np.float32)
        inserted = np.float32(np.sqrt(s.sigma**2 - self.own**2))
        planes = reference + inserted * rng.standard_normal((3, *shape)).astype(np.float32)
        a = (self.own / s.sigma) ** 2
        return replace(
            s,
            state=planes[1],
            previous=planes[0],
            following=planes[2],
            target=((reference[1] - a * planes[1]) / (1 - a)).astype(np.float32),
            excess=np.full(shape, self.own**2 / (1 - a), np.float32),
            relative_sd=np.linspace(0.5, 1.5, self.size, dtype=np.float32)
            * np.ones((self.size, 1), np.float32),
            reference=reference.astype(np.float32),
            reference_sigma=self.own,
        )
