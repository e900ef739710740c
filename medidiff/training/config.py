"""TrainConfig: one training run, frozen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from medidiff.models.config import UNetConfig
from medidiff.models.processes import MATCHED


@dataclass(frozen=True)
class DataConfig:
    """Where the scans are and how they become samples.

    Attributes:
        root: folder of the scans (relative to the working directory); ``$MEDIDIFF_DATA`` wins.
        cache: folder for precomputed noise bases, outside the repository.
        sigma: smallest and largest noise SD, HU (CT) or share of the foreground p99 (MR).
        low_sigma: smallest noise SD of the low-noise share; CT 1 HU.
        low_share: share of samples between `low_sigma` and ``sigma[0]``.
        patch: patch size in pixels.
        per_slice: patches taken from one simulated slice.
        slices_per_chunk: simulated slices that are shuffled together.
        max_slices: at most this many slices of one series (evenly spaced).
        views: projection views of the noise bases (CT).
        noise: ``"matched"``, or ``"white"`` of the same SD (ablation).
        conditioning: what the network is told about the noise: ``"map"`` (level and relative map),
            ``"scalar"`` (level alone) or ``"none"`` (ablations).
        correction: correct noisy targets (`NoisyTarget`); else they are taken for the truth. Only with
            the matched process is there a correction.
        context: give the network the neighbour slices (2.5D); else it works in 2D.
        device: make the samples on the accelerator that trains (JAX).
        pack: file of `medidiff train --pack` to read instead of scans and cache; empty for none.
        insert_share: share of training slices with small faint inserts of known truth (CT).
        clean_share: share of the training slices above the low levels whose target is a slab mean of a binned
            scan: nearly free of noise, and sharper to the pixel than the scan (CT).
        own_share: share of training slices with noise like the scan's own, whose target is corrected for it
            (MR).
    """

    root: str = "../shared/data"
    cache: str = "cache"
    sigma: tuple[float, float] = (8.0, 250.0)
    low_sigma: float = 1.0
    low_share: float = 0.15
    patch: int = 96
    per_slice: int = 12
    slices_per_chunk: int = 8
    max_slices: int = 30
    views: int = 288
    noise: str = "matched"
    conditioning: str = "map"
    correction: bool = True
    context: bool = True
    device: bool = False
    pack: str = ""
    insert_share: float = 0.0
    clean_share: float = 0.0
    own_share: float = 0.0


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimisation: Adam or Muon, warm-up, constant rate, then a linear decay to zero.

    A constant rate with a final decay (rather than a cosine) lets a run be prolonged without losing what
    it has learnt: raise `steps` and resume from a checkpoint before the decay.

    Attributes:
        steps: optimiser steps in all.
        batch: patches a step.
        rate: learning rate.
        warmup: steps of linear warm-up.
        decay: share of the steps in the final decay.
        ema: decay of the moving average of the weights.
        nll: weight of the variance head's loss.
        soft_weight: weight of soft tissue (CT).
        clip: gradients are clipped to this global norm.
        precision: Keras dtype policy, ``float32`` or ``mixed_bfloat16``.
        bias: weight of the penalty on the mean error of each HU bin (`Penalties`).
        nps: weight of the penalty on the spectrum of what is removed.
        inverse_variance: samples with noisy targets count as much as they tell, v / (v + excess).
        kind: ``"adam"``, or ``"muon"``, which learns more in a step.
    """

    steps: int = 30_000
    batch: int = 12
    rate: float = 4e-4
    warmup: int = 500
    decay: float = 0.25
    ema: float = 0.999
    nll: float = 0.1
    soft_weight: float = 2.0
    clip: float = 1.0
    precision: str = "float32"
    bias: float = 0.0
    nps: float = 0.0
    inverse_variance: bool = False
    kind: str = "adam"


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
        name: name of the bundle that the run makes.
        modality: ``"ct"`` or ``"mr"``.
        seed: of initial weights and of every sample.
        output: folder of checkpoints and logs.
        sigma_data: SD of clean patches in network units (Karras et al. 2022, Table 1).
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        process: forward process, ``"matched"``, or ``"ddpm"`` (with the scan as a condition), ``"prior"``
            (DDPM that never sees the scan), ``"bridge"`` or ``"mixing"`` (`medidiff.models.processes`).
        context_start: what random initial weights make of the neighbour slices: ``"zero"``, nothing at first
            (`medidiff.training.start.without_context`), or ``"random"``.
        network: shape of the U-Net.
        data: samples.
        optimiser: optimisation.
    """

    name: str
    modality: str
    seed: int = 1
    output: str = "runs"
    sigma_data: float = 0.5
    validate_every: int = 2000
    checkpoint_every: int = 500
    process: str = MATCHED
    context_start: str = "zero"
    network: UNetConfig = field(default_factory=UNetConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    @property
    def corrects(self) -> bool:
        """Whether targets are corrected for their own noise."""
        return self.data.correction and self.process == MATCHED

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, for a checkpoint or a model card."""
        return asdict(self)
