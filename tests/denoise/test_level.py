"""The level that agrees with the network: a Gaussian picture has it in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import SIGMA, PixelWiener, bundle, c_out, c_skip, ct_volume, z

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.evaluator import Evaluator
from medidiff.denoise.level import FEWEST_PIXELS, KNOWN, LIMITS, STRETCH, _rest, agreement
from medidiff.denoise.noise_model import NoiseModel
from medidiff.denoise.surround import Surround
from medidiff.intensity import Intensity
from medidiff.models.conditioning import FREQUENCIES, LN_SIGMA_RANGE
from medidiff.volume import Volume

STRUCTURE = 0.3 * SIGMA
"""SD of the picture, HU; the scan has the root of the sum of squares."""


def told(condition: np.ndarray) -> float:
    """The noise SD that the network is told, network units."""
    low, high = LN_SIGMA_RANGE
    place = 0.5 * (condition[0, 2 * FREQUENCIES] + 1.0)
    return float(np.exp(low + place * (high - low)))


class Tissue(PixelWiener):
    """E[x | y] and its variance where x is 40 HU with white structure of a known SD; exact."""

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        out = super().__call__(planes, condition)
        t = told(condition)
        y, middle, power = planes[:, 0] * np.hypot(t, 0.9), float(z(np.array(40.0))), (STRUCTURE / 500) ** 2
        mean = middle + power / (power + t * t) * (y - middle)
        out[:, 0] = (mean - c_skip(t) * y) / c_out(t)
        out[:, 1] = np.log(power * t * t / (power + t * t) / c_out(t) ** 2)
        return out


@pytest.fixture
def scan() -> Volume:
    volume = ct_volume((5, 128, 128))
    volume.array[:, :6] += 600
    structure = np.random.default_rng(5).normal(0.0, STRUCTURE, volume.array.shape)
    return volume.with_array((volume.array + structure).astype(np.float32))


def evaluator(volume: Volume, sigma: float, engine: PixelWiener | None = None) -> Evaluator:
    noise = NoiseModel(sigma, "")
    return Evaluator(
        bundle(),
        engine or Tissue(),
        volume,
        Intensity.ct(),
        Surround(volume, Intensity.ct()),
        noise,
        1,
        1,
        512,
        lambda: False,
    )


@pytest.mark.parametrize("wrong", [0.7, 1.0, 1.05, 1.4])
def test_the_noise_is_told_from_the_structure(scan: Volume, wrong: float) -> None:
    """Both together have an SD 4 % above that of the noise; the true level is found from either side."""
    assert wrong * agreement(evaluator(scan, wrong * SIGMA)) == pytest.approx(1.0, abs=0.025)


def test_a_level_is_changed_within_limits(scan: Volume) -> None:
    assert agreement(evaluator(scan, 5.0 * SIGMA)) == LIMITS["ct"][0]
    assert agreement(evaluator(scan, 0.2 * SIGMA)) == LIMITS["ct"][1]


def test_without_tissue_the_estimate_stays(scan: Volume) -> None:
    air = scan.with_array(np.full_like(scan.array, -1000.0))
    engine = PixelWiener()
    assert agreement(evaluator(air, SIGMA, engine)) == 1.0
    hidden = np.ones(scan.array.shape, np.bool_)
    hidden[:, 60:70, 60:70] = False
    assert hidden[0].size - np.count_nonzero(hidden[0]) < FEWEST_PIXELS
    assert agreement(evaluator(replace(scan, padding=hidden), SIGMA, engine)) == 1.0
    assert len(engine.calls) == 6  # one of each of three slices


def test_an_untrained_level_stays(scan: Volume) -> None:
    engine = Tissue()
    for outside in (0.9 * 500 * bundle().trained.sigma[0], 1.1 * 500 * bundle().trained.sigma[1]):
        assert agreement(evaluator(scan, outside, engine)) == 1.0
    assert not engine.calls


@pytest.mark.parametrize(
    ("wrong", "held"), [(0.7, 1.0), (1.6, 1.28), (3.0, 1.0 / KNOWN["mr"]), (5.0, 1.0 / KNOWN["mr"])]
)
def test_mr_counts_bright_tissue_alone(wrong: float, held: float) -> None:
    """In air a magnitude has 0.43 of the noise power of its channels; it would halve the level.

    An estimate that is somewhat too high may be of noise that the network does not know; one of three and
    five times what the network finds is of structure.
    """
    rng, sigma = np.random.default_rng(3), 0.04
    clean = np.zeros((3, 96, 96))
    clean[:, 20:60, 20:60] = 0.95
    noise = rng.normal(0.0, sigma, (2, *clean.shape))
    array = np.hypot(clean + noise[0], noise[1]).astype(np.float32)

    class Truth(PixelWiener):
        def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
            out = super().__call__(planes, condition)
            t = told(condition)
            out[:, 0] = (clean[0] - c_skip(t) * planes[:, 0] * np.hypot(t, 0.9)) / c_out(t)
            out[:, 1] = -8.0
            return out

    volume = Volume(array, np.eye(4), "MR", "a.u.")
    looked = Evaluator(
        bundle("mr"), Truth(), volume, Intensity.mr(1.0), Surround(volume, Intensity.mr(1.0)),
        NoiseModel(wrong * sigma, ""), 1, 1, 512, lambda: False,
    )  # fmt: skip
    assert wrong * agreement(looked) == pytest.approx(held, abs=0.04)


def test_only_estimates_are_made_to_agree(scan: Volume) -> None:
    """A level or a map that the user gave is used as it is, without further evaluations."""
    for given in (SIGMA, np.full(scan.array.shape, SIGMA, np.float32)):
        engine = Tissue()
        result = Denoiser(bundle(), engine).run(scan, Settings(sigma=given))  # type: ignore[arg-type]
        assert result.sigma == pytest.approx(SIGMA)
        assert len(engine.calls) == len(scan.array)
    engine = Tissue()
    blind = Denoiser(bundle(), engine).run(scan, Settings())  # type: ignore[arg-type]
    assert blind.sigma == pytest.approx(SIGMA, rel=0.03)
    assert f"{blind.sigma:.3g} HU (auto)" == blind.sigma_text
    assert len(engine.calls) > len(scan.array)
    assert 500 * told(engine.calls[-1][1]) == pytest.approx(blind.sigma, rel=0.03)


@pytest.mark.parametrize("ratio", [0.4, 0.5])
def test_the_rest_of_a_geometric_series_is_known(ratio: float) -> None:
    changes = [0.4 * ratio**k for k in range(30)]
    assert np.log(_rest([0.0, *changes[:3]])) == pytest.approx(sum(changes[3:]), rel=1e-6)


def test_nothing_is_extrapolated_from_little() -> None:
    """One change alone, a turn, or a last change too small; a slow series is not followed to its end."""
    assert _rest([0.0, 0.4]) == _rest([0.0, 0.4, -0.1]) == _rest([0.0, 0.4, 0.02]) == 1.0
    assert np.log(_rest([0.0, 0.1, 0.1])) == pytest.approx(0.1 * STRETCH / (1 - STRETCH))
