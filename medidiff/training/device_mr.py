"""MR samples made on an accelerator: what `MRSource` and `medidiff.noise.mr` do, as a JAX function of a key.

Two things differ from the NumPy code, neither of which the network can tell: transforms run over the slice
padded to the size of the largest, as if its field of view were that; and of several coils the first carries
all signal, which is the same by a rotation of the coils wherever their maps are smooth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from medidiff.training.config import TrainConfig
from medidiff.training.device_acquired import acquired, field_of_view, p99, smooth_field
from medidiff.training.device_cut import PLACES, Fields, neighbour_level, places
from medidiff.training.device_own import OwnNoise, answered, colour, coloured, passed_by_binning
from medidiff.training.mr_source import (
    BINNED,
    BINNED_SHARE,
    GAIN,
    GAMMA,
    INVERTED,
    LEAST_INSERTED,
    MASKED,
    MOST_INSERTED,
    QUIETEST,
    SHADED,
    SHADING,
    STRONGEST_OWN,
    TOP,
    MRSource,
)
from medidiff.training.mr_stacks import BACKGROUND, foreground

Array = Any


class Bank(NamedTuple):
    """M slices of all stacks on the device, padded to ``[h, w]``.

    Attributes:
        slices: float16 ``[M, h, w]`` in units of the foreground p99.
        beside: int32 ``[M, 2]`` the slices before and after; at an end the inner one twice.
        size: int32 ``[M, 2]`` height and width before padding.
        sigma: ``[M]`` own noise SD.
        pixel_mm: ``[M]``.
        share: ``[M]`` probability.
        large: bool ``[M]``, whether a slice may be binned.
        places: int32 ``[M, 2, PLACES, 2]`` corners worth taking, as it is and binned.
        stack: int32 ``[M]`` the stack that a slice is of.
        own: noise of the stacks.
    """

    slices: Array
    beside: Array
    size: Array
    sigma: Array
    pixel_mm: Array
    share: Array
    large: Array
    places: Array
    stack: Array
    own: OwnNoise

    @classmethod
    def of(cls, source: MRSource) -> Bank:
        """Puts the slices of a source on the device."""
        patch, rng = source.config.data.patch, np.random.default_rng(0)
        h, w = (-(-max(s.slices.shape[axis] for s in source.stacks) // 16) * 16 for axis in (1, 2))
        slices: list[Any] = []
        beside: list[tuple[int, int]] = []
        size: list[tuple[int, int]] = []
        corners: list[Any] = []
        for stack in source.stacks:
            first, last = len(slices), len(stack.slices) - 1
            rows, columns = stack.slices.shape[1:]
            for k, image in enumerate(stack.slices):
                slices.append(np.pad(image, ((0, h - rows), (0, w - columns))).astype(np.float16))
                before, after = (k - 1 if k > 0 else min(1, last)), (k + 1 if k < last else max(last - 1, 0))
                beside.append((first + before, first + after))
                size.append((rows, columns))
                corners.append(_corners(image, patch, rng))
        counts = [len(s.slices) for s in source.stacks]

        def spread(values: Any) -> Array:
            return jnp.asarray(np.repeat(np.asarray(values, np.float32), counts))

        sizes = np.array(size, np.int32)
        return cls(
            slices=jnp.asarray(np.stack(slices)),
            beside=jnp.asarray(np.array(beside, np.int32)),
            size=jnp.asarray(sizes),
            sigma=spread([s.sigma for s in source.stacks]),
            pixel_mm=spread([s.pixel_mm for s in source.stacks]),
            share=spread(source.share / np.array(counts)),
            large=jnp.asarray(sizes.min(1) >= 2 * patch),
            places=jnp.asarray(np.stack(corners)),
            stack=jnp.asarray(np.repeat(np.arange(len(counts), dtype=np.int32), counts)),
            own=OwnNoise.of(source),
        )


def simulate(bank: Bank, key: Array, config: TrainConfig) -> Fields:
    """One noisy slice with its truth, as `MRSource.draw`."""
    slice_key, bin_key, augment_key, level_key, noise_key, louder_key, mask_key = random.split(key, 7)
    index = random.choice(slice_key, len(bank.share), p=bank.share / bank.share.sum())
    clean, size, sigma_f, pixel_mm, binned = _taken(bank, index, bin_key)
    clean, sigma_f = _augmented(clean, sigma_f, size, augment_key)

    inserted = _level(level_key, sigma_f, config)
    sigma_f = jnp.where(inserted < LEAST_INSERTED * sigma_f, 0.0, sigma_f)
    sigma = jnp.hypot(inserted, sigma_f)
    neighbour = neighbour_level(sigma, louder_key)
    extra = jnp.sqrt(jnp.maximum(neighbour**2 - sigma_f**2, 0.0))
    noisy, target, relative, coils, texture = acquired(
        clean, jnp.stack([extra, inserted, extra]), size, noise_key
    )
    # As `medidiff.noise.floor.beyond_rician`: what only the number of coils would tell stays in the truth.
    truth = jnp.sqrt(target[1] ** 2 + 2.0 * (coils - 1.0) * (inserted * relative) ** 2)
    inside = _smooth(clean[1:2])[0] > BACKGROUND
    masked = (random.uniform(mask_key) < MASKED) & ~inside
    noisy, truth = jnp.where(masked, 0.0, noisy), jnp.where(masked, 0.0, truth)
    weight = 1.0 / jnp.maximum(relative, QUIETEST) ** 2
    drawn = Fields(
        planes=jnp.stack([noisy[1], noisy[0], noisy[2], relative, truth, jnp.zeros_like(relative), weight]),
        places=bank.places[index, binned.astype(jnp.int32)],
        present=jnp.array([True, True]),
        sigma=sigma,
        neighbour_sigma=neighbour,
        texture=texture,
        pixel_mm=pixel_mm,
    )
    if not config.data.own_share:
        return drawn
    choice_key, own_key = random.split(random.fold_in(key, 1))
    chosen = bank.own.measured[bank.stack[index]] & (random.uniform(choice_key) < config.data.own_share)
    own = _like_own(bank, index, own_key, config)
    return Fields(*(jnp.where(chosen, a, b) for a, b in zip(own, drawn, strict=True)))


def _like_own(bank: Bank, index: Array, key: Array, config: TrainConfig) -> Fields:
    """A slice with noise like its own, as `MRSource._like_own`."""
    bin_key, gain_key, level_key, louder_key, noise_key = random.split(key, 5)
    clean, _, sigma_f, pixel_mm, binned = _taken(bank, index, bin_key)
    amplitude = colour(bank.own.power[bank.stack[index]], clean.shape[1:])
    noise = coloured(amplitude, 3, noise_key)
    whole = bank.size[index]
    small = _binned(noise.real, whole) + 1j * _binned(noise.imag, whole)
    noise = jnp.where(binned, small / passed_by_binning(amplitude), noise)
    gain = jnp.exp(random.uniform(gain_key, minval=GAIN[0], maxval=GAIN[1]))
    clean, sigma_f = clean * gain, sigma_f * gain
    low = jnp.maximum(config.data.low_sigma, sigma_f)
    high = jnp.maximum(STRONGEST_OWN * config.data.sigma[1], low)
    inserted = low * (high / low) ** random.uniform(level_key)
    sigma = jnp.hypot(inserted, sigma_f)
    neighbour = neighbour_level(sigma, louder_key)
    noisy, target, excess = answered(clean, noise, sigma_f, inserted, neighbour)
    tissue = (excess > 0.0).astype(jnp.float32)
    return Fields(
        planes=jnp.stack([noisy[1], noisy[0], noisy[2], jnp.ones_like(target), target, excess, tissue]),
        places=bank.places[index, binned.astype(jnp.int32)],
        present=jnp.array([True, True]),
        sigma=sigma,
        neighbour_sigma=neighbour,
        texture=jnp.where(binned, 1.0, bank.own.factor[bank.stack[index]]),
        pixel_mm=pixel_mm,
    )


def _taken(bank: Bank, index: Array, key: Array) -> tuple[Array, Array, Array, Array, Array]:
    """A slice with its neighbours, its size, noise SD and pixel size, and whether it was binned."""
    before, after = bank.beside[index]
    clean = bank.slices[jnp.array([before, index, after])].astype(jnp.float32)
    size, sigma_f, pixel_mm = bank.size[index], bank.sigma[index], bank.pixel_mm[index]
    binned = bank.large[index] & (random.uniform(key) < BINNED_SHARE)
    return (
        jnp.where(binned, _binned(clean, size), clean),
        jnp.where(binned, size // 2, size),
        jnp.where(binned, BINNED * sigma_f, sigma_f),
        jnp.where(binned, 2.0 * pixel_mm, pixel_mm),
        binned,
    )


def _corners(image: Any, patch: int, rng: np.random.Generator) -> Any:
    """Corners of patches with signal, ``[2, PLACES, 2]``: of the slice, and of the slice binned."""
    h, w = (n - n % 2 for n in image.shape)
    half = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))
    found = [places(foreground(image), patch, PLACES, rng)]
    fits = min(half.shape) >= patch
    found.append(places(foreground(half), patch, PLACES, rng) if fits else found[0])
    return np.stack(found)


def _level(key: Array, sigma_f: Array, config: TrainConfig) -> Array:
    """Inserted noise SD, as `MRSource._sigma`."""
    data, (low_key, level_key) = config.data, random.split(key)
    low = random.uniform(low_key) < data.low_share
    bottom = jnp.where(low, data.low_sigma, jnp.maximum(data.sigma[0], LEAST_INSERTED * sigma_f))
    weak = jnp.float32(data.sigma[0])
    if data.own_share:
        most = jnp.clip(MOST_INSERTED * sigma_f, data.low_sigma, data.sigma[0])
        weak = jnp.where(sigma_f > 0.0, most, weak)
    top = jnp.where(low, weak, data.sigma[1])
    u = random.uniform(level_key)
    return jnp.exp(jnp.log(bottom) + u * (jnp.log(top) - jnp.log(bottom)))


def _binned(clean: Array, size: Array) -> Array:
    """Means of two by two pixels in the upper left quarter, zero elsewhere; an odd last line is left out."""
    n, h, w = clean.shape
    whole = field_of_view((h, w), size - size % 2)
    half = jnp.where(whole, clean, 0.0).reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
    return jnp.pad(half, ((0, 0), (0, h - h // 2), (0, w - w // 2)))


def _augmented(clean: Array, sigma_f: Array, size: Array, key: Array) -> tuple[Array, Array]:
    """Brightness, contrast, inversion, shading, as `MRSource._augment`."""
    keys = random.split(key, 9)
    gain = jnp.exp(random.uniform(keys[0], minval=GAIN[0], maxval=GAIN[1]))
    clean, sigma_f = clean * gain, sigma_f * gain
    gamma = jnp.exp(random.uniform(keys[1], minval=GAMMA[0], maxval=GAMMA[1]))
    clean = jnp.where(random.uniform(keys[2]) < 0.5, jnp.maximum(clean, 0.0) ** gamma, clean)
    inside = jnp.clip(_smooth(clean) / (3.0 * BACKGROUND), 0.0, 1.0)
    inverse = inside * jnp.maximum(random.uniform(keys[3], minval=TOP[0], maxval=TOP[1]) - clean, 0.0)
    clean = jnp.where(random.uniform(keys[4]) < INVERTED, inverse, clean)
    area = field_of_view(clean.shape[1:], size)
    field = smooth_field(clean.shape[1:], size, jnp.int32(1), keys[5])
    shaded = clean * jnp.exp(random.uniform(keys[6], minval=SHADING[0], maxval=SHADING[1]) * field) * area
    scale = p99(clean, area) / jnp.maximum(p99(shaded, area), 1e-6)
    chosen = random.uniform(keys[7]) < SHADED
    return jnp.where(chosen, shaded * scale, clean), jnp.where(chosen, sigma_f * scale, sigma_f)


def _smooth(images: Array) -> Array:
    """Means over five by five pixels of ``[n, h, w]``, zero beyond the edge."""
    return jax.lax.reduce_window(images, 0.0, jax.lax.add, (1, 5, 5), (1, 1, 1), "SAME") / 25.0


def make_bank(config: TrainConfig, role: str = "train") -> Bank:
    """The slices of a role, from the pack or the scans."""
    return jax.device_put(Bank.of(MRSource(config, role)))  # type: ignore[no-any-return]
