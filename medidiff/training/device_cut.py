"""Patches on an accelerator: what `medidiff.training.patches.cut` does, as a JAX function of a random key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import UsageError
from medidiff.models.conditioning import NEIGHBOUR_RATIO, RELATIVE_SD, features
from medidiff.models.processes import MATCHED
from medidiff.training.config import TrainConfig
from medidiff.training.patches import (
    DROP_MAP,
    DROP_NEIGHBOUR,
    DROP_TEXTURE,
    ENOUGH,
    LOUDER,
    MAP_JITTER,
    SIGMA_JITTER,
    TEXTURE_JITTER,
)
from medidiff.training.samples import Samples

Array = Any
PLACES = 256
"""Corners of patches kept for each slice."""

STATE, PREVIOUS, NEXT, RELATIVE, TARGET, EXCESS, WEIGHT = range(7)


class Fields(NamedTuple):
    """A simulated slice on the device, as `SimulatedSlice`.

    Attributes:
        planes: ``[7, h, w]``: state, previous, next, relative SD, target, excess, weight.
        places: int32 ``[PLACES, 2]`` corners worth taking.
        present: bool ``[2]``, whether previous and next exist.
        sigma: noise SD, network units.
        neighbour_sigma: of the neighbours.
        texture: noise mean frequency (CT) or zero-fill factor (MR).
        pixel_mm: pixel size.
    """

    planes: Array
    places: Array
    present: Array
    sigma: Array
    neighbour_sigma: Array
    texture: Array
    pixel_mm: Array


Draw = Callable[[Array], Fields]
"""A simulated slice from a key."""


def check(config: TrainConfig) -> None:
    """Refuses runs whose samples are made in NumPy alone.

    Raises:
        UsageError: an ablation of the samples, or a batch that is no multiple of the patches of a slice.
    """
    data = config.data
    standard = (data.noise, data.conditioning, data.correction, data.context) == (
        "matched",
        "map",
        True,
        True,
    )
    if config.process != MATCHED or not standard:
        raise UsageError(
            "Ablations of the samples are made by the CPU alone", received=data,
            hint="Set [data] device = false.",
        )  # fmt: skip
    if config.optimiser.batch % data.per_slice:
        raise UsageError(
            "On the device a batch is a whole number of slices with per_slice patches each",
            received=f"batch {config.optimiser.batch}, per_slice {data.per_slice}",
            hint="Make batch a multiple of per_slice.",
        )


def make_batch(draw: Draw, config: TrainConfig, modality: str) -> Callable[[Array], Samples]:
    """A function from a key to one batch of samples on the device; to be compiled by the caller.

    Args:
        draw: draws one slice.
        config: patch size, batch and patches of a slice.
        modality: ``"ct"`` or ``"mr"``.
    """
    check(config)
    data, slices = config.data, config.optimiser.batch // config.data.per_slice
    precondition = Precondition(config.sigma_data)

    def patches(key: Array) -> tuple[Array, ...]:
        slice_key, cut_key = random.split(key)
        fields = draw(slice_key)
        keys = random.split(cut_key, data.per_slice)
        return jax.vmap(lambda k: cut(fields, data.patch, precondition, k, modality))(keys)  # type: ignore[no-any-return]

    def batch(key: Array) -> Samples:
        made = jax.vmap(patches)(random.split(key, slices))
        return Samples(*(a.reshape(slices * data.per_slice, *a.shape[2:]) for a in made))

    return batch


def cut(
    fields: Fields, size: int, precondition: Precondition, key: Array, modality: str
) -> tuple[Array, ...]:
    """One patch with its own place, orientation, jitter and dropout: the attributes of `Samples`."""
    keys = random.split(key, 9)
    corner = fields.places[random.randint(keys[0], (), 0, fields.places.shape[0])]
    window = jax.lax.dynamic_slice(
        fields.planes, (0, corner[0], corner[1]), (fields.planes.shape[0], size, size)
    )
    window = _turned(window, keys[1])
    told = fields.sigma * jnp.exp(random.uniform(keys[2], minval=-SIGMA_JITTER, maxval=SIGMA_JITTER))
    c_in = precondition.c_in(told)
    given = fields.present & (random.uniform(keys[3], (2,)) >= DROP_NEIGHBOUR)
    neighbours = jnp.where(given[:, None, None], c_in * window[jnp.array([PREVIOUS, NEXT])], 0.0)
    swapped = random.bernoulli(keys[4])
    given = jnp.where(swapped, given[::-1], given)
    neighbours = jnp.where(swapped, neighbours[::-1], neighbours)
    log_map = jnp.log(jnp.clip(window[RELATIVE], *RELATIVE_SD)) + MAP_JITTER * random.normal(keys[5])
    log_map = jnp.where(random.uniform(keys[6]) < DROP_MAP, 0.0, log_map)
    known = random.uniform(keys[7]) >= DROP_TEXTURE
    texture = fields.texture * jnp.exp(TEXTURE_JITTER * random.normal(keys[8]))
    planes = jnp.stack([c_in * window[STATE], neighbours[0], neighbours[1], log_map], -1)
    ratio = fields.neighbour_sigma / fields.sigma
    condition = features(told, texture, known, fields.pixel_mm, modality, ratio, given, jnp)
    return (
        planes, condition, window[STATE], window[TARGET], fields.sigma, told, window[EXCESS], window[WEIGHT],
    )  # fmt: skip


def neighbour_level(sigma: Array, key: Array) -> Array:
    """As `medidiff.training.patches.neighbour_level`."""
    is_louder, by = random.split(key)
    factor = jnp.exp(random.uniform(by, maxval=np.log(NEIGHBOUR_RATIO[1])))
    return sigma * jnp.where(random.uniform(is_louder) < LOUDER, factor, 1.0)


def places(worth: NDArray[np.bool_], size: int, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Corners ``[count, 2]`` of patches that show `ENOUGH` anatomy.

    Drawn uniformly among all such corners; among all corners where there is none.
    """
    total = np.pad(np.cumsum(np.cumsum(worth, 0, dtype=np.int64), 1), ((1, 0), (1, 0)))
    inside = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    good = np.argwhere(inside > ENOUGH * size * size)
    if not len(good):
        good = np.argwhere(np.ones_like(inside, bool))
    return good[rng.integers(0, len(good), count)].astype(np.int32)


def _turned(window: Array, key: Array) -> Array:
    """One of the eight positions of the square."""
    transpose, rows, columns = random.bernoulli(key, shape=(3,))
    window = jnp.where(transpose, jnp.swapaxes(window, -1, -2), window)
    window = jnp.where(rows, window[..., ::-1, :], window)
    return jnp.where(columns, window[..., ::-1], window)
