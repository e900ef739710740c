"""Noise level from air: found where it is Rayleigh, and used where tissue tells less."""

from __future__ import annotations

import numpy as np
import pytest
from noise_phantoms import mr_head, volume
from scipy import ndimage

from medidiff.noise.air import air_noise
from medidiff.noise.estimate import estimate
from medidiff.noise.mr import MRNoise, simulate


@pytest.mark.parametrize("sigma", [0.01, 0.06, 0.12])
def test_air_is_found_where_it_is_rayleigh(sigma: float, rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(sigma), rng)
    noisy[:40] = 0  # defaced
    found = air_noise(noisy[None])
    assert found is not None
    assert found.sigma == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m**2,
        lambda m: np.maximum(m - 0.05, 0),
        lambda m: ndimage.uniform_filter(m, 3),
        lambda m: m * 0,
    ],
    ids=["squared", "subtracted", "smoothed", "masked"],
)
def test_air_that_is_not_rayleigh_is_not_used(spoil: object, rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(0.05), rng)
    air = ~ndimage.binary_dilation(mr_head() > 0.03, iterations=3)
    noisy[air] = spoil(noisy)[air]  # type: ignore[operator]
    assert air_noise(noisy[None]) is None
    assert estimate(volume(noisy, "MR")).sigma == pytest.approx(0.05, rel=0.08)


@pytest.mark.parametrize("uneven", [0.0, 4.0], ids=["even", "uneven"])
def test_air_decides_where_tissue_has_no_flat_patch(uneven: float, rng: np.random.Generator) -> None:
    shape = (256, 256)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 1.5)
    strength = 1 + uneven * (ndimage.gaussian_filter(rng.standard_normal(shape), 12.0) > 0)
    image = np.zeros(shape, dtype=np.float32)
    image[28:228, 28:228] = (0.5 + 0.2 * strength * texture)[28:228, 28:228]
    noisy, _ = simulate(np.maximum(image, 0), MRNoise(0.003), rng)
    found = estimate(volume(noisy, "MR"))
    assert "air" in found.method
    assert found.sigma == pytest.approx(0.003, rel=0.05)
    assert found.n_pixels > 10000


def test_tissue_decides_where_a_g_map_raises_its_noise(rng: np.random.Generator) -> None:
    """The air around the head is at g = 1, its centre at g = 2: the noise of the tissue counts."""
    head = mr_head()
    gain = np.where(ndimage.binary_dilation(head > 0.03, iterations=3), 2.0, 1.0).astype(np.float32)
    real, other = (0.03 * gain * rng.standard_normal(head.shape, dtype=np.float32) for _ in range(2))
    noisy = np.hypot(head + real, other)
    assert air_noise(noisy[None]) is not None
    assert estimate(volume(noisy, "MR")).sigma == pytest.approx(0.06, rel=0.1)
