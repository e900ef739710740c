"""Noise like a scan's own: its spectrum, level, and targets without bias towards the noise they have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from medidiff.noise.kspace import NAMED
from medidiff.training.binning import binned
from medidiff.training.mr_own import binned_colour, colour, own_spectrum, simulate_own

N = 128
SIGMA_F = 0.02


def noise(amplitude: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    white = rng.standard_normal((count, *amplitude.shape))
    return fft.ifft2(fft.fft2(white) * amplitude).real.astype(np.float32)


@pytest.fixture
def window() -> np.ndarray:
    """Hamming along y, twice zero-filled along x; root mean square 1."""
    amplitude = NAMED["hamming"].values((N, N), (1.0, 1.0))
    amplitude = amplitude[:, :1] * (np.abs(fft.fftfreq(N)) < 0.25)[None, :]
    return (amplitude / np.sqrt(np.mean(amplitude**2))).astype(np.float32)


def test_the_spectrum_of_a_scan_makes_noise_like_its_own(
    window: np.ndarray, rng: np.random.Generator
) -> None:
    """Measured in a scan, made, and measured again: the same power along both axes, SD 1."""
    scan = 0.5 + SIGMA_F * noise(window, 6, rng)
    power = own_spectrum(scan)
    assert power is not None
    amplitude = colour(power, (N, N))
    assert np.mean(amplitude**2) == pytest.approx(1.0, rel=1e-5)
    made = own_spectrum(0.5 + SIGMA_F * noise(amplitude, 6, rng))
    assert made is not None
    # Eight coefficients an axis blur the edge of the box by one.
    np.testing.assert_allclose(made[4:, 0], power[4:, 0], rtol=0.25, atol=0.12)
    np.testing.assert_allclose(made[0, 4:], power[0, 4:], atol=0.35)
    assert made[0, 6:].mean() < 0.1 * made[0, 4]
    assert made[6:, 0].mean() > 0.1 * made[4, 0]


def test_a_scan_without_flat_tissue_has_no_spectrum() -> None:
    assert own_spectrum(np.zeros((3, 32, 32), np.float32)) is None


def test_binned_noise_has_the_spectrum_of_binned_noise(window: np.ndarray, rng: np.random.Generator) -> None:
    small = binned(noise(window, 80, rng))
    power = np.mean(np.abs(fft.fft2(small)) ** 2, axis=0)
    expected = binned_colour(window) ** 2
    for rows in (slice(1, 8), slice(12, 20), slice(26, 32)):
        for columns in (slice(1, 8), slice(12, 20), slice(26, 32)):
            made = power[rows, columns].mean() / power.mean()
            assert made == pytest.approx(expected[rows, columns].mean(), abs=0.06, rel=0.06)


def test_targets_do_not_follow_the_noise(window: np.ndarray, rng: np.random.Generator) -> None:
    """The target's error must not depend on the scan's noise, or a network learns to leave a part of it.

    Uncorrected it would: by sigma_F^2 / (sigma_F^2 + sigma_ins^2) = 0.31.
    """
    x = np.full((3, N, N), 0.6, np.float32)
    inserted = 1.5 * SIGMA_F
    slopes, plain, excess, state = [], [], [], []
    for _ in range(12):
        own = x + SIGMA_F * noise(window, 3, rng)
        drawn = simulate_own(own, SIGMA_F, inserted, window, 1.4, 1.0, rng)
        n = drawn.state - x[1]
        slopes.append(float((n * (drawn.target - x[1])).mean() / (n * n).mean()))
        plain.append(float((n * (own[1] - x[1])).mean() / (n * n).mean()))
        excess.append((float(drawn.excess.mean()), float(np.var(drawn.target - x[1]))))
        state.append(n.std() / drawn.sigma)
    assert np.mean(plain) == pytest.approx(1 / (1 + 1.5**2), abs=0.03)
    assert np.mean(slopes) == pytest.approx(0.0, abs=0.03)
    stated, found = np.mean(excess, axis=0)
    assert stated == pytest.approx(found, rel=0.1)
    assert np.mean(state) == pytest.approx(1.0, abs=0.04)


def test_air_is_not_corrected_and_not_learned_from(window: np.ndarray, rng: np.random.Generator) -> None:
    clean = np.zeros((3, N, N), np.float32)
    clean[:, 32:96, 32:96] = 0.6
    own = np.abs(clean + SIGMA_F * noise(window, 3, rng))
    drawn = simulate_own(own, SIGMA_F, SIGMA_F, window, 1.0, 1.0, rng)
    np.testing.assert_array_equal(drawn.target[:20], own[1, :20])
    assert not drawn.excess[:20].any()
    assert not drawn.weight[:20].any()
    assert drawn.weight[60, 60] == 1.0
    assert drawn.excess[60, 60] == pytest.approx(2 * SIGMA_F**2)
