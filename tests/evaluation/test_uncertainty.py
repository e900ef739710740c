"""Coverage and reliability on errors whose distribution is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm, t

from medidiff.errors import GeometryError, PixelError
from medidiff.evaluation import reliability
from medidiff.evaluation.uncertainty import LEVELS

SHAPE = (4, 96, 100)


@pytest.fixture
def sd(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(2.0, 20.0, SHAPE).astype(np.float32)


def test_normal_errors_of_the_stated_sd_are_covered(sd: np.ndarray, rng: np.random.Generator) -> None:
    truth = rng.normal(0, 100, SHAPE).astype(np.float32)
    test = truth + sd * rng.standard_normal(SHAPE).astype(np.float32)
    found = reliability(truth, test, sd)
    assert found.observed == pytest.approx(LEVELS, abs=0.01)
    assert found.coverage_90 == pytest.approx(0.9, abs=0.01)
    assert all(abs(c - 0.9) < 0.015 for c in found.per_slice_90 if c is not None)
    assert sum(b.pixels for b in found.bins) == found.pixels == truth.size
    assert [b.stated for b in found.bins] == sorted(b.stated for b in found.bins)
    for b in found.bins:
        assert b.observed == pytest.approx(b.stated, rel=0.04)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_an_sd_that_is_wrong_by_a_factor(factor: float, sd: np.ndarray, rng: np.random.Generator) -> None:
    error = sd * rng.standard_normal(SHAPE).astype(np.float32)
    found = reliability(np.zeros(SHAPE, "f4"), error, sd * np.float32(factor))
    expected = 2 * norm.cdf(factor * norm.ppf(0.5 + np.asarray(LEVELS) / 2)) - 1
    assert found.observed == pytest.approx(expected, abs=0.01)


def test_heavy_tails_show_off_90_percent(rng: np.random.Generator) -> None:
    """Errors scaled to be right at 90 %, as calibration does, but with the tails of a t distribution."""
    scale = norm.ppf(0.95) / t.ppf(0.95, 3)
    error = scale * rng.standard_t(3, SHAPE)
    found = reliability(np.zeros(SHAPE), error, np.ones(SHAPE, "f4"))
    assert found.coverage_90 == pytest.approx(0.9, abs=0.01)
    assert found.observed[LEVELS.index(0.5)] > 0.54
    assert found.observed[LEVELS.index(0.99)] < 0.985


def test_the_noise_of_a_reference_is_allowed_for(sd: np.ndarray, rng: np.random.Generator) -> None:
    truth = np.zeros(SHAPE, np.float32)
    test = sd * rng.standard_normal(SHAPE)
    noisy = truth + rng.normal(0, 15, SHAPE)
    assert reliability(noisy, test, sd).coverage_90 < 0.75
    found = reliability(noisy, test, sd, reference_sd=15.0)
    assert found.coverage_90 == pytest.approx(0.9, abs=0.01)
    assert "15" in found.text
    # Noise that differs from row to row is allowed for where it is; one number for it would not do.
    rising = np.broadcast_to(np.linspace(1.0, 40.0, SHAPE[1])[:, None], SHAPE)
    noisy = truth + rising * rng.standard_normal(SHAPE)
    found = reliability(noisy, test, sd, reference_sd=rising)
    assert found.observed == pytest.approx(LEVELS, abs=0.01)
    assert found.reference_sd == pytest.approx(np.sqrt(np.mean(rising**2)))
    flat = reliability(noisy, test, sd, reference_sd=found.reference_sd)
    assert max(np.abs(np.subtract(flat.observed, LEVELS))) > 0.02


def test_pixels_without_a_statement_are_left_out_and_counted(
    sd: np.ndarray, rng: np.random.Generator
) -> None:
    error = sd * rng.standard_normal(SHAPE)
    sd = sd.copy()
    sd[:, :24] = 0
    error[:, :24] = 1000
    valid = np.ones(SHAPE, bool)
    valid[0] = False
    valid[:, 48:] = False
    found = reliability(np.zeros(SHAPE), error, sd, valid, region="half")
    assert found.untouched == pytest.approx(0.5)
    assert found.pixels == 3 * 24 * 100
    assert found.per_slice_90[0] is None
    assert found.coverage_90 == pytest.approx(0.9, abs=0.015)
    assert "half" in found.text


def test_misuse(sd: np.ndarray) -> None:
    zeros = np.zeros(SHAPE)
    with pytest.raises(GeometryError):
        reliability(zeros, zeros[:1], sd)
    with pytest.raises(GeometryError, match="map of the reference's noise"):
        reliability(zeros, zeros, sd, reference_sd=sd[0])
    with pytest.raises(PixelError, match="No pixel"):
        reliability(zeros, zeros, zeros)
    with pytest.raises(PixelError, match="negative"):
        reliability(zeros, zeros, -sd)


def test_pixels_that_are_no_numbers_do_not_count(rng: np.random.Generator) -> None:
    sd = np.full((2, 16, 16), 3.0, np.float32)
    truth, test = np.zeros_like(sd), (3.0 * rng.standard_normal(sd.shape)).astype(np.float32)
    whole = reliability(truth[:1], test[:1], sd[:1])
    truth[1], test[1, :4], test[1, 4:] = np.nan, 0.0, np.inf
    found = reliability(truth, test, sd)
    assert found.pixels == 256
    assert found.untouched == 0.0
    assert (found.observed, found.bins) == (whole.observed, whole.bins)
    assert found.per_slice_90 == (whole.coverage_90, None)
