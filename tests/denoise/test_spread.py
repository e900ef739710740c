"""Variances of answers that are not the mean, against draws from known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.denoise.spread import FULL_SNR, LOW_SNR, about_the_truth, of_draws, trusted


def test_an_answer_that_is_not_the_mean_is_farther_from_the_truth(rng: np.random.Generator) -> None:
    """x | y ~ N(D, v): the error of a is sqrt(v + |a - D|^2), whatever way a was made of y."""
    v = np.full((200, 200), 4.0, np.float32)
    D = 50 * rng.standard_normal((200, 200)).astype(np.float32)
    a = D + 3 * rng.standard_normal((200, 200)).astype(np.float32)
    x = D + np.sqrt(v) * rng.standard_normal((200, 200))
    stated = about_the_truth(a, D, v)
    assert stated is not None
    assert stated.mean() == pytest.approx(np.mean((a - x) ** 2), rel=0.02)
    np.testing.assert_allclose(about_the_truth(D, D, v), v, rtol=1e-5)
    assert about_the_truth(a, D, None) is None


def test_draws_that_are_held_to_the_mean_still_state_the_posterior_variance(rng: np.random.Generator) -> None:
    """At any SNR: dark tissue must not come out as certain."""
    v, sigma = 9.0, 10.0
    mean = np.repeat(np.linspace(0, 60, 7, dtype=np.float32), 25)[:, None] + np.zeros((1, 400), np.float32)
    share = np.asarray(trusted(mean, sigma, "mr"))
    assert share[0, 0] == 0.0
    assert share[-1, 0] == 1.0
    draws = mean + share * np.sqrt(v) * rng.standard_normal((8, *mean.shape)).astype(np.float32)
    spread = draws.var(0, ddof=1).astype(np.float32)
    stated = of_draws(spread, 8, share, np.full_like(mean, v))
    # Of the mean of the draws about the truth: v, and the variance of that mean.
    truth = v * (1 + share**2 / 8)
    middle = slice(12, None, 25)
    np.testing.assert_allclose(stated[middle].mean(1), truth[middle].mean(1), rtol=0.05)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_intervals_of_few_draws_hold_the_truth(count: int, rng: np.random.Generator) -> None:
    """Truth and draws from one posterior: 90 % intervals of SD and mean hold 90 % of the truth."""
    shape = (300, 300)
    truth, draws = rng.standard_normal(shape), rng.standard_normal((count, *shape))
    stated = of_draws(draws.var(0, ddof=1).astype(np.float32), count, np.float32(1.0), None)
    assert np.mean(np.abs(draws.mean(0) - truth) < 1.645 * np.sqrt(stated)) == pytest.approx(0.90, abs=0.02)


def test_ct_goes_by_the_sampler_everywhere() -> None:
    assert trusted(np.zeros((2, 2), np.float32), 1.0, "ct") == 1.0
    assert (LOW_SNR, FULL_SNR) == (2.0, 4.0)
