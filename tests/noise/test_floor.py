"""The floor of magnitude MR noise: closed forms against noise that was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.noise.floor import koay_xi, rician_mean, without_floor
from medidiff.noise.mr import MRNoise, simulate

SIGMA = 0.04


@pytest.mark.parametrize("snr", [0.0, 0.7, 1.5, 3.0, 8.0])
def test_rician_mean_and_variance_have_their_closed_form(snr: float, rng: np.random.Generator) -> None:
    noisy, _ = simulate(np.full((8, 192, 160), snr * SIGMA, np.float32), MRNoise(SIGMA), rng)
    assert noisy.mean() == pytest.approx(float(rician_mean(snr * SIGMA, SIGMA)), rel=5e-3)
    assert noisy.var() == pytest.approx(SIGMA**2 * float(koay_xi(snr)), rel=0.015)


def test_closed_forms_have_the_textbook_limits() -> None:
    assert float(rician_mean(0.0, 2.0)) == pytest.approx(2 * np.sqrt(np.pi / 2))
    assert float(rician_mean(50.0, 1.0)) == pytest.approx(50 + 1 / 100, rel=1e-5)  # A + sigma^2 / 2A
    assert float(koay_xi(0.0)) == pytest.approx(2 - np.pi / 2)
    assert float(koay_xi(30.0)) == pytest.approx(1, rel=2e-3)


@pytest.mark.parametrize("signal", [0.0, 0.02, 0.1, 0.5])
def test_spread_under_the_floor_of_coils(signal: float) -> None:
    """Against Monte Carlo: D is normal about sqrt(A^2 + floor)."""
    floor, sd = 0.09, 0.02
    level = np.sqrt(signal**2 + floor)
    D = (level + sd * np.random.default_rng(3).standard_normal(200_000)).astype(np.float32)
    draws, none = without_floor(D, None, floor)
    image, variance = without_floor(np.float32([level]), np.float32([sd**2]), floor)
    assert none is None
    assert image[0] == pytest.approx(signal, abs=1e-3)
    assert np.sqrt(variance[0]) == pytest.approx(draws.std(), rel=0.15)
