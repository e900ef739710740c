"""The channelized Hotelling observer against its closed form in white noise."""

from __future__ import annotations

import json
from math import erf

import numpy as np
import pytest

from medidiff.errors import PixelError
from medidiff.evaluation.cho import auc_of, detectability, difference, laguerre_gauss

SIZE, WIDTH, SD = 33, 10.0, 20.0


def disk(contrast: float, radius: float = 4.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return (contrast * (np.hypot(y, x) <= radius)).astype(np.float32)


def cases(n: int, contrast: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    present, absent = (rng.normal(50.0, SD, (n, SIZE, SIZE)).astype(np.float32) for _ in range(2))
    return present + disk(contrast), absent


def ideal(contrast: float) -> float:
    """White noise: channel covariance sd^2 U^T U, so d'^2 = ds^T U (U^T U)^-1 U^T ds / sd^2."""
    u = laguerre_gauss((SIZE, SIZE), WIDTH)
    mean = u.T @ disk(contrast).ravel()
    return float(np.sqrt(mean @ np.linalg.inv(u.T @ u) @ mean)) / SD


def test_channels_are_orthonormal_and_start_with_the_gaussian() -> None:
    u = laguerre_gauss((97, 97), 16.0)
    np.testing.assert_allclose(u.T @ u, np.eye(6), atol=2e-3)
    first = u[:, 0].reshape(97, 97)
    assert first[48, 48] == pytest.approx(np.sqrt(2) / 16)
    assert first[48, 56] / first[48, 48] == pytest.approx(np.exp(-np.pi / 4))
    # L_1(t) = 1 - t changes sign at 2 pi r^2 / w^2 = 1.
    second = u[:, 1].reshape(97, 97)[48, 48:]
    assert np.flatnonzero(second < 0)[0] == int(np.ceil(16.0 / np.sqrt(2 * np.pi)))


@pytest.mark.parametrize("contrast", [3.0, 6.0, 12.0])
def test_d_prime_in_white_noise_is_that_of_the_channelized_ideal_observer(contrast: float) -> None:
    found = detectability(*cases(1500, contrast, 5), WIDTH, np.random.default_rng(0))
    assert found.d_prime == pytest.approx(ideal(contrast), rel=0.06)
    assert found.d_prime_ci[0] < ideal(contrast) < found.d_prime_ci[1]
    # A channel set that spans the disk loses little against the whole image (sqrt(sum ds^2) / sd).
    whole = float(np.sqrt((disk(contrast) ** 2).sum())) / SD
    assert 0.9 * whole < ideal(contrast) <= whole


def test_200_cases_cover_the_truth_and_do_not_flatter() -> None:
    """Over repeats the 95 % intervals hold the closed form about that often, and the mean is not above it."""
    truth = ideal(6.0)
    found = [detectability(*cases(200, 6.0, 100 + k), WIDTH, np.random.default_rng(k)) for k in range(40)]
    held = sum(f.d_prime_ci[0] <= truth <= f.d_prime_ci[1] for f in found)
    assert held >= 35
    values = np.array([f.d_prime for f in found])
    assert values.mean() <= truth + 3 * values.std() / np.sqrt(40)
    assert values.mean() > 0.93 * truth
    # The interval's half-width is the scatter that repeats show.
    half = np.mean([(f.d_prime_ci[1] - f.d_prime_ci[0]) / 2 for f in found])
    assert half == pytest.approx(1.96 * values.std(ddof=1), rel=0.35)


def test_without_a_signal_the_area_is_a_half() -> None:
    found = [detectability(*cases(200, 0.0, 300 + k), WIDTH, np.random.default_rng(k)) for k in range(20)]
    assert sum(f.auc_ci[0] <= 0.5 <= f.auc_ci[1] for f in found) >= 18
    assert np.mean([f.auc for f in found]) == pytest.approx(0.5, abs=0.02)


def test_area_is_phi_of_d_prime_over_root_two_and_agrees_with_the_ranks() -> None:
    found = detectability(*cases(600, 6.0, 9), WIDTH, np.random.default_rng(0))
    assert found.auc == pytest.approx(0.5 * (1 + erf(found.d_prime / 2)), abs=1e-9)
    assert found.auc_rank == pytest.approx(found.auc, abs=0.02)
    assert found.auc_ci[0] < found.auc < found.auc_ci[1]
    assert auc_of(0.0) == 0.5
    assert auc_of(1.0) == pytest.approx(0.76025, abs=1e-5)


def test_the_mean_level_and_the_scale_do_not_enter() -> None:
    present, absent = cases(100, 6.0, 2)
    found = detectability(present, absent, WIDTH, np.random.default_rng(1))
    scaled = detectability(3.0 * present, 3.0 * absent, WIDTH, np.random.default_rng(1))
    assert scaled.d_prime == pytest.approx(found.d_prime, rel=1e-4)


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    """The same cases with a little more noise: the paired interval sees a loss that single ones do not."""
    present, absent = cases(200, 6.0, 4)
    rng = np.random.default_rng(8)
    worse = [p + rng.normal(0.0, 0.75 * SD, p.shape).astype(np.float32) for p in (present, absent)]
    a = detectability(present, absent, WIDTH, np.random.default_rng(1))
    b = detectability(*worse, WIDTH, np.random.default_rng(1))
    change, (low, high) = difference(a, b)
    assert change == pytest.approx(b.d_prime - a.d_prime)
    assert high < 0.0
    assert (high - low) / 2 < np.hypot(*((d.d_prime_ci[1] - d.d_prime_ci[0]) / 2 for d in (a, b)))
    assert difference(a, a) == (0.0, (0.0, 0.0))


def test_cases_that_say_nothing_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(PixelError, match="at least 40"):
        detectability(*cases(39, 6.0, 0), WIDTH, rng)
    still = np.zeros((50, SIZE, SIZE), np.float32)
    with pytest.raises(PixelError, match="do not differ"):
        detectability(still + disk(5.0), still, WIDTH, rng)


def test_the_generator_decides_and_json_holds_the_figures() -> None:
    data = cases(60, 6.0, 1)
    a, b = (detectability(*data, WIDTH, np.random.default_rng(7)) for _ in range(2))
    assert a.as_dict() == b.as_dict()
    assert detectability(*data, WIDTH, np.random.default_rng(8)).as_dict() != a.as_dict()
    plain = json.loads(json.dumps(a.as_dict()))
    assert plain["auc"] == a.auc
    assert "draws" not in plain
