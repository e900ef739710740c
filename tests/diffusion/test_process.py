"""Identities of the processes: marginals, updates, and what each step is in its paper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from closed_form import UNIT_N, WHITE, Field, average, fresh

from medidiff.diffusion import Bridge, Matched, Mixing, Process, VariancePreserving, quad, uniform
from medidiff.diffusion.schedules import FAST_DDPM

X0 = Field({"x": 1.0}, {"x": WHITE})
Y = X0 + Field({"n": 1.0}, {"n": 0.25 * UNIT_N})


@pytest.mark.parametrize(
    "process",
    [Matched(0.5), VariancePreserving(), Bridge(0.5, 0.3)],
    ids=lambda p: type(p).__name__,
)
@pytest.mark.parametrize("own_step", [True, False], ids=["ancestral", "eta_half"])
def test_a_step_from_the_truth_lands_on_the_marginal(process: Process, own_step: bool) -> None:
    """With x0_hat = x any eta leads from q(x_s | x, y) to q(x_s' | x, y): noise power gamma'^2."""
    for s, s_next in ((0.9, 0.5), (0.5, 0.2), (0.2, 0.0)):
        now, then = process.coef(s), process.coef(s_next)
        x = now.alpha * X0 + now.beta * Y + now.gamma * Field({"e": 1.0}, {"e": UNIT_N})
        eta = process.ancestral(s, s_next) if own_step else 0.5
        rest = process.step(x, X0, Y, s, s_next, eta, noise=fresh(UNIT_N)) - (then.alpha * X0 + then.beta * Y)
        assert rest.part("e") == pytest.approx(then.gamma**2, abs=1e-12)
        assert rest.part("x") + rest.part("n") == pytest.approx(0.0, abs=1e-24)


@pytest.mark.parametrize("process", [Matched(0.5), VariancePreserving(), Bridge(0.5, 0.3), Mixing(0.5)])
def test_time_is_the_noise_of_what_the_network_sees(process: Process) -> None:
    t_y = 0.5
    for s in (0.1, 0.4, 0.7):
        alpha, beta, gamma = process.coef(s)
        share = alpha + beta  # of the clean image, in the state; for VP the network sees x_s / alpha
        noise = np.hypot(beta * t_y, gamma) / share
        assert process.time(s) == pytest.approx(noise, rel=1e-12)


def test_matched_step_is_the_sde_with_variance_and_map(rng: np.random.Generator) -> None:
    """D + r (x - D) + sqrt(t'^2 (1 - r) m^2 + (1 - r)^2 v) n, written out on arrays."""
    x, d, y, n = (rng.normal(size=(8, 8)).astype(np.float32) for _ in range(4))
    v, m = (rng.uniform(0.5, 2.0, (8, 8)).astype(np.float32) for _ in range(2))
    process = Matched(0.3, m)
    for s, s_next in ((1.0, 0.6), (0.6, 0.0)):
        r = (s_next / s) ** 2
        eta = process.ancestral(s, s_next)
        assert eta == pytest.approx(np.sqrt(1 - r))
        expected = d + r * (x - d) + np.sqrt((0.3 * s_next) ** 2 * (1 - r) * m**2 + (1 - r) ** 2 * v) * n
        got = process.step(x, d, y, s, s_next, eta, noise=lambda _: n, v=v)
        assert got == pytest.approx(expected, abs=1e-5)
        assert got.dtype == np.float32
        plain = process.step(x, d, y, s, s_next)
        assert plain == pytest.approx(d + s_next / s * (x - d), abs=1e-6)
        assert plain.dtype == np.float32


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


def test_white_noise_has_a_default_and_matched_noise_has_none(rng: np.random.Generator) -> None:
    y = np.zeros((64, 64), np.float32)
    start = VariancePreserving().start(y, 1.0, rng)
    assert start.std() == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="matched noise"):
        Matched(0.5).step(y, y, y, 1.0, 0.5, 0.5, rng=rng)
    with pytest.raises(ValueError, match="s = 1"):
        Matched(0.5).start(y, 0.9)


def test_field_powers_are_what_monte_carlo_gives(rng: np.random.Generator) -> None:
    """The exact fixture itself, against drawn noise: 4 levels of the plain sampler, white denoiser."""
    from medidiff.diffusion import geo, sample

    y = (rng.normal(size=(512, 512)) * np.sqrt(1 + 0.25)).astype(np.float32)  # x of SD 1, noise of SD 0.5

    def denoised(x: np.ndarray, t: float) -> tuple[np.ndarray, float]:
        return x / (1 + t**2), t**2 / (1 + t**2)

    out = sample(
        denoised,
        y,
        Matched(0.5),
        geo(4),
        rng=rng,
        noise=lambda g: g.standard_normal(y.shape, dtype=np.float32),
    )
    drawn = out.image.var()

    def field_denoised(x: Field, t: float) -> tuple[Field, float]:
        return x / (1 + t**2), t**2 / (1 + t**2)

    scan = X0 + Field({"n": 0.5}, {"n": WHITE})
    exact = average(sample(field_denoised, scan, Matched(0.5), geo(4), noise=fresh(WHITE)).image.power)
    assert drawn == pytest.approx(exact, rel=0.02)
    assert out.image.dtype == np.float32
    assert quad(2) == (1.0, 0.25, 0.0)
