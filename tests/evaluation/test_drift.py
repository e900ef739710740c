"""Drift in uniform tissue: exact for a known shift, its error that of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_scans import ct_noise

from medidiff.evaluation.drift import DriftSum

EDGES = (-1000.0, 0.0, 100.0, 500.0)
NAMES = ("low", "middle", "high")


def test_a_known_shift_by_kind(rng: np.random.Generator) -> None:
    smooth = np.repeat([-500.0, 50.0, 300.0, 2000.0], 32)[None, :] * np.ones((64, 1))
    change = np.select([smooth < 0, smooth < 100], [-2.0, 0.5], 7.0)
    uniform = np.ones(smooth.shape, bool)
    uniform[:, :10] = False
    total = DriftSum(NAMES, EDGES)
    for _ in range(3):
        total.add(smooth, change, uniform)
    low, middle, high = total.result()
    assert (low.mean, middle.mean, high.mean) == pytest.approx((-2.0, 0.5, 7.0))
    assert (low.pixels, middle.pixels, high.pixels) == (3 * 22 * 64, 3 * 32 * 64, 3 * 32 * 64)
    assert low.error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("shape", [(96, 96), (90, 101)])
def test_the_error_is_that_of_the_mean(shape: tuple[int, int], rng: np.random.Generator) -> None:
    """White noise: SD / sqrt(pixels), whatever part of the blocks is uniform."""
    uniform = rng.random(shape) < 0.4
    total = DriftSum(("all",), (-1.0, 1.0))
    for _ in range(20):
        total.add(np.zeros(shape), rng.normal(1.0, 8.0, shape), uniform)
    (found,) = total.result()
    assert found.error == pytest.approx(8.0 / np.sqrt(found.pixels), rel=0.12)
    assert found.mean == pytest.approx(1.0, abs=4 * 8.0 / np.sqrt(found.pixels))


def test_correlated_noise_is_not_taken_for_independent_pixels(rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    means, errors = [], []
    for _ in range(40):
        total = DriftSum(("all",), (-1.0, 1.0))
        total.add(np.zeros((128, 128)), gaussian_filter(rng.normal(0, 8, (128, 128)), 3, mode="wrap"),
                  np.ones((128, 128), bool))  # fmt: skip
        (found,) = total.result()
        means.append(found.mean)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.35)


def test_nothing_uniform(rng: np.random.Generator) -> None:
    total = DriftSum(NAMES, EDGES)
    total.add(np.full((32, 32), 50.0), ct_noise((32, 32), rng), np.zeros((32, 32), bool))
    assert all(d.mean is None and d.error is None and d.pixels == 0 for d in total.result())
