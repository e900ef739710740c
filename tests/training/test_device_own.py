"""Noise like a scan's own made on the device is that of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medidiff.training import mr_own
from medidiff.training.binning import binned

jax = pytest.importorskip("jax", reason="jax is not installed")
SHAPE = (48, 64)


@pytest.fixture
def power() -> np.ndarray:
    made = np.outer(np.linspace(1.8, 0.1, 8), np.linspace(1.3, 0.4, 8))
    return made / made.mean()


def test_the_amplitude_is_that_of_numpy(power: np.ndarray) -> None:
    from medidiff.training.device_own import colour

    np.testing.assert_allclose(
        np.asarray(colour(jax.numpy.asarray(power), SHAPE)), mr_own.colour(power, SHAPE), rtol=1e-4
    )


def test_noise_has_its_sd_before_and_after_binning(power: np.ndarray) -> None:
    from medidiff.training.device_own import coloured, passed_by_binning

    amplitude = jax.numpy.asarray(mr_own.colour(power, SHAPE))
    noise = np.asarray(coloured(amplitude, 60, jax.random.key(0)))
    assert noise.real.std() == pytest.approx(1.0, rel=0.02)
    assert noise.imag.std() == pytest.approx(1.0, rel=0.02)
    assert np.mean(noise.real * noise.imag) == pytest.approx(0.0, abs=0.02)
    left = binned(noise.real.astype(np.float32)).std()
    assert left == pytest.approx(float(passed_by_binning(amplitude)), rel=0.03)
    assert left > 0.55  # white noise: 0.5


def test_tissue_and_air_are_told_apart_as_in_numpy(rng: np.random.Generator) -> None:
    """The same noise: the same targets, and no correction where the magnitude is near its noise."""
    from medidiff.training.device_own import answered

    clean = np.zeros((3, *SHAPE), np.float32)
    clean[:, 12:36, 16:50] = 0.7
    clean += 0.01 * rng.standard_normal(clean.shape).astype(np.float32)
    noise = rng.standard_normal((3, *SHAPE)) + 1j * rng.standard_normal((3, *SHAPE))
    sigma_f, inserted, beside = np.float32(0.01), np.float32(0.03), np.float32(0.05)
    noisy, target, excess = (
        np.asarray(a) for a in answered(clean, noise.astype(np.complex64), sigma_f, inserted, beside)
    )
    np.testing.assert_allclose(noisy[1], np.abs(clean[1] + inserted * noise[1]), atol=1e-5)
    np.testing.assert_allclose(
        noisy[0], np.abs(clean[0] + np.sqrt(beside**2 - sigma_f**2) * noise[0]), atol=1e-5
    )
    tissue = ndimage.gaussian_filter(clean[1], 2.0, mode="constant") > 4.0 * np.hypot(0.01, 0.03)
    np.testing.assert_array_equal(excess > 0, tissue)
    assert excess[24, 30] == pytest.approx(0.01**2 * (1 + 1 / 9), rel=1e-4)
    np.testing.assert_allclose(target, clean[1] - tissue / 9 * (noisy[1] - clean[1]), atol=1e-5)
