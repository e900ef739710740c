"""Bundle: a trained model with everything needed to run it; plain data, never executed."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from medidiff.errors import ModelError
from medidiff.intensity import KINDS, Intensity
from medidiff.models.config import UNetConfig
from medidiff.models.processes import MATCHED, PROCESSES
from medidiff.volume import Volume

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

LARGEST = 65536
"""No network is wider than this; a description that says so is wrong, and would take all memory."""


@dataclass(frozen=True)
class Trained:
    """What the model saw in training; outside of it, its answers are extrapolations.

    Attributes:
        sigma: lowest and highest noise SD, in network units.
        kernel: lowest and highest mean noise frequency in lp/cm (CT) or zero-fill factor (MR).
        pixel_mm: smallest and largest pixel in mm.
    """

    sigma: tuple[float, float]
    kernel: tuple[float, float]
    pixel_mm: tuple[float, float]


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything needed to run it.

    Attributes:
        name: short name, e.g. ``"ct"``.
        version: version of the weights.
        modality: ``"ct"`` or ``"mr"``.
        config: shape of the network.
        sigma_data: SD of z on the training patches (Karras et al. 2022, table 1).
        trained: ranges of the training data.
        network: the ONNX file.
        uncertainty: pairs of noise SD (network units, ascending) and the factor that makes the predicted SD
            cover what it claims; empty for none.
        precision: arithmetic per engine that was measured to be good enough, e.g.
            ``{"openvino": "bfloat16"}``; float32 where nothing is said.
        licence: SPDX name of the licence of the weights.
        attribution: credits that must travel with the weights, one a line.
        card: the model card, Markdown.
        process: forward process that the network was trained for, a key of
            `medidiff.models.processes.PROCESSES`.
        folder: where the bundle was read from, None if it was not.
    """

    name: str
    version: str
    modality: str
    config: UNetConfig
    sigma_data: float
    trained: Trained
    network: bytes = field(repr=False)
    uncertainty: tuple[tuple[float, float], ...] = ()
    precision: Mapping[str, str] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    attribution: tuple[str, ...] = ()
    card: str = field(default="", repr=False)
    process: str = MATCHED
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ModelError("A model name is letters, digits, dot, dash and underscore", received=self.name)
        if self.modality not in KINDS:
            raise ModelError("A model is for ct or mr", received=self.modality)
        if not 0 < self.sigma_data < math.inf:
            raise ModelError("sigma_data must be positive", received=self.sigma_data)
        for field_ in fields(Trained):
            low, high = getattr(self.trained, field_.name)
            if not 0 < low <= high < math.inf:
                raise ModelError(
                    f"The trained range of {field_.name} is 0 < lowest <= highest", received=f"{low}, {high}"
                )
        levels = [level for level, _ in self.uncertainty]
        good = all(0 < number < math.inf for pair in self.uncertainty for number in pair)
        if not good or levels != sorted(levels):
            raise ModelError(
                "Levels and factors of the uncertainty are positive, levels ascending",
                received=self.uncertainty,
            )
        if self.process not in PROCESSES:
            raise ModelError(f"The process is one of {', '.join(PROCESSES)}", received=self.process)
        kind, shape = PROCESSES[self.process], self.config
        sizes = (*shape.channels, shape.blocks, shape.unshuffle, shape.embedding)
        if not shape.channels or not all(isinstance(n, int) and 1 <= n <= LARGEST for n in sizes):
            raise ModelError(f"The network's sizes are whole numbers from 1 to {LARGEST}", received=sizes)
        if (shape.planes, shape.condition) != (kind.planes, kind.condition):
            raise ModelError(
                f"A network of process {self.process} has {kind.planes} planes and {kind.condition} "
                "conditions", received=f"{shape.planes} and {shape.condition}",
            )  # fmt: skip
        if bad := sorted(set(self.precision.values()) - {"float32", "bfloat16"}):
            raise ModelError("A precision is float32 or bfloat16", received=bad[0])

    @property
    def sha256(self) -> str:
        """Digest of the network file: the identity of the weights."""
        return hashlib.sha256(self.network).hexdigest()

    def intensity(self, volume: Volume) -> Intensity:
        """The intensity map of a volume for this model."""
        return Intensity.for_volume(self.modality, volume)

    def uncertainty_factor(self, sigma: float) -> float:
        """Calibration factor of the predicted SD at a noise SD in network units (linear in ln sigma)."""
        if not self.uncertainty:
            return 1.0
        levels, factors = zip(*self.uncertainty, strict=True)
        return float(np.interp(np.log(max(sigma, 1e-8)), np.log(levels), factors))
