"""Steps of other methods' processes: what each is in its paper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from medidiff.diffusion import Bridge, Mixing, VariancePreserving, uniform
from medidiff.diffusion.schedules import FAST_DDPM


def test_ancestral_vp_step_is_ddpm(rng: np.random.Generator) -> None:
    """Ho et al. 2020, eqs. 6 and 7: posterior mean and variance from x_t and x0, beta-tilde."""
    beta = np.linspace(1e-4, 0.02, 1000)
    abar = np.cumprod(1 - beta)
    process = VariancePreserving()
    x, d, n = (rng.normal(size=(8, 8)) for _ in range(3))
    for k in (999, 400, 10):  # zero-based index of the level
        before = abar[k - 1]
        mean = np.sqrt(before) * beta[k] / (1 - abar[k]) * d
        mean += np.sqrt(1 - beta[k]) * (1 - before) / (1 - abar[k]) * x
        expected = mean + np.sqrt(beta[k] * (1 - before) / (1 - abar[k])) * n
        s, s_next = (k + 1) / 1000, k / 1000
        got = process.step(x, d, d, s, s_next, process.ancestral(s, s_next), noise=lambda _: n)
        assert got == pytest.approx(expected, rel=1e-9)


def test_vp_level_inverts_time() -> None:
    process = VariancePreserving()
    for s in FAST_DDPM[:-1]:
        assert process.level(process.time(s)) == pytest.approx(s, rel=1e-9)
    assert process.time(1.0) == pytest.approx(157.4, abs=0.1)
    assert len(FAST_DDPM) == 11
    assert all(a > b for a, b in pairwise(FAST_DDPM))


def test_vp_inputs_with_and_without_the_scan(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    process = VariancePreserving()
    state, scan = process.inputs(x, y, 0.5)
    assert state == pytest.approx(x / process.coef(0.5).alpha)
    assert scan is y
    assert isinstance(VariancePreserving(conditional=False).inputs(x, y, 0.5), np.ndarray)


def test_bridge_step_is_the_brownian_bridge(rng: np.random.Generator) -> None:
    """(1 - r) x0_hat + r x_s + 2 b sqrt(s' (1 - r)) n, from the scan (no noise yet) to the end."""
    x, d, y, n = (rng.normal(size=(8, 8)) for _ in range(4))
    process = Bridge(0.5, 0.3)
    for s, s_next in pairwise(uniform(4)):
        state = y if s == 1.0 else x
        r = s_next / s
        expected = (1 - r) * d + r * state + 2 * 0.3 * np.sqrt(s_next * (1 - r)) * n
        got = process.step(state, d, y, s, s_next, process.ancestral(s, s_next), noise=lambda _: n)
        assert got == pytest.approx(expected, abs=1e-12)


def test_mixing_steps(rng: np.random.Generator) -> None:
    x, d, y = (rng.normal(size=(8, 8)) for _ in range(3))
    assert Mixing(0.5, "cold").step(x, d, y, 0.6, 0.4) == pytest.approx(0.6 * d + 0.4 * y)
    indi = Mixing(0.5, "indi").step(x, d, y, 0.6, 0.4)
    assert indi == pytest.approx((1 - 0.4 / 0.6) * d + 0.4 / 0.6 * x)
