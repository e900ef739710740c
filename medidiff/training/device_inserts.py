"""Inserts on an accelerator: what `medidiff.training.inserts` does, as a JAX function of a random key."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from medidiff.training.inserts import (
    ASPECT,
    CONTRAST_HU,
    COUNT,
    DIAMETER_MM,
    EDGE_PX,
    FARTHEST,
    SMALLEST_PX,
    THROUGH,
    ellipse,
)

Array = Any


def draw_inserts(shape: tuple[int, int], spots: Array, pixel_mm: Array, key: Array) -> Array:
    """Contrast of random inserts in a slice and its neighbours.

    Args:
        shape: ``(h, w)``.
        spots: int32 ``[n, 2]`` pixels of the body, where inserts may have their middle.
        pixel_mm: pixel size.
        key: source of randomness.

    Returns:
        float32 ``[3, h, w]`` HU to add.
    """
    count_key, key = random.split(key)
    count = jnp.round(_log_uniform(count_key, *COUNT))
    rows, columns = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]

    def add(index: Array, contrast: Array) -> Array:
        keys = random.split(random.fold_in(key, index), 9)
        y, x = spots[random.randint(keys[0], (), 0, spots.shape[0])]
        radius = 0.5 * _log_uniform(keys[1], *DIAMETER_MM) / pixel_mm
        height = _log_uniform(keys[2], *CONTRAST_HU) * jnp.where(random.bernoulli(keys[3]), 1.0, -1.0)
        aspect = random.uniform(keys[4], minval=ASPECT[0], maxval=ASPECT[1])
        angle = random.uniform(keys[5], maxval=np.pi)
        edge = random.uniform(keys[6], minval=EDGE_PX[0], maxval=EDGE_PX[1])
        off = random.uniform(keys[7], (3,), maxval=FARTHEST) * jnp.array([1.0, 0.0, 1.0])
        off = jnp.where(random.uniform(keys[8]) < THROUGH, 0.0, off)
        # An ellipsoid cut off its middle is smaller; far enough off, it is gone.
        r = radius * jnp.sqrt(jnp.maximum(0.0, 1.0 - off * off))
        dy, dx = rows - y, columns - x
        inside = ellipse(dy, dx, r[:, None, None], aspect, angle, edge, jnp)
        inside = jnp.where((r > SMALLEST_PX)[:, None, None] & (index < count), inside, 0.0)
        return contrast + height * inside

    return jax.lax.fori_loop(0, COUNT[1], add, jnp.zeros((3, *shape), jnp.float32))


def _log_uniform(key: Array, low: float, high: float) -> Array:
    return jnp.exp(random.uniform(key, minval=np.log(low), maxval=np.log(high)))
