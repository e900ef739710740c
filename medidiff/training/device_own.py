"""Noise like a scan's own, made on an accelerator: what `mr_own` does, as JAX functions of a key."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from medidiff.noise.estimate_mr import PATCH_PX
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.training.mr_own import TISSUE_PX
from medidiff.training.mr_source import MRSource

Array = Any


class OwnNoise(NamedTuple):
    """Noise of the S stacks of a source.

    Attributes:
        power: ``[S, 8, 8]`` DCT power, mean 1.
        factor: ``[S]`` zero-fill factor.
        measured: bool ``[S]``, whether the noise could be measured.
    """

    power: Array
    factor: Array
    measured: Array

    @classmethod
    def of(cls, source: MRSource) -> OwnNoise:
        """Measures the stacks; none of them where the run has no use for it."""
        found = [source.own_noise(at) if source.own_share else None for at in range(len(source.stacks))]
        flat = np.ones((PATCH_PX, PATCH_PX))
        return cls(
            power=jnp.asarray(np.stack([flat if f is None else f[0] for f in found]), jnp.float32),
            factor=jnp.asarray(np.array([1.0 if f is None else f[1] for f in found]), jnp.float32),
            measured=jnp.asarray(np.array([f is not None for f in found])),
        )


def colour(power: Array, shape: tuple[int, int]) -> Array:
    """Amplitude of noise ``[y, x]`` with a DCT power ``[8, 8]``, as `mr_own.colour`."""
    v, u = (jnp.abs(jnp.fft.fftfreq(n)) * 2 * PATCH_PX for n in shape)
    at = list(jnp.meshgrid(v, u, indexing="ij"))
    amplitude = jnp.sqrt(
        jnp.maximum(jax.scipy.ndimage.map_coordinates(power, at, order=1, mode="nearest"), 0.0)
    )
    return amplitude / jnp.sqrt((amplitude**2).mean())


def coloured(amplitude: Array, count: int, key: Array) -> Array:
    """Complex noise ``[count, y, x]`` with an amplitude; SD 1 in each channel."""
    white = random.normal(key, (2, count, *amplitude.shape))
    return jnp.fft.ifft2(jnp.fft.fft2(white[0] + 1j * white[1]) * amplitude)


def passed_by_binning(amplitude: Array) -> Array:
    """SD that is left of noise of SD 1 with an amplitude when it is binned two by two."""
    v, u = (jnp.cos(np.pi * jnp.fft.fftfreq(n)) ** 2 for n in amplitude.shape)
    return jnp.sqrt((amplitude**2 * jnp.outer(v, u)).mean())


def answered(
    clean: Array, noise: Array, sigma_f: Array, inserted: Array, neighbour_sigma: Array
) -> tuple[Array, Array, Array]:
    """Noisy slices, corrected target and its noise variance where it is tissue, as `mr_own.simulate_own`.

    Args:
        clean: ``[3, h, w]``.
        noise: complex, same shape, SD 1 in each channel.
        sigma_f: noise SD that the slices have.
        inserted: noise SD to add to the centre.
        neighbour_sigma: total of the neighbours.

    Returns:
        ``[3, h, w]``, ``[h, w]``, ``[h, w]``; the last is 0 in air.
    """
    beside = jnp.sqrt(jnp.maximum(neighbour_sigma**2 - sigma_f**2, 0.0))
    noisy = jnp.abs(clean + jnp.stack([beside, inserted, beside])[:, None, None] * noise)
    x, ratio = clean[1], (sigma_f / inserted) ** 2
    tissue = _smooth(x) > GAUSSIAN_SNR * jnp.hypot(inserted, sigma_f)
    target = x - ratio * tissue * (noisy[1] - x)
    return noisy, target, sigma_f**2 * (1.0 + ratio) * tissue


def _smooth(image: Array) -> Array:
    """Gaussian of `TISSUE_PX`, zero beyond the edge."""
    reach = int(4 * TISSUE_PX)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / TISSUE_PX) ** 2)
    taps = jnp.asarray(taps / taps.sum(), jnp.float32)
    rows = jax.vmap(lambda line: jnp.convolve(line, taps, mode="same"))(image)
    return jax.vmap(lambda line: jnp.convolve(line, taps, mode="same"))(rows.T).T
