"""An acquisition on an accelerator: what `medidiff.noise.mr` does to a slice, as JAX functions of a key."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from medidiff.noise.kspace import ELLIPTICAL, MOST_EDGE, fall
from medidiff.noise.mr import (
    ACQUIRED,
    ALIKE,
    AMPLIFIED,
    G_STRENGTH,
    LOG2_COILS,
    MOST_G_MODES,
    MOST_PHASE_MODES,
    PARTIAL,
    SEVERAL_COILS,
    WINDOWED,
    ZERO_FILL,
    ZERO_FILLED,
)

Array = Any
MODES = max(MOST_G_MODES, MOST_PHASE_MODES)
"""Most Fourier harmonics of a smooth field."""


def acquired(clean: Array, sigma: Array, size: Array, key: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Noisy and noise-free magnitude, relative map, coils and zero-fill factor, as `mr.simulate_pair`.

    Args:
        clean: ``[3, h, w]``.
        sigma: ``[3]`` noise SD of each plane.
        size: height and width before padding.
        key: source of randomness.
    """
    keys = random.split(key, 13)
    shape = clean.shape[1:]
    many = random.uniform(keys[0]) < SEVERAL_COILS
    coils = jnp.round(2.0 ** random.uniform(keys[1], minval=LOG2_COILS[0], maxval=LOG2_COILS[1]))
    coils = jnp.where(many, coils, 1.0)
    relative = _g_map(clean, size, keys[2])

    factors = jnp.array(ZERO_FILL)[random.randint(keys[3], (2,), 0, len(ZERO_FILL))]
    factors = jnp.where(random.bernoulli(keys[4], ALIKE), factors[0], factors)
    factors = jnp.where(random.uniform(keys[5]) < ZERO_FILLED, factors, 1.0)
    share = random.uniform(keys[6], minval=ACQUIRED[0], maxval=ACQUIRED[1])
    share = jnp.where(random.uniform(keys[7]) < PARTIAL, share, 1.0)
    box = (
        _lines(shape[0], factors[0], share)[:, None] & _lines(shape[1], factors[1], jnp.float32(1.0))[None, :]
    )
    box = box * _window(shape, factors, keys[12])
    loud = jnp.sqrt(box.size / (box**2).sum())

    modes = random.randint(keys[8], (), 0, MOST_PHASE_MODES + 1)
    phase = 0.5 * np.pi * smooth_field(shape, size, modes, keys[9])
    kept = jnp.fft.ifft2(jnp.fft.fft2(clean * jnp.exp(1j * phase)) * box)
    scale = sigma[:, None, None] * relative

    def noise(index: Array) -> Array:
        white = random.normal(random.fold_in(keys[10], index), (2, *clean.shape))
        spectrum = (white[0] + 1j * white[1]) * box
        return scale * loud * jnp.fft.ifft2(spectrum, norm="ortho")

    power = jnp.abs(kept + noise(jnp.int32(0))) ** 2
    power = jax.lax.fori_loop(
        1, coils.astype(jnp.int32), lambda k, total: total + jnp.abs(noise(k)) ** 2, power
    )
    return jnp.sqrt(power), jnp.abs(kept), relative, coils, jnp.sqrt(factors[0] * factors[1])


def _window(shape: tuple[int, ...], zero_fill: Array, key: Array) -> Array:
    """Weights of the samples, as `medidiff.noise.kspace.draw_window`; 1 in most draws."""
    keys = random.split(key, 4)
    flat, edge = random.uniform(keys[0]), MOST_EDGE * random.uniform(keys[1]) ** 2
    y, x = (2.0 * zero_fill[axis] * jnp.abs(jnp.fft.fftfreq(n)) for axis, n in enumerate(shape))

    def weight(r: Array) -> Array:
        return fall(r, flat, edge, jnp)

    r = jnp.hypot(y[:, None], x[None, :])
    radial, product = jnp.where(r <= 1.0, weight(r), 0.0), jnp.outer(weight(y), weight(x))
    window = jnp.where(random.uniform(keys[2]) < ELLIPTICAL, radial, product)
    return jnp.where(random.uniform(keys[3]) < WINDOWED, window, 1.0)


def _g_map(clean: Array, size: Array, key: Array) -> Array:
    """Noise amplification over its root mean square over the object; 1 in most draws."""
    keys = random.split(key, 4)
    area = field_of_view(clean.shape[1:], size)
    field = smooth_field(clean.shape[1:], size, random.randint(keys[0], (), 1, MOST_G_MODES + 1), keys[1])
    low, high = jnp.where(area, field, np.inf).min(), jnp.where(area, field, -np.inf).max()
    strength = random.uniform(keys[2], minval=G_STRENGTH[0], maxval=G_STRENGTH[1])
    g = 1.0 + strength * (field - low) / jnp.maximum(high - low, 1e-6)
    weight = (clean > 0.1 * p99(clean, area)).sum(0) * area
    weight = jnp.where(weight.sum() > 0, weight, area)
    g = g / jnp.sqrt((weight * g * g).sum() / weight.sum())
    g = jnp.where(area, g, 1.0)
    return jnp.where(random.uniform(keys[3]) < AMPLIFIED, g, jnp.ones_like(g))


def smooth_field(shape: tuple[int, ...], size: Array, modes: Array, key: Array) -> Array:
    """A zero-mean smooth random field, SD about 1 within `size`, as `medidiff.noise.mr.smooth_field`."""
    order = (np.arange(2 * MODES + 1) + 1) // 2
    used = (order <= modes).astype(jnp.float32)
    weights = jnp.outer(used, used) / (1.0 + np.add.outer(order, order))
    weights = weights.at[0, 0].set(0.0)
    total = jnp.sqrt(jnp.maximum((weights**2).sum(), 1e-12))
    y, x = (_harmonics(n, size[axis]) for axis, n in enumerate(shape))
    return y @ (weights * random.normal(key, weights.shape) / total) @ x.T


def _harmonics(length: int, period: Array) -> Array:
    angle = 2.0 * np.pi * ((jnp.arange(length) + 0.5) / period)[:, None] * np.arange(1, MODES + 1)
    waves = np.sqrt(2.0) * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1).reshape(length, 2 * MODES)
    return jnp.concatenate([jnp.ones((length, 1)), waves], 1)


def _lines(n: int, zero_fill: Array, acquired: Array) -> Array:
    """Which lines, in the order of the transform, are acquired; as `medidiff.noise.mr._acquired_lines`."""
    kept = jnp.maximum(jnp.round(n / zero_fill), 2.0)
    lines = jnp.asarray(np.fft.fftfreq(n) * n)
    first = -(kept // 2) + kept - jnp.maximum(jnp.round(kept * acquired), 1.0)
    return (lines >= first - 0.5) & (lines < kept - kept // 2 - 0.5)


def field_of_view(shape: tuple[int, ...], size: Array) -> Array:
    """True inside of `size`, the slice before padding."""
    return (jnp.arange(shape[0]) < size[0])[:, None] & (jnp.arange(shape[1]) < size[1])[None, :]


def p99(images: Array, area: Array) -> Array:
    """99th percentile within an area."""
    return jnp.nanpercentile(jnp.where(area, images, np.nan), 99)
