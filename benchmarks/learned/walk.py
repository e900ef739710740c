"""The processes of the comparison: a state for each training sample, and the walk from scan to image.

Each network is an EDM-preconditioned estimate of the clean image from state and scan, as medidiff's is from
the state alone. Levels are trained where the sampler visits them. The "clean" image of a training sample is
the project's corrected target; of its own noise these processes, unlike the matched one, learn a part too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learned.spec import LEVEL_FEATURES, Spec
from medidiff.diffusion import samplers, schedules
from medidiff.diffusion.other_processes import Bridge, Mixing, VariancePreserving
from medidiff.diffusion.precondition import Precondition
from medidiff.diffusion.process import Process
from medidiff.models.processes import BRIDGE_SD
from medidiff.training.samples import Samples
from medidiff.volume import FloatArray

STEPS = 10
LEAST = 0.01
"""Network units: below it, a network that is not told the level would be trained on hardly anything else."""


@dataclass(frozen=True, eq=False)
class Examples:
    """What a training step needs: D = skip + out F(inputs).

    Attributes:
        inputs: of the network.
        skip: ``[n, p, p]``.
        out: ``[n, 1, 1]``.
        target: ``[n, p, p]``.
        weight: ``[n, p, p]``, EDM weight times tissue weight.
    """

    inputs: tuple[FloatArray, ...]
    skip: FloatArray
    out: FloatArray
    target: FloatArray
    weight: FloatArray

    def arrays(self) -> tuple[tuple[FloatArray, ...], FloatArray, FloatArray, FloatArray, FloatArray]:
        """In the order of the attributes."""
        return self.inputs, self.skip, self.out, self.target, self.weight


def process_of(name: str, t_y: float) -> Process:
    """The process of a network for a scan of noise SD t_y, network units."""
    if name == "ddpm":
        return VariancePreserving()
    if name == "mixing":
        return Mixing(t_y)
    return Bridge(t_y, BRIDGE_SD * t_y)


def levels_of(name: str) -> schedules.Levels:
    """The levels that its sampler visits, 0 last."""
    return schedules.FAST_DDPM if name == "ddpm" else schedules.uniform(STEPS)


def level_features(s: float) -> FloatArray:
    """Fourier features of the level, ``[LEVEL_FEATURES]``."""
    k = np.pi * np.arange(1, LEVEL_FEATURES // 2 + 1)
    return np.concatenate([np.cos(k * s), np.sin(k * s), [2.0 * s - 1.0]]).astype(np.float32)


def examples(spec: Spec, samples: Samples, rng: np.random.Generator) -> Examples:
    """Turns the project's samples into those of a network.

    Args:
        spec: the network.
        samples: patches as medidiff is trained on.
        rng: draws the levels and the noise of the states.
    """
    pre = Precondition(spec.sigma_data)
    if spec.plain:
        weight = pre.weight(np.maximum(samples.sigma, LEAST)[:, None, None]) * samples.weight
        zero, one = np.zeros_like(samples.state), np.ones((len(samples), 1, 1), np.float32)
        return Examples((samples.state[..., None],), zero, one, samples.target, weight.astype(np.float32))
    states, times, features = [], [], []
    grid = levels_of(spec.name)[:-1]
    for y, x, t_y in zip(samples.state, samples.target, samples.sigma_told, strict=True):
        process, s = process_of(spec.name, float(t_y)), grid[int(rng.integers(len(grid)))]
        alpha, beta, gamma = process.coef(s)
        x_s = alpha * x + beta * y + gamma * rng.standard_normal(x.shape, dtype=np.float32)
        seen = process.inputs(x_s, y, s)
        states.append(seen[0] if isinstance(seen, tuple) else seen)
        times.append(process.time(s))
        features.append(level_features(s))
    state, t = np.stack(states).astype(np.float32), np.asarray(times, np.float32)[:, None, None]
    first = (pre.c_in(t) * state)[..., None]
    planes = np.concatenate([first, samples.planes[..., 1:], samples.planes[..., :1]], -1)
    condition = np.concatenate([samples.condition, np.stack(features)], -1)
    weight = pre.weight(t) * samples.weight
    return Examples(
        (planes.astype(np.float32), condition.astype(np.float32)),
        (pre.c_skip(t) * state).astype(np.float32),
        np.asarray(pre.c_out(t), np.float32),
        samples.target,
        weight.astype(np.float32),
    )


Network = Callable[[FloatArray, FloatArray], FloatArray]


def walk(
    spec: Spec,
    network: Network,
    planes: FloatArray,
    condition: FloatArray,
    y: FloatArray,
    t_y: float,
    seed: int,
) -> FloatArray:
    """From a scan to an image along the process of a network.

    Args:
        spec: the network.
        network: planes ``[1, h, w, 5]`` and condition ``[1, K]`` to F ``[h, w]``.
        planes: ``[h, w, 4]`` previous, next, ln m and the scan, scaled; the state goes before them.
        condition: ``[16]`` medidiff's conditioning of the scan.
        y: ``[h, w]`` the scan, network units.
        t_y: its noise SD.
        seed: of the noise.
    """
    pre, process = Precondition(spec.sigma_data), process_of(spec.name, t_y)
    grid = levels_of(spec.name)
    visited = iter(grid[:-1])

    def denoised(x: FloatArray | tuple[FloatArray, FloatArray], t: float) -> tuple[FloatArray, None]:
        state = x[0] if isinstance(x, tuple) else x
        told = np.concatenate([condition, level_features(next(visited))])[None]
        stack = np.concatenate([(pre.c_in(t) * state)[..., None], planes], -1)[None]
        F = network(stack.astype(np.float32), told.astype(np.float32))
        return np.asarray(pre.apply(F, state, np.float32(t)), np.float32), None

    sampler = samplers.natural if spec.name == "mixing" else samplers.sample
    found = sampler(denoised, y, process, grid, rng=np.random.default_rng(seed))
    return np.asarray(found.image, np.float32)
