"""Evaluator: the network's answer for any slice of a volume at any noise level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medidiff.denoise.context import neighbours
from medidiff.denoise.noise_model import NoiseModel
from medidiff.denoise.orientations import averaged
from medidiff.denoise.surround import Surround
from medidiff.denoise.tiles import run_tiled
from medidiff.diffusion import samplers
from medidiff.diffusion.precondition import Precondition
from medidiff.engines.base import Engine
from medidiff.errors import CancelledError
from medidiff.intensity import Intensity
from medidiff.models.bundle import Bundle
from medidiff.models.conditioning import RELATIVE_SD, SCAN_WIDTH, Condition, vector
from medidiff.models.processes import MATCHED, PROCESSES
from medidiff.volume import FloatArray, Volume

FAR = 4.0
"""Neighbour slices noisier than a state by more than this tell nothing about it, and are left out."""


@dataclass(frozen=True, eq=False)
class Evaluator:
    """One volume before one network.

    Attributes:
        bundle: the model.
        engine: runs its network.
        volume: noisy scan.
        intensity: between its values and network units.
        surround: where it shows no image.
        noise: of the scan.
        step: how many slices away the neighbours are.
        views: views of a slice over which the answer is averaged.
        tile: largest height and width processed at once.
        cancelled: asked before each network evaluation.
    """

    bundle: Bundle
    engine: Engine
    volume: Volume
    intensity: Intensity
    surround: Surround
    noise: NoiseModel
    step: int
    views: int
    tile: int
    cancelled: Callable[[], bool]

    def scan(self, k: int) -> FloatArray:
        """Slice k ``[y, x]`` in network units, continued where it shows no image."""
        return self.surround.continued(k, self.intensity.to_model(self.volume.array[k]))

    def sigma(self, k: int) -> float:
        """Noise SD of slice k in network units, held to what the network was trained on."""
        return _held(self.noise.of_slice(k) / self.intensity.scale, self.bundle.trained.sigma)

    def relative(self, k: int) -> FloatArray:
        """Local noise SD over that of the slice."""
        relative = self.noise.relative(k)
        return np.ones(self.volume.array.shape[1:], np.float32) if relative is None else relative

    def denoised(self, k: int, t_y: float) -> samplers.Denoised:
        """denoised(x, t) of slice k, whose noise SD is `t_y`: planes, condition, network, preconditioning.

        The variance is the calibrated one: what intervals cover is what samplers put back.

        Raises:
            CancelledError: `cancelled` said so, between two evaluations.
        """
        array, pre = self.volume.array, Precondition(self.bundle.sigma_data)
        before, after = neighbours(k, self.step, len(array), self.volume.adjacent)
        kind, trained = PROCESSES[self.bundle.process], self.bundle.trained
        texture = self.noise.texture
        if texture is not None:
            texture = _held(texture, trained.kernel)
        planes = np.zeros((kind.planes, *array.shape[1:]), np.float32)
        context = [None if i is None else self.scan(i) for i in (before, after)]
        planes[3] = np.log(np.clip(self.relative(k), *RELATIVE_SD))

        def answer(state: Any, t: float) -> tuple[FloatArray, FloatArray]:
            if self.cancelled():
                raise CancelledError("Cancelled; nothing was written")
            x, y = state if isinstance(state, tuple) else (state, None)
            c_in = np.float32(pre.c_in(t))
            planes[0] = c_in * x
            near = self.bundle.process != MATCHED or t_y <= FAR * t
            for slot, neighbour in zip((1, 2), context, strict=True):
                planes[slot] = 0.0 if neighbour is None or not near else c_in * neighbour
            if y is not None:
                planes[4] = np.float32(pre.c_in(t_y)) * y
            condition = vector(
                Condition(
                    sigma=t,
                    kernel=texture,
                    pixel_mm=_held(self.volume.pixel_mm, trained.pixel_mm),
                    modality=self.bundle.modality,
                    neighbour_ratio=t_y / t if near else 1.0,
                    previous=near and before is not None,
                    following=near and after is not None,
                    scan_sigma=t_y if kind.condition == SCAN_WIDTH else None,
                )
            )[None]
            config = self.bundle.config
            network = averaged(lambda p: self.engine(p, condition), self.views)
            found = run_tiled(network, planes, self.tile, config.halo, config.stride)
            t32 = np.float32(t)
            calibrated = np.float32(self.bundle.uncertainty_factor(t) ** 2)
            return pre.apply(found[0], x, t32), calibrated * pre.variance(found[1], t32)

        return answer


def _held(value: float, trained: tuple[float, float]) -> float:
    """A value of the condition, held to what the network was trained on: it does not extrapolate."""
    return float(np.clip(value, *trained))
