"""Identities, coverage, levels, scale and memory on cases whose answer is known."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import identities
import intervals
import levels
import measured
import numpy as np
import pytest
import scale
import windows
from bench_toys import phantom
from quality import cost, mr_cases
from quality.case import NOISY, Case
from quality.gates import MET, NOT_MET

from medidiff.denoise import Result, Settings
from medidiff.errors import NoiseLevelError
from medidiff.evaluation.protocol import Protocol
from medidiff.training.manifest import Scan
from medidiff.volume import Volume

SIGMA = 20.0


def case_of(rng: np.random.Generator, own: float = 0.0, size: int = 64) -> Case:
    """A noisy phantom; `own` is noise that its reference has too."""
    reference = phantom(size) + own * rng.standard_normal((size, size))
    noisy = reference + SIGMA * rng.standard_normal((3, size, size))
    noisy[1] = reference + SIGMA * rng.standard_normal((size, size))
    total = float(np.hypot(SIGMA, own))
    return Case(
        slot="a",
        label="scan",
        patient="p",
        level="6%",
        kind=NOISY,
        volume=Volume(noisy.astype(np.float32), np.eye(4), "MR"),
        slab=noisy.astype(np.float32),
        slab_centre=1,
        reference=reference.astype(np.float32),
        body=np.ones((size, size), bool),
        fraction=own**2 / total**2,
        sigma=SIGMA,
        total=total,
        own=own,
        protocol=Protocol(None, data_range=150.0),
    )


@dataclass
class Fake:
    """A denoiser that answers the truth with an error of `error`, and finds `factor` times the level."""

    truth: np.ndarray
    error: float
    stated: float
    factor: float = 1.0
    fails: bool = False

    def run(self, volume: Volume, settings: Settings) -> Result:
        if self.fails and settings.sigma is None:
            raise NoiseLevelError("none")
        found = SIGMA * self.factor if settings.sigma is None else float(settings.sigma)
        size = self.error * (1.0 + abs(found / SIGMA - 1.0))
        rng = np.random.default_rng(5)
        image = self.truth + size * rng.standard_normal(volume.array.shape)
        sd = np.full(volume.array.shape, self.stated, np.float32)
        return Result(volume.with_array(image.astype(np.float32)), sd, sigma=found)


def gaussian(rng: np.random.Generator, own: float, draws: int) -> identities.Moments:
    """Exact posterior mean and samples of x ~ N(0, 30^2) under noise, truth with noise of its own."""
    n, prior = 200_000, 30.0
    x = prior * rng.standard_normal(n)
    truth = x + own * rng.standard_normal(n)
    y = truth + SIGMA * rng.standard_normal(n)
    noise = SIGMA**2 + own**2
    D = prior**2 / (prior**2 + noise) * y
    V = prior**2 * noise / (prior**2 + noise)
    samples = D + np.sqrt(V) * rng.standard_normal((draws, n))
    v = np.full(n, V)
    return identities.moments(*(a.astype(np.float32) for a in (y, truth, D, v, samples)), own)


@pytest.mark.parametrize("own", [0.0, 5.0])
def test_an_exact_posterior_obeys_every_identity(own: float, rng: np.random.Generator) -> None:
    draws = 4
    found = identities.ratios(gaussian(rng, own, draws))
    exact = [e for e, _ in identities.identities(draws).values()]
    assert found == pytest.approx(exact, rel=0.03)


def test_a_wrong_posterior_is_marked(rng: np.random.Generator) -> None:
    good = gaussian(rng, 0.0, 8)
    text = identities.table({"25%": [good]}, 8)
    # Exact samples are not those of eight steps, yet within 13 % of them.
    assert [line.count("**") for line in text.splitlines()[2:]] == [0, 2, 0, 0, 0, 0]
    narrow = identities.Moments(**{**good.__dict__, "variance": 0.5 * good.variance})
    assert identities.table({"25%": [narrow]}, 8).splitlines()[6].count("**") == 2


@pytest.mark.parametrize(("own", "stated", "good"), [(0.0, 4.0, True), (0.0, 2.0, False), (6.0, 4.0, True)])
def test_coverage_counts_the_noise_of_the_reference(
    own: float, stated: float, good: bool, rng: np.random.Generator
) -> None:
    clean = phantom(128)
    case = case_of(rng, own, 128)
    found = {(NOISY, "6%"): [("p", intervals.measure(case, Fake(clean, 4.0, stated)))]}  # type: ignore[arg-type]
    ninety = intervals.at(found[NOISY, "6%"], 0.9)["p"][0]
    assert (0.88 <= ninety <= 0.92) is good
    ratio = intervals.error_ratio(found[NOISY, "6%"])
    assert ratio == pytest.approx(stated / 4.0, rel=0.05 if not own else 0.1)
    assert intervals.table(found).splitlines()[2].endswith(f"| {MET if good else NOT_MET} |")


def test_levels_say_what_a_wrong_level_costs(rng: np.random.Generator) -> None:
    case = case_of(rng)
    right, wrong = (levels.measure(case, Fake(case.reference, 4.0, 4.0, f)) for f in (1.0, 1.5))  # type: ignore[arg-type]
    assert (right.ratio, right.lost) == pytest.approx((1.0, 0.0), abs=1e-6)
    assert wrong.ratio == pytest.approx(1.5)
    assert wrong.lost == pytest.approx(20 * np.log10(1.5), abs=1e-3)
    assert levels.line([right, right])[-1] == MET
    assert levels.line([right, wrong])[-1] == NOT_MET
    assert levels.line([right, wrong])[1:3] == ["1.250", "1.00 to 1.50"]


def test_a_level_that_is_not_found_is_a_failure(rng: np.random.Generator) -> None:
    case = case_of(rng)
    none = levels.measure(case, Fake(case.reference, 4.0, 4.0, fails=True))  # type: ignore[arg-type]
    assert none.ratio is None
    assert levels.line([none])[-1] == NOT_MET
    assert levels.line([none])[4] == "1"


def test_a_straight_line_is_found() -> None:
    x = [10.0, 50.0, 256.0]
    fixed, slope, off = scale.line_through(x, [2.0 + 0.1 * v for v in x])
    assert (fixed, slope, off) == pytest.approx((2.0, 0.1, 0.0), abs=1e-9)


def points(seconds: float, growth: float) -> list[scale.Point]:
    """`seconds` a slice and `growth` MB a slice."""
    shapes = [(10, 512), (50, 512), (256, 512), (50, 256), (50, 768)]
    return [
        scale.Point("mean", n, side, 2.0 + seconds * n * (side / 512) ** 2, 300.0 + growth * n)
        for n, side in shapes
    ]


def test_scale_checks_pass_and_fail_where_they_should() -> None:
    good = scale.checks(points(0.1, 0.01))
    assert [line[-1] for line in good] == [MET] * 4
    assert "100 ms a 512 x 512 slice" in good[0][1]
    slow = {line[0]: line[-1] for line in scale.checks(points(0.6, 2.0))}
    assert slow["`mean`: 512 x 512 x 256 under 120 s"] == NOT_MET
    assert slow["`mean`: memory flat in slices"] == NOT_MET
    bent = points(0.1, 0.01)
    bent[2] = scale.Point("mean", 256, 512, 90.0, 302.0)
    assert scale.checks(bent)[0][-1] == NOT_MET


def test_the_plan_measures_each_shape_once() -> None:
    plan = scale.plan(["mean", "natural"], [10, 50], [256, 512])
    assert sorted(plan) == sorted(
        (m, n, side) for m in ("mean", "natural") for n, side in ((10, 512), (50, 512), (50, 256))
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="VmHWM is Linux's")
def test_memory_is_that_of_the_process_alone() -> None:
    ballast = np.ones(60_000_000)  # 480 MB here must not count there
    seconds, peak = measured.run("this", [])
    assert ballast.sum() > 0
    assert 3.0 < peak < 200.0
    assert 0.0 < seconds < 60.0


@pytest.mark.slow
def test_a_point_of_the_scale_is_a_whole_run() -> None:
    (point,) = scale.measure([("mean", 3, 64)], "ct")
    assert (point.mode, point.slices, point.side) == ("mean", 3, 64)
    assert point.seconds > 0.5
    assert 50.0 < point.peak_mb < 1000.0


@pytest.mark.slow
def test_memory_of_methods_is_measured_in_processes_of_their_own(rng: np.random.Generator) -> None:
    ballast = np.ones(60_000_000)
    case = case_of(rng)
    peer, mode = cost.of_peer("NLM", case.given(), None), cost.of_mode("mean", "mr", case.volume, SIGMA)
    assert ballast.sum() > 0
    assert 30.0 < peer < 450.0
    assert 50.0 < mode < 800.0


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no_such_module"):
        measured.run("no_such_module", [])


def test_windowed_noise_tells_the_gain_of_each_method(rng: np.random.Generator) -> None:
    """An answer with a fifth of the noise gains 20 log10(5) dB, told or blind; none if the estimate fails."""
    case = case_of(rng)
    gains = windows.measure(case, Fake(case.reference, SIGMA / 5.0, 1.0, 1.1), ())  # type: ignore[arg-type]
    assert gains["medidiff mean"] == pytest.approx(20 * np.log10(5.0), abs=0.5)
    assert gains["mean, sigma auto"] == pytest.approx(gains["medidiff mean"] - 20 * np.log10(1.1), abs=1e-3)
    assert gains["found / true"] == pytest.approx(1.1)
    assert "TV" in windows.measure(case, Fake(case.reference, 1.0, 1.0), ("TV",))  # type: ignore[arg-type]
    failed = windows.measure(case, Fake(case.reference, 1.0, 1.0, fails=True), ())  # type: ignore[arg-type]
    assert set(failed) == {"medidiff mean", "medidiff natural"}


def test_windowed_cases_have_the_resolution_of_the_window(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = rng.uniform(100.0, 1000.0, (6, 64, 64)).astype(np.float32)
    volume = Volume(array, np.eye(4), "MR")
    scan = Scan(Path("x"), "uih", "p1", 1.0, "val/uih/a.nii.gz")
    monkeypatch.setattr(mr_cases, "list_scans", lambda *_: [scan])
    monkeypatch.setattr(mr_cases, "data_root", lambda _: None)
    monkeypatch.setattr(mr_cases, "read_scan", lambda _: [volume])
    monkeypatch.setattr(mr_cases, "own_level", lambda _: 1.0)
    (sharp,), (soft,) = (
        list(mr_cases.mr_slots(1, (0.09,), windows.ACQUISITIONS[name]))
        for name in ("none (white)", "Hamming")
    )
    k = int(sharp.name.split(":")[1])
    np.testing.assert_array_equal(sharp.make("9%").reference, array[k])
    case = soft.make("9%")
    assert case.reference.std() < 0.7 * array[k].std()
    assert (case.noisy - case.reference).std() == pytest.approx(case.sigma, rel=0.1)
