"""From a simulated slice to training patches: crop, precondition, condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import RefusedError
from medidiff.models.conditioning import RELATIVE_SD, SCAN_WIDTH, Condition, vector
from medidiff.models.processes import MATCHED, PROCESSES
from medidiff.training.inputs import Inputs
from medidiff.training.samples import FloatArray, Samples

SIGMA_JITTER = 0.15
"""The network is told sigma exp(e), e up to this much either way: real noise levels are estimates."""

DROP_NEIGHBOUR = 0.3
DROP_MAP = 0.5
"""Users seldom have a map of the local noise level: half of the samples come without, and the network learns
to see it in the image itself."""

DROP_TEXTURE = 0.3


LOUDER = 0.3
"""Share of slices whose neighbours are noisier: in multi-step sampling the centre is already cleaner."""


def neighbour_level(sigma: float, rng: np.random.Generator) -> float:
    """Noise SD of the neighbours of a slice with `sigma`: the same, or up to ten times as much."""
    return sigma * float(np.exp(rng.uniform(0.0, np.log(10.0)))) if rng.random() < LOUDER else sigma


def too_small(modality: str, role: str, patch: int) -> RefusedError:
    """One sentence about scans that give no patch."""
    return RefusedError(
        f"No {modality.upper()} scan of role {role!r} is as large as a patch",
        received=f"[data] patch = {patch}", hint="Lower patch, or add larger scans.",
    )  # fmt: skip


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
        reference: ``[3, h, w]`` previous, centre and next before noise was added, or None if not kept.
        reference_sigma: noise SD that the reference itself has.
        scan: label of the scan.
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
    reference: FloatArray | None = None
    reference_sigma: float = 0.0
    scan: str = ""


def cut(
    slice_: SimulatedSlice,
    size: int,
    count: int,
    precondition: Precondition,
    rng: np.random.Generator,
    inputs: Inputs | None = None,
) -> Samples:
    """Cuts random patches of one slice, each with its own orientation, jitter and dropout.

    Args:
        slice_: a simulated slice, at least `size` pixels in both directions.
        size: patch size.
        count: number of patches.
        precondition: EDM coefficients.
        rng: source of randomness.
        inputs: what the network is given; None for the released recipes.
    """
    inputs = inputs or Inputs()
    # A generator of its own, so that every variant sees the same crops and the same noise.
    extra = rng.spawn(1)[0] if inputs.process != MATCHED else rng
    wide = PROCESSES[inputs.process].condition == SCAN_WIDTH
    h, w = slice_.state.shape
    absent = np.zeros((size, size), np.float32)
    planes, states, targets, excesses, weights, conditions, told = [], [], [], [], [], [], []
    levels = []
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
        sigma_told = inputs.told(sigma_told)
        before = slice_.previous if rng.random() >= DROP_NEIGHBOUR and inputs.context else None
        after = slice_.following if rng.random() >= DROP_NEIGHBOUR and inputs.context else None
        if bool(rng.integers(0, 2)):
            before, after = after, before
        if rng.random() < DROP_MAP:
            log_map = absent
        else:
            jitter = np.float32(rng.normal(0.0, 0.05))
            log_map = np.log(np.clip(view(slice_.relative_sd), *RELATIVE_SD)) + jitter
            log_map = log_map if inputs.conditioning == "map" else absent
        texture = None if rng.random() < DROP_TEXTURE else slice_.texture
        if texture is not None:
            texture *= float(np.exp(rng.normal(0.0, 0.08)))
        state, level = view(slice_.state), slice_.sigma
        scan, scan_told = state, sigma_told
        if inputs.process != MATCHED:
            clean = slice_.target if slice_.reference is None else slice_.reference[1]
            state, level = inputs.state(view(clean), scan, slice_.sigma, extra)
            # Of a DDPM the level is known exactly; else it is as uncertain as that of the scan.
            sigma_told = level if wide else level * sigma_told / slice_.sigma
        c_in = np.float32(precondition.c_in(sigma_told))
        given = [
            c_in * state,
            absent if before is None else c_in * view(before),
            absent if after is None else c_in * view(after),
            log_map,
        ]
        if inputs.process == "ddpm":
            given.append(np.float32(precondition.c_in(scan_told)) * scan)
        planes.append(np.stack(given, -1))
        conditions.append(
            vector(
                Condition(
                    sigma=sigma_told,
                    kernel=texture,
                    pixel_mm=slice_.pixel_mm,
                    modality=slice_.modality,
                    neighbour_ratio=slice_.neighbour_sigma / level,
                    previous=before is not None,
                    following=after is not None,
                    scan_sigma=scan_told if wide else None,
                )
            )
        )
        states.append(state)
        targets.append(view(slice_.target))
        excesses.append(view(slice_.excess))
        weights.append(view(slice_.weight))
        told.append(sigma_told)
        levels.append(level)
    f32 = np.float32
    return Samples(
        planes=np.stack(planes).astype(f32, copy=False),
        condition=np.stack(conditions),
        state=np.stack(states).astype(f32, copy=False),
        target=np.stack(targets).astype(f32, copy=False),
        sigma=np.asarray(levels, f32),
        sigma_told=np.asarray(told, f32),
        excess=np.stack(excesses).astype(f32, copy=False),
        weight=np.stack(weights).astype(f32, copy=False),
    )
