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
from medidiff.noise.spectrum import SHARP, SHARP_SHARE, SOFT, amplitude
from medidiff.training.config import TrainConfig
from medidiff.training.ct_formulas import (
    ELECTRONIC,
    LEAST_SD,
    OWN_KERNEL,
    PHOTONS,
    TARGET_RATIO,
    TEXTURE_TOLD,
    echo_filter,
    mean_frequency,
    mixes,
    noise_power,
)
from medidiff.training.ct_reference import OWN_GRID
from medidiff.training.ct_source import CTSource
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

    # Where sigma_F is 0 the echo is 0.
    power_own, power = noise_power(own, f, jnp), noise_power(response, f, jnp)
    share = (sigma_f / jnp.maximum(inserted, 1e-6)) ** 2
    echo = filtered(coloured * echo_filter(power_own, power, share, jnp)) * (inserted / sd)
    excess = jnp.where(sigma_f > 0.0, (sigma_f**2 + sd_of(echo) ** 2) * relative**2, 0.0)

    neighbour_t = neighbour_level(t, neighbour_key)
    extra = jnp.sqrt(jnp.maximum(neighbour_t**2 - sigma_f**2, 0.0))
    texture = mean_frequency(inserted**2 * power + sigma_f**2 * power_own, f)
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
    photons = jnp.exp(random.uniform(counts_key, minval=np.log(PHOTONS[0]), maxval=np.log(PHOTONS[1])))
    variance = random.uniform(variance_key, minval=ELECTRONIC[0], maxval=ELECTRONIC[1])
    share = jnp.sqrt(variance / photons) * bank.electronic_ratio[index]
    q0, q1, electronic = bank.bases[index].astype(jnp.float32)
    before, centre, mirrored = mixes((q0, q1), share * electronic, (jnp.cos(theta), jnp.sin(theta)))
    # Mirrored within the slice, not within its padding.
    return before, centre, jnp.roll(mirrored, bank.width[index] - q0.shape[1], axis=1)


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
    sharp = random.uniform(sharp_key) < SHARP_SHARE

    def parameter(name: str, key: Array) -> Array:
        u = random.uniform(key)
        soft, other = (low + (high - low) * u for low, high in (getattr(k, name) for k in (SOFT, SHARP)))
        return jnp.where(sharp, other, soft)

    f50, power, boost = (
        parameter("f50", f50_key),
        parameter("power", power_key),
        parameter("boost", boost_key),
    )
    return jnp.where(random.uniform(own_key) < OWN_KERNEL, own, amplitude(f, f50, power, boost))


def _network(hu: Array) -> Array:
    return (jnp.clip(hu, UNITS.low, UNITS.high) - UNITS.offset) / UNITS.scale


def make_bank(config: TrainConfig, role: str = "train") -> Bank:
    """The slices of a role, from the pack or the cache."""
    return jax.device_put(Bank.of(CTSource(config, role)))  # type: ignore[no-any-return]
