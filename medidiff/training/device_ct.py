"""CT samples made on an accelerator: what `CTSource` and `cut` do, as one JAX function of a random key.

Slices and noise bases lie on the device; a batch is drawn, filtered and cropped there, so that no
processor has to keep ahead of it. The Fourier transforms run over the padded slice. Statistically the samples
are those of the NumPy code, number by number they are not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from medidiff.intensity import Intensity
from medidiff.training.config import TrainConfig
from medidiff.training.ct_reference import OWN_GRID
from medidiff.training.ct_source import (
    ELECTRONIC,
    LEAST_SD,
    MAX_FILTER,
    OWN_KERNEL,
    PHOTONS,
    TARGET_RATIO,
    TEXTURE_TOLD,
    CTSource,
)
from medidiff.training.device_ct_bank import Bank
from medidiff.training.device_cut import Fields, neighbour_level
from medidiff.training.device_inserts import draw_inserts

Array = Any
UNITS = Intensity.ct()


class _Drawn(NamedTuple):
    """What a slice is to become: index, level and own noise SD in HU."""

    index: Array
    t: Array
    sigma_f: Array


def simulate(bank: Bank, key: Array, config: TrainConfig) -> Fields:
    """One noisy slice with its truth, as `CTSource.draw`.

    Args:
        bank: the slices.
        key: source of randomness.
        config: levels of the noise.
    """
    level_key, kernel_key, mix_key, neighbour_key, told_key, insert_key = random.split(key, 6)
    index, t, sigma_f = _level(bank, level_key, config)
    pixel_mm = bank.pixel_mm[index]
    height, width = bank.hu.shape[-2:]
    cycles = jnp.hypot(jnp.fft.fftfreq(height)[:, None], jnp.fft.rfftfreq(width)[None, :])
    f = cycles * (10.0 / pixel_mm)
    own = jnp.interp(f, jnp.asarray(OWN_GRID), bank.own[index])
    response = _response(kernel_key, f, own)
    before, centre, after = _mixes(bank, index, mix_key)
    relative, soft = bank.relative[index].astype(jnp.float32), bank.soft[index]

    def sd_of(noise: Array) -> Array:
        square = jnp.where(soft, (noise / relative) ** 2, 0.0)
        return jnp.sqrt(square.sum() / jnp.maximum(soft.sum(), 1))

    def filtered(spectrum: Array) -> Array:
        return jnp.fft.irfft2(spectrum, s=(height, width))

    def unit(image: Array) -> Array:
        noise = filtered(jnp.fft.rfft2(image) * response)
        return noise / jnp.maximum(sd_of(noise), LEAST_SD)

    coloured = jnp.fft.rfft2(centre) * response
    noise = filtered(coloured)
    sd = jnp.maximum(sd_of(noise), LEAST_SD)
    inserted = jnp.sqrt(jnp.maximum(t * t - sigma_f * sigma_f, 0.0))
    hu = _slices(bank, index, insert_key, config)
    state = hu[1] + inserted / sd * noise

    # x* = x_F - F^-1[(S_F / S_ins) F n]; where sigma_F is 0 the echo is 0.
    power_own, power = _normalised(own, f), _normalised(response, f)
    ratio = jnp.where(power > 0, power_own / jnp.maximum(power, 1e-12), 1.0)
    ratio = jnp.minimum((sigma_f / jnp.maximum(inserted, 1e-6)) ** 2 * ratio, MAX_FILTER)
    echo = filtered(coloured * ratio) * (inserted / sd)
    excess = jnp.where(sigma_f > 0.0, (sigma_f**2 + sd_of(echo) ** 2) * relative**2, 0.0)

    neighbour_t = neighbour_level(t, neighbour_key)
    extra = jnp.sqrt(jnp.maximum(neighbour_t**2 - sigma_f**2, 0.0))
    total = inserted**2 * power + sigma_f**2 * power_own
    texture = (total * f).sum() / total.sum()
    told = random.uniform(told_key, minval=TEXTURE_TOLD[0], maxval=TEXTURE_TOLD[1])
    planes = (
        _network(state),
        _network(hu[0] + extra * unit(before)),
        _network(hu[2] + extra * unit(after)),
        relative,
        (hu[1] - echo - UNITS.offset) / UNITS.scale,
        excess / UNITS.scale**2,
        bank.weight[index].astype(jnp.float32),
    )
    return Fields(
        planes=jnp.stack(planes),
        places=bank.places[index],
        present=bank.present[index][jnp.array([0, 2])],
        sigma=t / UNITS.scale,
        neighbour_sigma=neighbour_t / UNITS.scale,
        texture=texture * told,
        pixel_mm=pixel_mm,
    )


def _mixes(bank: Bank, index: Array, key: Array) -> tuple[Array, Array, Array]:
    """Noise before the kernel: of the slice before, the slice, and the slice after; as in `CTSource`."""
    theta_key, counts_key, variance_key = random.split(key, 3)
    theta = random.uniform(theta_key, minval=0.0, maxval=2.0 * np.pi)
    c, s = jnp.cos(theta), jnp.sin(theta)
    photons = jnp.exp(random.uniform(counts_key, minval=np.log(PHOTONS[0]), maxval=np.log(PHOTONS[1])))
    variance = random.uniform(variance_key, minval=ELECTRONIC[0], maxval=ELECTRONIC[1])
    share = jnp.sqrt(variance / photons) * bank.electronic_ratio[index]
    q0, q1, electronic = bank.bases[index].astype(jnp.float32)
    # Mirrored within the slice, not within its padding.
    mirrored = jnp.roll((c * q0 - s * q1)[:, ::-1], bank.width[index] - q0.shape[1], axis=1)
    return c * q1 - s * q0, c * q0 + s * q1 + share * electronic, mirrored


def _slices(bank: Bank, index: Array, key: Array, config: TrainConfig) -> Array:
    """HU ``[3, h, w]`` of a slice and its neighbours, at times with inserts."""
    hu = bank.hu[index].astype(jnp.float32)
    if config.data.insert_share <= 0.0:
        return hu
    whether_key, which_key = random.split(key)
    inserts = draw_inserts(hu.shape[1:], bank.spots[index], bank.pixel_mm[index], which_key)
    inserts = jnp.where(random.uniform(whether_key) < config.data.insert_share, inserts, 0.0)
    return jnp.maximum(hu + inserts, UNITS.low)


def _level(bank: Bank, key: Array, config: TrainConfig) -> _Drawn:
    """Draws slice and level as `CTSource.draw`; below 1.41 sigma_F from the clean pool."""
    low_key, a_key, b_key, clean_key, reference_key = random.split(key, 5)
    data = config.data
    low = random.uniform(low_key) < data.low_share
    below = random.uniform(a_key, minval=np.log(data.low_sigma), maxval=np.log(2.0 * data.sigma[0]))
    regular = random.uniform(b_key, minval=np.log(data.sigma[0]), maxval=np.log(data.sigma[1]))
    t = jnp.exp(jnp.where(low, below, regular))
    clean = random.choice(clean_key, len(bank.sigma), p=bank.clean)
    reference = random.choice(reference_key, len(bank.sigma), p=bank.reference)
    wanted = random.uniform(random.fold_in(clean_key, 1)) < data.clean_share
    index = jnp.where(low | wanted | (t < TARGET_RATIO * bank.sigma[reference]), clean, reference)
    sigma = bank.sigma[index]
    return _Drawn(index, t, jnp.where(t >= TARGET_RATIO * sigma, sigma, 0.0))


def _response(key: Array, f: Array, own: Array) -> Array:
    """The scan's own kernel or one of the family, as `medidiff.noise.spectrum.draw_kernel`."""
    own_key, sharp_key, f50_key, power_key, boost_key = random.split(key, 5)
    sharp = random.uniform(sharp_key) < 0.25
    u, v = random.uniform(f50_key), random.uniform(power_key)
    f50 = jnp.where(sharp, 7.0 + 5.0 * u, 3.5 + 2.5 * u)
    power = jnp.where(sharp, 4.0 + 4.0 * v, 3.0 + 3.0 * v)
    boost = jnp.where(sharp, random.uniform(boost_key, maxval=0.02), 0.0)
    family = (1.0 + boost * f**2) / (1.0 + (f / f50) ** power)
    return jnp.where(random.uniform(own_key) < OWN_KERNEL, own, family)


def _normalised(response: Array, f: Array) -> Array:
    """Noise power of a kernel behind the ramp, integral 1."""
    power = f * response * response
    return power / jnp.maximum(power.sum(), 1e-12)


def _network(hu: Array) -> Array:
    return (jnp.clip(hu, UNITS.low, UNITS.high) - UNITS.offset) / UNITS.scale


def make_bank(config: TrainConfig, role: str = "train") -> Bank:
    """The slices of a role, from the pack or the cache."""
    return jax.device_put(Bank.of(CTSource(config, role)))  # type: ignore[no-any-return]
