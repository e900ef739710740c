"""From a simulated slice to training patches: crop, precondition, condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.models.conditioning import Condition, vector
from medidiff.training.samples import FloatArray, Samples

SIGMA_JITTER = 0.15
"""The network is told sigma exp(e), e up to this much either way: real noise levels are estimates."""

DROP_NEIGHBOUR = 0.3
DROP_MAP = 0.5
"""Users seldom have a map of the local noise level: half of the samples come without, and the network learns
to see it in the image itself."""

DROP_TEXTURE = 0.3


@dataclass(frozen=True)
class SimulatedSlice:
    """One noisy slice with its truth, in network units.

    Attributes:
        state: ``[h, w]`` centre slice at noise SD `sigma`.
        previous: neighbour slice at `neighbour_sigma`, or None.
        following: likewise.
        target: ``[h, w]`` what D should return.
        sigma: noise SD.
        neighbour_sigma: noise SD of the neighbours.
        relative_sd: ``[h, w]`` local noise SD over `sigma`.
        excess: ``[h, w]`` noise variance of the target.
        weight: ``[h, w]`` loss weight.
        worth: ``[h, w]`` True where a patch is worth its time (there is anatomy).
        texture: noise mean frequency (CT) or zero-fill factor (MR).
        pixel_mm: pixel size.
        modality: ``"ct"`` or ``"mr"``.
    """

    state: FloatArray
    previous: FloatArray | None
    following: FloatArray | None
    target: FloatArray
    sigma: float
    neighbour_sigma: float
    relative_sd: FloatArray
    excess: FloatArray
    weight: FloatArray
    worth: NDArray[np.bool_]
    texture: float | None
    pixel_mm: float
    modality: str


def cut(
    slice_: SimulatedSlice, size: int, count: int, precondition: Precondition, rng: np.random.Generator
) -> Samples:
    """Cuts random patches of one slice, each with its own orientation, jitter and dropout.

    Args:
        slice_: a simulated slice, at least `size` pixels in both directions.
        size: patch size.
        count: number of patches.
        precondition: EDM coefficients.
        rng: source of randomness.
    """
    h, w = slice_.state.shape
    absent = np.zeros((size, size), np.float32)
    planes, states, targets, excesses, weights, conditions, told = [], [], [], [], [], [], []
    for _ in range(count):
        for _try in range(6):
            y, x = int(rng.integers(0, h - size + 1)), int(rng.integers(0, w - size + 1))
            box = (slice(y, y + size), slice(x, x + size))
            if slice_.worth[box].mean() > 0.25:
                break
        turns, flip = int(rng.integers(0, 4)), bool(rng.integers(0, 2))

        def view(
            a: FloatArray,
            box: tuple[slice, slice] = box,
            turns: int = turns,
            flip: bool = flip,
        ) -> FloatArray:
            a = np.rot90(a[box], turns)
            return a[:, ::-1] if flip else a

        sigma_told = slice_.sigma * float(np.exp(rng.uniform(-SIGMA_JITTER, SIGMA_JITTER)))
        c_in = np.float32(precondition.c_in(sigma_told))
        before = slice_.previous if rng.random() >= DROP_NEIGHBOUR else None
        after = slice_.following if rng.random() >= DROP_NEIGHBOUR else None
        if bool(rng.integers(0, 2)):
            before, after = after, before
        if rng.random() < DROP_MAP:
            log_map = absent
        else:
            jitter = np.float32(rng.normal(0.0, 0.05))
            log_map = np.log(np.clip(view(slice_.relative_sd), 0.05, 20.0)) + jitter
        texture = None if rng.random() < DROP_TEXTURE else slice_.texture
        if texture is not None:
            texture *= float(np.exp(rng.normal(0.0, 0.08)))
        state = view(slice_.state)
        planes.append(
            np.stack(
                [
                    c_in * state,
                    absent if before is None else c_in * view(before),
                    absent if after is None else c_in * view(after),
                    log_map,
                ],
                -1,
            )
        )
        conditions.append(
            vector(
                Condition(
                    sigma=sigma_told,
                    kernel=texture,
                    pixel_mm=slice_.pixel_mm,
                    modality=slice_.modality,
                    neighbour_ratio=slice_.neighbour_sigma / slice_.sigma,
                    previous=before is not None,
                    following=after is not None,
                )
            )
        )
        states.append(state)
        targets.append(view(slice_.target))
        excesses.append(view(slice_.excess))
        weights.append(view(slice_.weight))
        told.append(sigma_told)
    f32 = np.float32
    return Samples(
        planes=np.stack(planes).astype(f32, copy=False),
        condition=np.stack(conditions),
        state=np.stack(states).astype(f32, copy=False),
        target=np.stack(targets).astype(f32, copy=False),
        sigma=np.full(count, slice_.sigma, f32),
        sigma_told=np.asarray(told, f32),
        excess=np.stack(excesses).astype(f32, copy=False),
        weight=np.stack(weights).astype(f32, copy=False),
    )
