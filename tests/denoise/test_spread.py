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
    mean = np.repeat(np.linspace(0, 60, 7, dtype=np.float32)[:, None], 4000, 1)
    share = trusted(mean, sigma, "mr")
    assert share[0, 0] == 0.0  # type: ignore[index]
    assert share[-1, 0] == 1.0  # type: ignore[index]
    draws = mean + share * np.sqrt(v) * rng.standard_normal((8, *mean.shape)).astype(np.float32)
    spread = draws.var(0, ddof=1).astype(np.float32)
    stated = of_draws(spread, share, np.full_like(mean, v))
    np.testing.assert_allclose(stated.mean(1), v, rtol=0.05)
    np.testing.assert_array_equal(of_draws(spread, share, None), spread)


def test_ct_goes_by_the_sampler_everywhere() -> None:
    assert trusted(np.zeros((2, 2), np.float32), 1.0, "ct") == 1.0
    assert (LOW_SNR, FULL_SNR) == (2.0, 4.0)
