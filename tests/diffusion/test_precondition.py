"""EDM coefficients against their definition and against what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.diffusion import Precondition


def test_coefficients_at_known_points() -> None:
    """At s = sd: c_skip 1/2, c_out sd/sqrt 2, c_in 1/(sd sqrt 2) (Karras et al. 2022, Table 1)."""
    p = Precondition(0.8)
    s = np.array([0.8])
    assert p.c_skip(s) == pytest.approx(0.5)
    assert p.c_out(s) == pytest.approx(0.8 / np.sqrt(2))
    assert p.c_in(s) == pytest.approx(1 / (0.8 * np.sqrt(2)))
    assert p.c_noise(s) == pytest.approx(np.log(0.8) / 4)
    assert p.weight(s) == pytest.approx(2 / 0.64)


@pytest.mark.parametrize("s", [0.002, 0.1, 0.5, 5.0])
def test_the_network_sees_and_learns_unit_variance(s: float) -> None:
    """c_in (x + n) and the effective target F have unit variance; the weight is its inverse square."""
    rng = np.random.default_rng(1)
    p = Precondition(0.5)
    x0 = rng.normal(0, 0.5, 200_000)
    x = x0 + s * rng.normal(size=x0.shape)
    assert np.std(p.c_in(s) * x) == pytest.approx(1.0, rel=0.01)
    F = p.target(x0, x, s)
    assert np.std(F) == pytest.approx(1.0, rel=0.01)
    assert p.apply(F, x, s) == pytest.approx(x0, abs=1e-10)
    assert p.weight(s) * p.c_out(s) ** 2 == pytest.approx(1.0)


def test_no_noise_returns_the_input() -> None:
    p, x = Precondition(0.5), np.linspace(-1, 1, 9)
    assert p.apply(np.full(9, 3.0), x, 1e-6) == pytest.approx(x, abs=1e-5)


def test_variance_is_clipped_and_calibrated() -> None:
    """h = 0 with F optimal in the Gaussian case gives exactly the posterior variance c_out^2."""
    p, s = Precondition(0.5), 0.3
    assert p.variance(np.array(0.0), s) == pytest.approx(1 / (1 / 0.25 + 1 / 0.09))
    assert p.variance(np.array([-99.0, 99.0]), s) == pytest.approx(p.c_out(s) ** 2 * np.exp([-8.0, 2.0]))


def test_float32_stays_float32() -> None:
    p = Precondition(0.5)
    x = np.ones((2, 4, 4, 1), np.float32)
    s = np.full((2, 1, 1, 1), 0.1, np.float32)
    assert p.apply(x, x, s).dtype == np.float32
    assert p.variance(x, s).dtype == np.float32


def test_a_senseless_sigma_data_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma_data"):
        Precondition(0.0)
