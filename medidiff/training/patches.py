"""From a simulated slice to training patches: crop, precondition, condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import RefusedError
from medidiff.models.conditioning import NEIGHBOUR_RATIO, RELATIVE_SD, SCAN_WIDTH, Condition, vector
from medidiff.models.processes import MATCHED, PROCESSES
from medidiff.training.inputs import Inputs
from medidiff.training.samples import Samples, concatenate
from medidiff.volume import FloatArray

SIGMA_JITTER = 0.15
"""The network is told sigma exp(e), e up to this much either way: real noise levels are estimates."""

DROP_NEIGHBOUR = 0.3
DROP_MAP = 0.5
"""Users seldom have a map of the local noise level: half of the samples come without, and the network learns
to see it in the image itself."""

DROP_TEXTURE = 0.3

MAP_JITTER = 0.05
"""SD of an error that a map of the local noise level has as a whole, in ln."""

TEXTURE_JITTER = 0.08
"""SD of the error of a measured texture, in ln."""

TRIES = 6
ENOUGH = 0.25
"""Share of a patch that should show anatomy; after so many tries a patch is taken as it is."""

LOUDER = 0.3
"""Share of slices whose neighbours are noisier: in multi-step sampling the centre is already cleaner."""


def neighbour_level(sigma: float, rng: np.random.Generator) -> float:
    """Noise SD of the neighbours of a slice with `sigma`: the same, or up to `NEIGHBOUR_RATIO` as much."""
    if rng.random() >= LOUDER:
        return sigma
    return sigma * float(np.exp(rng.uniform(0.0, np.log(NEIGHBOUR_RATIO[1]))))


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


class Source(Protocol):
    """What gives simulated slices."""

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        """One noisy slice with its truth, a function of `rng`."""
        ...


@dataclass(frozen=True)
class _Window:
    """A square of a slice, turned by so many right angles and perhaps flipped."""

    box: tuple[slice, slice]
    turns: int
    flip: bool

    @classmethod
    def drawn(cls, worth: NDArray[np.bool_], size: int, rng: np.random.Generator) -> _Window:
        """A window that shows anatomy, if `TRIES` find one."""
        h, w = worth.shape
        for _ in range(TRIES):
            y, x = int(rng.integers(0, h - size + 1)), int(rng.integers(0, w - size + 1))
            box = (slice(y, y + size), slice(x, x + size))
            if worth[box].mean() > ENOUGH:
                break
        return cls(box, int(rng.integers(0, 4)), bool(rng.integers(0, 2)))

    def of(self, image: FloatArray) -> FloatArray:
        """What the window shows of an image ``[h, w]``."""
        image = np.rot90(image[self.box], self.turns)
        return image[:, ::-1] if self.flip else image


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
    return concatenate([_patch(slice_, size, precondition, rng, extra, inputs) for _ in range(count)])


def _patch(
    slice_: SimulatedSlice,
    size: int,
    precondition: Precondition,
    rng: np.random.Generator,
    extra: np.random.Generator,
    inputs: Inputs,
) -> Samples:
    """One patch. It draws as much of `rng` whatever the inputs; `extra` serves the process alone."""
    wide = PROCESSES[inputs.process].condition == SCAN_WIDTH
    window = _Window.drawn(slice_.worth, size, rng)
    told = inputs.told(slice_.sigma * float(np.exp(rng.uniform(-SIGMA_JITTER, SIGMA_JITTER))))
    before, after = _neighbours(slice_, inputs, rng)
    absent = np.zeros((size, size), np.float32)
    log_map = _log_map(window.of(slice_.relative_sd), rng)
    texture = _texture(slice_.texture, rng)
    scan = window.of(slice_.state)
    state, level, scan_told = scan, slice_.sigma, told
    if inputs.process != MATCHED:
        clean = slice_.target if slice_.reference is None else slice_.reference[1]
        state, level = inputs.state(window.of(clean), scan, slice_.sigma, extra)
        # Of a DDPM the level is known exactly; else it is as uncertain as that of the scan.
        told = level if wide else level * scan_told / slice_.sigma
    c_in = np.float32(precondition.c_in(told))
    planes = [
        c_in * state,
        absent if before is None else c_in * window.of(before),
        absent if after is None else c_in * window.of(after),
        absent if log_map is None or inputs.conditioning != "map" else log_map,
    ]
    if inputs.process == "ddpm":
        planes.append(np.float32(precondition.c_in(scan_told)) * scan)
    condition = Condition(
        sigma=told,
        kernel=texture,
        pixel_mm=slice_.pixel_mm,
        modality=slice_.modality,
        neighbour_ratio=slice_.neighbour_sigma / level,
        previous=before is not None,
        following=after is not None,
        scan_sigma=scan_told if wide else None,
    )
    images = (state, window.of(slice_.target), window.of(slice_.excess), window.of(slice_.weight))
    state, target, excess, weight = (np.asarray(image[None], np.float32) for image in images)
    return Samples(
        planes=np.stack(planes, -1)[None].astype(np.float32, copy=False),
        condition=vector(condition)[None],
        state=state,
        target=target,
        sigma=np.asarray([level], np.float32),
        sigma_told=np.asarray([told], np.float32),
        excess=excess,
        weight=weight,
    )


def _neighbours(
    slice_: SimulatedSlice, inputs: Inputs, rng: np.random.Generator
) -> tuple[FloatArray | None, FloatArray | None]:
    """The slices before and after, each at times dropped, and the two at times swapped."""
    before = slice_.previous if rng.random() >= DROP_NEIGHBOUR and inputs.context else None
    after = slice_.following if rng.random() >= DROP_NEIGHBOUR and inputs.context else None
    return (after, before) if bool(rng.integers(0, 2)) else (before, after)


def _log_map(relative_sd: FloatArray, rng: np.random.Generator) -> FloatArray | None:
    """ln of the map of the local noise SD, as a user would have it; None for no map."""
    if rng.random() < DROP_MAP:
        return None
    jitter = np.float32(rng.normal(0.0, MAP_JITTER))
    return np.asarray(np.log(np.clip(relative_sd, *RELATIVE_SD)) + jitter, np.float32)


def _texture(texture: float | None, rng: np.random.Generator) -> float | None:
    """The texture of the noise as it would be measured; None where it is not told."""
    if rng.random() < DROP_TEXTURE or texture is None:
        return None
    return texture * float(np.exp(rng.normal(0.0, TEXTURE_JITTER)))
