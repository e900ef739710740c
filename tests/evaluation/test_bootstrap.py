"""Bootstrap over patients: exact for two, covers what it says, pairs what can be paired."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.evaluation import bootstrap, paired


def test_two_patients_by_hand(rng: np.random.Generator) -> None:
    """Resamples are (a, a), (a, b), (b, a), (b, b): the 95 % interval is from a to b."""
    found = bootstrap({"a": [1.0, 3.0], "b": [10.0]}, rng)
    assert found.value == pytest.approx(6.0)  # mean of 2 and 10
    assert (found.low, found.high) == (2.0, 10.0)
    assert (found.patients, found.values) == (2, 2)
    assert "too narrow" in found.text
    pooled = bootstrap({"a": [1.0, 3.0], "b": [10.0]}, rng, pooled=True)
    assert pooled.value == pytest.approx(14 / 3)
    assert pooled.values == 3


def test_one_patient_has_no_interval_and_none_no_mean(rng: np.random.Generator) -> None:
    one = bootstrap({"a": [1.0, 2.0]}, rng)
    assert (one.value, one.low, one.high) == (1.5, None, None)
    assert "1 patient" in one.text
    none = bootstrap({"a": [float("inf")], "b": []}, rng)
    assert none.value is None
    assert none.patients == 0


def test_values_that_are_not_finite_are_left_out(rng: np.random.Generator) -> None:
    found = bootstrap({"a": [1.0, float("nan")], "b": [3.0, float("inf")], "c": [float("nan")]}, rng)
    assert found.value == pytest.approx(2.0)
    assert found.patients == 2


def test_the_interval_covers_the_mean_as_often_as_it_says(rng: np.random.Generator) -> None:
    """30 normal patients: the percentile interval is z (not t) wide, sqrt(29/30) small: 93.6 %."""
    hits = 0
    for _ in range(400):
        values = rng.normal(5.0, 2.0, 30)
        found = bootstrap({str(i): [v] for i, v in enumerate(values)}, rng, resamples=400)
        assert found.low is not None
        assert found.high is not None
        hits += found.low < 5.0 < found.high
    assert hits / 400 == pytest.approx(0.936, abs=0.035)


def test_slices_of_a_patient_are_not_independent(rng: np.random.Generator) -> None:
    """40 slices of each of 10 patients that differ: slices as units would claim sqrt(40) too much."""
    patients = {str(p): list(rng.normal(rng.normal(0, 1), 0.01, 40)) for p in range(10)}
    honest = bootstrap(patients, rng, pooled=True)
    naive = bootstrap({str(i): [v] for i, v in enumerate(np.concatenate(list(patients.values())))}, rng)
    assert honest.low is not None
    assert honest.high is not None
    assert naive.low is not None
    assert naive.high is not None
    assert (honest.high - honest.low) / (naive.high - naive.low) == pytest.approx(np.sqrt(40), rel=0.15)


def test_pairs_take_out_what_differs_between_patients(rng: np.random.Generator) -> None:
    base = {str(p): list(rng.normal(30 + 5 * p, 0.5, 6)) for p in range(8)}
    better = {p: [v + 1.0 + 0.01 * i for i, v in enumerate(values)] for p, values in base.items()}
    better["unknown to the other"] = [100.0]
    found = paired(better, base, rng)
    assert found.value == pytest.approx(1.025)
    assert found.low == pytest.approx(1.025, abs=1e-6)  # every patient gains the same
    assert found.patients == 8
    with pytest.raises(ValueError, match="zip"):
        paired({"0": [1.0]}, {"0": [1.0, 2.0]}, rng)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = {str(p): [float(p)] for p in range(9)}
    first, second = (bootstrap(values, np.random.default_rng(7)) for _ in range(2))
    assert first == second
