"""Networks to retrain: shapes, identity at the start, states of the processes, losses that fall, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra `train`")

from bench_toys import SmoothSource, phantom
from learned.data import OneDose
from learned.networks import build, dncnn
from learned.spec import PLAIN, TITLES, Spec
from learned.training import load, train
from learned.walk import examples, levels_of, process_of, walk
from peers import Given, best
from peers.trained import trained_peers

from medidiff.diffusion.precondition import Precondition
from medidiff.training.config import DataConfig, OptimiserConfig, TrainConfig
from medidiff.training.loader import make_chunk
from medidiff.training.samples import Samples

CONFIG = TrainConfig(
    "toy",
    "ct",
    sigma_data=0.5,
    checkpoint_every=20,
    data=DataConfig(patch=32, per_slice=4, slices_per_chunk=4),
    optimiser=OptimiserConfig(steps=40, batch=8, rate=3e-3, warmup=5, ema=0.9),
)


def small(name: str) -> Spec:
    return Spec(name, "ct", "all", width=8, depth=5, channels=(8, 12), blocks=1, sigma_data=0.5)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return make_chunk(CONFIG, SmoothSource(), 0)[0]


@pytest.mark.parametrize("name", TITLES)
def test_every_network_begins_as_the_identity_of_its_estimate(name: str, samples: Samples) -> None:
    spec = small(name)
    made = examples(spec, samples, np.random.default_rng(0))
    F = np.asarray(build(spec)([*made.inputs] if len(made.inputs) > 1 else made.inputs[0]))[..., 0]
    assert F.shape == samples.state.shape
    expected = samples.state if spec.plain else np.zeros_like(F)
    np.testing.assert_allclose(F, expected, atol=1e-6)


def test_batch_normalisation_is_an_option() -> None:
    kinds = [{type(layer).__name__ for layer in dncnn(8, 4, norm).layers} for norm in (False, True)]
    assert "BatchNormalization" not in kinds[0]
    assert "BatchNormalization" in kinds[1]


def test_the_paper_s_sizes() -> None:
    # Zhang et al. 2017: 17 layers of 64 channels; Chen et al. 2017: ten of 96, 5 x 5.
    dn, red = (build(Spec(name, "ct", "one", width=w)) for name, w in (("dncnn", 64), ("redcnn", 96)))
    assert dn.count_params() == 640 + 15 * (9 * 64 * 64 + 64) + 9 * 64 + 1
    assert red.count_params() == 25 * 96 + 96 + 8 * (25 * 96 * 96 + 96) + 25 * 96 + 1


@pytest.mark.parametrize("name", [n for n in TITLES if n not in PLAIN])
def test_states_lie_on_the_process(name: str, samples: Samples) -> None:
    """The state that the network sees is the target with noise of the SD that the process states."""
    spec = small(name)
    quiet = replace(samples, target=np.zeros_like(samples.target))  # y and noise alone are left
    ratios = []
    for seed in range(20):
        made = examples(spec, quiet, np.random.default_rng(seed))
        pre = Precondition(0.5)
        for k, out in enumerate(made.out[:, 0, 0]):
            t = 0.5 * out / np.sqrt(0.25 - out**2)  # c_out inverted
            state = made.skip[k] / pre.c_skip(t)
            y_is_noise = quiet.state[k] - samples.target[k]
            if name == "ddpm":
                ratios.append(state.std() / t)
            else:
                shares = process_of(name, float(quiet.sigma_told[k]))
                s = next(s for s in levels_of(name) if abs(shares.time(s) - t) < 1e-3 * t)
                rest = state - s * quiet.state[k]
                expected = shares.coef(s).gamma
                assert rest.std() == pytest.approx(expected, rel=0.1, abs=1e-5)
                assert y_is_noise.std() == pytest.approx(0.3, rel=0.1)
    if name == "ddpm":
        assert np.mean(ratios) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", [n for n in TITLES if n not in PLAIN])
def test_the_walk_ends_at_the_truth_that_the_network_knows(name: str, rng: np.random.Generator) -> None:
    spec = small(name)
    x = phantom(16, 0.5)
    y = x + 0.3 * rng.standard_normal(x.shape).astype(np.float32)
    pre, calls = Precondition(0.5), []

    def oracle(planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        s = levels_of(name)[len(calls)]
        t = process_of(name, 0.3).time(s)
        calls.append(t)
        state = planes[0, ..., 0] / pre.c_in(t)
        return pre.target(x, state, t)

    planes = np.zeros((16, 16, 4), np.float32)
    image = walk(spec, oracle, planes, np.zeros(16, np.float32), y, 0.3, seed=1)
    assert len(calls) == 10
    np.testing.assert_allclose(image, x, atol=2e-3)


@pytest.mark.parametrize("name", TITLES)
def test_a_short_training_helps_and_the_result_runs_as_a_method(name: str, tmp_path: Path) -> None:
    spec = small(name)
    losses: list[float] = []
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, steps=100))
    train(spec, config, tmp_path, source=SmoothSource(), report=lambda step, loss, s: losses.append(loss))
    assert len(losses) == 2
    assert losses[1] < 0.8 * losses[0]
    (peer,) = trained_peers("ct", tmp_path)
    assert peer.name == TITLES[name]
    assert "100 steps of 8 patches, all noise levels" in peer.given
    rng = np.random.default_rng(3)
    truth = np.full((35, 30), 40.0, np.float32)
    slab = truth + 150.0 * rng.standard_normal((3, *truth.shape)).astype(np.float32)
    found = best(peer.run, Given(slab, 1, 150.0, 0.7, "ct"), truth).image
    assert found.shape == truth.shape
    # A sample carries twice the error of a mean.
    limit = 0.8 if spec.plain or name == "mixing" else 0.95
    assert np.sqrt(np.mean((found - truth) ** 2)) < limit * 150.0


def test_a_resumed_training_equals_one_without_a_stop(tmp_path: Path) -> None:
    spec = small("mixing")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(spec, CONFIG, whole, source=SmoothSource())

    class Stops(SmoothSource):
        drawn = 0

        def draw(self, rng: np.random.Generator) -> object:
            Stops.drawn += 1
            if Stops.drawn > 50:
                raise KeyboardInterrupt
            return super().draw(rng)

    with pytest.raises(KeyboardInterrupt):
        train(spec, CONFIG, parts, source=Stops())
    assert 0 < load(parts / "ct" / "mixing")[2] < 40
    with pytest.raises(FileExistsError, match="--resume"):
        train(spec, CONFIG, parts, source=SmoothSource())
    with pytest.raises(ValueError, match="another network"):
        train(replace(spec, blocks=2), CONFIG, parts, source=SmoothSource(), resume=True)
    train(spec, CONFIG, parts, source=SmoothSource(), resume=True)
    (_, first, steps), (_, second, _) = (load(p / "ct" / "mixing") for p in (whole, parts))
    assert steps == 40
    for a, b in zip(first.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


def test_slices_of_one_dose_have_twice_their_noise_at_a_quarter() -> None:
    drawn = []

    class Stub:
        references = tuple(SimpleNamespace(sigma=s) for s in (0.0, 10.0, 16.0))
        share = np.array([0.9, 0.05, 0.05])

        def simulate(self, reference: object, t: float, own: float, rng: np.random.Generator) -> object:
            drawn.append((t, own))
            return SmoothSource().draw(rng)

    source = OneDose(Stub(), 0.25)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for _ in range(20):
        source.draw(rng)
    assert set(drawn) == {(20.0, 10.0), (32.0, 16.0)}


def test_one_dose_is_for_ct() -> None:
    with pytest.raises(ValueError, match="one dose is for CT"):
        Spec("dncnn", "mr", "one")
    with pytest.raises(ValueError, match="name is one of"):
        Spec("unet", "ct", "all")
