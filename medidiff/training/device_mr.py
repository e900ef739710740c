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
from medidiff.training.device_cut import PLACES, Fields, places
from medidiff.training.mr_source import INVERTED, MRSource
from medidiff.training.mr_stacks import BACKGROUND, foreground

Array = Any
MODES = 3
"""Most Fourier harmonics of a smooth field."""

MAX_COILS = 32


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
    """

    slices: Array
    beside: Array
    size: Array
    sigma: Array
    pixel_mm: Array
    share: Array
    large: Array
    places: Array

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
        )


def simulate(bank: Bank, key: Array, config: TrainConfig) -> Fields:
    """One noisy slice with its truth, as `MRSource.draw`."""
    slice_key, bin_key, augment_key, level_key, noise_key, louder_key, mask_key = random.split(key, 7)
    index = random.choice(slice_key, len(bank.share), p=bank.share / bank.share.sum())
    before, after = bank.beside[index]
    clean = bank.slices[jnp.array([before, index, after])].astype(jnp.float32)
    size, sigma_f, pixel_mm = bank.size[index], bank.sigma[index], bank.pixel_mm[index]

    binned = bank.large[index] & (random.uniform(bin_key) < 0.4)
    clean = jnp.where(binned, _binned(clean, size), clean)
    size = jnp.where(binned, size // 2, size)
    sigma_f = jnp.where(binned, 0.55 * sigma_f, sigma_f)
    pixel_mm = jnp.where(binned, 2.0 * pixel_mm, pixel_mm)
    clean, sigma_f = _augmented(clean, sigma_f, size, augment_key)

    inserted = _level(level_key, sigma_f, config)
    sigma = jnp.hypot(inserted, sigma_f)
    is_louder, by = random.split(louder_key)
    factor = jnp.exp(random.uniform(by, maxval=np.log(10.0)))
    neighbour = sigma * jnp.where(random.uniform(is_louder) < 0.3, factor, 1.0)
    extra = jnp.sqrt(jnp.maximum(neighbour**2 - sigma_f**2, 0.0))
    noisy, target, relative, coils, texture = _acquired(
        clean, jnp.stack([extra, inserted, extra]), size, noise_key
    )
    # As `medidiff.noise.mr.beyond_rician`: what only the number of coils would tell stays in the truth.
    truth = jnp.sqrt(target[1] ** 2 + 2.0 * (coils - 1.0) * (inserted * relative) ** 2)
    inside = _smooth(clean[1:2])[0] > BACKGROUND
    masked = (random.uniform(mask_key) < 0.15) & ~inside
    noisy, truth = jnp.where(masked, 0.0, noisy), jnp.where(masked, 0.0, truth)
    return Fields(
        planes=jnp.stack(
            [
                noisy[1],
                noisy[0],
                noisy[2],
                relative,
                truth,
                jnp.zeros_like(relative),
                1.0 / jnp.maximum(relative, 0.1) ** 2,
            ]
        ),
        places=bank.places[index, binned.astype(jnp.int32)],
        present=jnp.array([True, True]),
        sigma=sigma,
        neighbour_sigma=neighbour,
        texture=texture,
        pixel_mm=pixel_mm,
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
    bottom = jnp.where(low, data.low_sigma, jnp.maximum(data.sigma[0], 2.0 * sigma_f))
    top = jnp.where(low, data.sigma[0], data.sigma[1])
    u = random.uniform(level_key)
    return jnp.exp(jnp.log(bottom) + u * (jnp.log(top) - jnp.log(bottom)))


def _binned(clean: Array, size: Array) -> Array:
    """Means of two by two pixels in the upper left quarter, zero elsewhere; an odd last line is left out."""
    n, h, w = clean.shape
    whole = _inside((h, w), size - size % 2)
    half = jnp.where(whole, clean, 0.0).reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
    return jnp.pad(half, ((0, 0), (0, h - h // 2), (0, w - w // 2)))


def _augmented(clean: Array, sigma_f: Array, size: Array, key: Array) -> tuple[Array, Array]:
    """Brightness, contrast, inversion, shading, as `MRSource._augment`."""
    keys = random.split(key, 9)
    gain = jnp.exp(random.uniform(keys[0], minval=-0.35, maxval=0.3))
    clean, sigma_f = clean * gain, sigma_f * gain
    gamma = jnp.exp(random.uniform(keys[1], minval=-0.35, maxval=0.35))
    clean = jnp.where(random.uniform(keys[2]) < 0.5, jnp.maximum(clean, 0.0) ** gamma, clean)
    inside = jnp.clip(_smooth(clean) / (3.0 * BACKGROUND), 0.0, 1.0)
    inverse = inside * jnp.maximum(random.uniform(keys[3], minval=1.0, maxval=1.2) - clean, 0.0)
    clean = jnp.where(random.uniform(keys[4]) < INVERTED, inverse, clean)
    area = _inside(clean.shape[1:], size)
    field = smooth_field(clean.shape[1:], size, jnp.int32(1), keys[5])
    shaded = clean * jnp.exp(random.uniform(keys[6], minval=0.1, maxval=0.5) * field) * area
    scale = _p99(clean, area) / jnp.maximum(_p99(shaded, area), 1e-6)
    chosen = random.uniform(keys[7]) < 0.6
    return jnp.where(chosen, shaded * scale, clean), jnp.where(chosen, sigma_f * scale, sigma_f)


def _acquired(
    clean: Array, sigma: Array, size: Array, key: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Noisy and noise-free magnitude, relative map, coils and zero-fill factor, as `mr.simulate_pair`.

    Args:
        clean: ``[3, h, w]``.
        sigma: ``[3]`` noise SD of each plane.
        size: height and width before padding.
        key: source of randomness.
    """
    keys = random.split(key, 12)
    shape = clean.shape[1:]
    many = random.uniform(keys[0]) < 0.15
    coils = jnp.where(many, jnp.round(2.0 ** random.uniform(keys[1], minval=1.0, maxval=5.0)), 1.0)
    relative = _g_map(clean, size, keys[2])

    factors = jnp.array([1.0, 1.25, 1.5, 2.0])[random.randint(keys[3], (2,), 0, 4)]
    factors = jnp.where(random.bernoulli(keys[4]), factors[0], factors)
    factors = jnp.where(random.uniform(keys[5]) < 0.4, factors, 1.0)
    share = random.uniform(keys[6], minval=0.625, maxval=1.0)
    share = jnp.where(random.uniform(keys[7]) < 0.2, share, 1.0)
    box = (
        _lines(shape[0], factors[0], share)[:, None] & _lines(shape[1], factors[1], jnp.float32(1.0))[None, :]
    )
    loud = jnp.sqrt(box.size / box.sum())

    modes = random.randint(keys[8], (), 0, 3)
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


def _g_map(clean: Array, size: Array, key: Array) -> Array:
    """Noise amplification over its root mean square over the object; 1 in most draws."""
    keys = random.split(key, 4)
    area = _inside(clean.shape[1:], size)
    field = smooth_field(clean.shape[1:], size, random.randint(keys[0], (), 1, 4), keys[1])
    low, high = jnp.where(area, field, np.inf).min(), jnp.where(area, field, -np.inf).max()
    strength = random.uniform(keys[2], minval=0.3, maxval=3.0)
    g = 1.0 + strength * (field - low) / jnp.maximum(high - low, 1e-6)
    weight = (clean > 0.1 * _p99(clean, area)).sum(0) * area
    weight = jnp.where(weight.sum() > 0, weight, area)
    g = g / jnp.sqrt((weight * g * g).sum() / weight.sum())
    g = jnp.where(area, g, 1.0)
    return jnp.where(random.uniform(keys[3]) < 0.35, g, jnp.ones_like(g))


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


def _inside(shape: tuple[int, ...], size: Array) -> Array:
    return (jnp.arange(shape[0]) < size[0])[:, None] & (jnp.arange(shape[1]) < size[1])[None, :]


def _smooth(images: Array) -> Array:
    """Means over five by five pixels of ``[n, h, w]``, zero beyond the edge."""
    return jax.lax.reduce_window(images, 0.0, jax.lax.add, (1, 5, 5), (1, 1, 1), "SAME") / 25.0


def _p99(images: Array, area: Array) -> Array:
    return jnp.nanpercentile(jnp.where(area, images, np.nan), 99)


def make_bank(config: TrainConfig, role: str = "train") -> Bank:
    """The slices of a role, from the pack or the scans."""
    return jax.device_put(Bank.of(MRSource(config, role)))  # type: ignore[no-any-return]
