"""Identities of the processes: marginals, updates, and what each step is in its paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from closed_form import UNIT_N, WHITE, Field, average, fresh

from medidiff.diffusion import Bridge, Matched, Mixing, Process, VariancePreserving, quad

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

    def denoised(x: Any, t: float) -> tuple[Any, float]:
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

    scan = X0 + Field({"n": 0.5}, {"n": WHITE})
    exact = average(sample(denoised, scan, Matched(0.5), geo(4), noise=fresh(WHITE)).image.power)
    assert drawn == pytest.approx(exact, rel=0.02)
    assert out.image.dtype == np.float32
    assert quad(2) == (1.0, 0.25, 0.0)
