"""Arms side by side: means by patient and pooled, and differences on what both arms have."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.errors import UsageError
from medidiff.evaluation import Arm, Case, Protocol, cohort, compare
from medidiff.volume import Volume


def volume(array: np.ndarray) -> Volume:
    return Volume(np.ascontiguousarray(array, np.float32), np.diag([0.7, 0.7, 3.0, 1.0]), "CT", "HU")


@pytest.fixture
def arms(rng: np.random.Generator) -> tuple[Arm, Arm]:
    """Three patients of 1, 2 and 3 slices, offset by d HU; the second arm halves the error, lacks one."""
    cases: dict[str, list[Case]] = {"noisy": [], "denoised": []}
    for n, d in ((1, 4.0), (2, 8.0), (3, 16.0)):
        reference = volume(50 + rng.normal(0, 10, (n, 48, 48)))
        for arm, factor in (("noisy", 1.0), ("denoised", 0.5)):
            if (arm, n) != ("denoised", 1):
                found = compare(reference, reference.with_array(reference.array + factor * d))
                cases[arm].append(Case(f"patient {n}", f"scan {n}", found))
    cases["denoised"].reverse()
    return Arm("noisy", tuple(cases["noisy"])), Arm("denoised", tuple(cases["denoised"]))


def test_means_and_differences(arms: tuple[Arm, Arm], rng: np.random.Generator) -> None:
    found = cohort(arms, rng)
    rmse = {s.arm: s for s in found.summaries if s.metric == "RMSE"}
    assert rmse["noisy"].per_patient.value == pytest.approx((4 + 8 + 16) / 3, rel=1e-5)
    assert rmse["noisy"].pooled.value == pytest.approx((4 + 2 * 8 + 3 * 16) / 6, rel=1e-5)
    assert rmse["noisy"].pooled.values == 6
    assert rmse["denoised"].per_patient.value == pytest.approx((4 + 8) / 2, rel=1e-5)
    assert rmse["denoised"].per_patient.patients == 2
    assert rmse["noisy"].unit == "HU"
    # Only the shared patients: -4 and -8 HU; the PSNR gain is 6.02 dB in every slice, its interval a point.
    difference = {d.metric: d for d in found.differences}
    assert (difference["RMSE"].first, difference["RMSE"].second) == ("denoised", "noisy")
    assert difference["RMSE"].scans == 2
    assert difference["RMSE"].per_patient.value == pytest.approx(-6.0, rel=1e-5)
    assert (difference["RMSE"].per_patient.low, difference["RMSE"].per_patient.high) == pytest.approx(
        (-8, -4)
    )
    gain = difference["PSNR"].per_patient
    assert (gain.low, gain.value, gain.high) == pytest.approx([20 * np.log10(2)] * 3, abs=1e-4)


def test_json_carries_the_protocol_and_every_metric(arms: tuple[Arm, Arm], rng: np.random.Generator) -> None:
    content = json.loads(json.dumps(cohort(arms, rng).as_dict(), allow_nan=False))
    assert "window abdomen" in content["protocol_text"]
    assert {s["metric"] for s in content["summaries"]} == {"PSNR", "SSIM", "RMSE", "VIF", "HaarPSI"}
    assert [len(a["cases"]) for a in content["arms"]] == [3, 2]
    for s in content["summaries"]:
        assert s["per_patient"]["text"]


def test_arms_that_share_nothing_have_no_difference(arms: tuple[Arm, Arm], rng: np.random.Generator) -> None:
    noisy, denoised = arms
    only = Arm("other", tuple(c for c in noisy.cases if c.patient == "patient 1"))
    assert cohort([denoised, only], rng).differences == ()


def test_two_scans_of_a_patient_are_one_patient(rng: np.random.Generator) -> None:
    reference = volume(50 + rng.normal(0, 10, (2, 48, 48)))
    cases = [
        Case("a", f"scan {i}", compare(reference, reference.with_array(reference.array + d)))
        for i, d in enumerate((2.0, 4.0))
    ]
    found = cohort([Arm("arm", tuple(cases))], rng)
    rmse = next(s for s in found.summaries if s.metric == "RMSE")
    assert rmse.per_patient.patients == 1
    assert rmse.per_patient.low is None
    assert rmse.per_patient.value == pytest.approx(3.0, rel=1e-5)
    assert rmse.pooled.values == 4
    assert Protocol.for_volume(reference).window is not None


def mr_arm(name: str, scale: float, rng: np.random.Generator, data_range: float | None = None) -> Arm:
    """One MR scan whose values go with `scale`."""
    array = np.ascontiguousarray(scale * rng.uniform(100, 800, (1, 48, 48)), np.float32)
    reference = Volume(array, np.diag([0.7, 0.7, 3.0, 1.0]), "MR", "a.u.")
    protocol = Protocol.for_volume(reference, data_range=data_range)
    found = compare(reference, reference.with_array(array * np.float32(1.01)), protocol)
    return Arm(name, (Case(name, name, found),))


def test_data_ranges_of_the_references_may_differ_and_given_ones_may_not(rng: np.random.Generator) -> None:
    found = cohort([mr_arm("first", 1.0, rng), mr_arm("second", 3.0, rng)], rng)
    assert "data range the 99.5th percentile of the reference," in found.protocol_text
    with pytest.raises(UsageError, match="Figures of different protocols must not be averaged"):
        cohort([mr_arm("first", 1.0, rng, 800.0), mr_arm("second", 1.0, rng, 900.0)], rng)
