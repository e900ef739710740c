"""Ablations: each setting changes of a sample or of the loss what it says, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from ct_items import fill_cache
from toy import KeepingSource, ToySource, toy_config

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import UsageError
from medidiff.models.conditioning import Condition, vector
from medidiff.models.processes import PROCESSES, make
from medidiff.training.config import OptimiserConfig, TrainConfig
from medidiff.training.ct_source import CTSource
from medidiff.training.inputs import Inputs
from medidiff.training.loader import open_source
from medidiff.training.patches import DROP_MAP, cut
from medidiff.training.recipe import load
from medidiff.training.samples import Samples
from medidiff.training.validation import Validator
from medidiff.training.variants import Variant

SD = 0.5


def patches(inputs: Inputs, count: int = 60, seed: int = 3) -> Samples:
    rng = np.random.default_rng(seed)
    return cut(KeepingSource().draw(rng), 32, count, Precondition(SD), rng, inputs)


@pytest.fixture(scope="module")
def ct_config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = toy_config(tmp_path_factory.mktemp("run"))
    config = replace(config, data=replace(config.data, cache=str(tmp_path_factory.mktemp("cache"))))
    for role in ("train", "val"):
        fill_cache(config, role)
    return config


# noise


def test_white_noise_has_the_same_sd_and_no_colour(ct_config: TrainConfig) -> None:
    white = replace(ct_config, data=replace(ct_config.data, noise="white", correction=False))
    matched, changed = open_source(ct_config), open_source(white)
    spread, shares = [], {"matched": [], "white": []}
    for seed in range(30):
        a, b = (s.draw(np.random.default_rng(seed)) for s in (matched, changed))
        assert a.sigma == b.sigma  # the same slice and level were drawn
        assert a.reference is not None
        np.testing.assert_array_equal(a.reference, b.reference)
        inserted = np.sqrt(a.sigma**2 - a.reference_sigma**2)
        for name, s in (("matched", a), ("white", b)):
            noise = s.state - a.reference[1]
            power = np.abs(np.fft.fft2(noise)) ** 2
            f = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.fftfreq(112)[None, :])
            shares[name].append(power[f > 0.35].sum() / power.sum())
            if name == "white":
                spread.append(noise.std() / inserted)
        np.testing.assert_array_equal(b.relative_sd, 1.0)
        assert b.previous is not None
        own = (b.previous - a.reference[0]).std()
        assert own == pytest.approx(np.sqrt(b.neighbour_sigma**2 - a.reference_sigma**2), rel=0.05)
    assert np.mean(spread) == pytest.approx(1.0, abs=0.01)
    # Share of white noise above 0.35 cycles a pixel: the square minus the disk.
    assert np.mean(shares["white"]) == pytest.approx(1 - np.pi * 0.35**2, abs=0.02)
    assert np.mean(shares["matched"]) < 0.5 * np.mean(shares["white"])
    assert b.texture == pytest.approx(0.7652 * 5 / 0.7)


def test_white_noise_takes_the_textbook_correction() -> None:
    """x* = (x_F - a y) / (1 - a): uncorrelated with the noise of y, which the reference is not."""
    source = Variant(KeepingSource(sigma=(0.1, 0.1), own=0.06), white=True, corrected=True)
    rng = np.random.default_rng(0)
    drawn = [source.draw(rng) for _ in range(40)]
    a = 0.36
    for s in drawn:
        assert s.reference is not None
        np.testing.assert_allclose(s.target, (s.reference[1] - a * s.state) / (1 - a), atol=1e-5)
        np.testing.assert_allclose(s.excess, 0.06**2 / (1 - a), rtol=1e-5)


# noisy-target correction


def test_white_noise_at_the_lowest_level_a_source_draws() -> None:
    """1.41 sigma_F is a hair below the root of two, where a is one half."""
    source = Variant(KeepingSource(sigma=(0.0846, 0.0846), own=0.06), white=True, corrected=True)
    drawn = source.draw(np.random.default_rng(0))
    assert np.isfinite(drawn.target).all()
    assert drawn.excess.mean() == pytest.approx(2 * 0.06**2, rel=0.02)  # sigma_F^2 / (1 - a)


def test_without_correction_the_reference_is_the_target(ct_config: TrainConfig) -> None:
    naive = replace(ct_config, data=replace(ct_config.data, correction=False))
    corrected, plain = open_source(ct_config), open_source(naive)
    differ = 0
    for seed in range(12):
        a, b = (s.draw(np.random.default_rng(seed)) for s in (corrected, plain))
        np.testing.assert_array_equal(a.state, b.state)
        assert b.reference is not None
        np.testing.assert_array_equal(b.target, b.reference[1])
        assert not b.excess.any()
        differ += bool(a.excess.any())
        if a.excess.any():
            assert np.abs(a.target - b.target).max() > 1e-3
    assert differ > 3


def test_validation_stays_the_same_for_every_ablation(ct_config: TrainConfig) -> None:
    """Always matched noise and corrected targets, at the same places."""
    plain = Validator.make(ct_config, slices=4).samples
    for changes in ({"noise": "white"}, {"correction": False}, {"conditioning": "none"}, {"context": False}):
        other = Validator.make(replace(ct_config, data=replace(ct_config.data, **changes)), slices=4).samples
        for name in ("state", "target", "sigma", "excess", "weight"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(other, name))
    assert isinstance(
        open_source(replace(ct_config, data=replace(ct_config.data, noise="white")), "val"), CTSource
    )


# conditioning and context


def test_conditioning_map_scalar_none() -> None:
    full, scalar, none = (patches(Inputs(conditioning=c, blind_sigma=0.2)) for c in ("map", "scalar", "none"))
    assert full.planes[..., 3].any(axis=(1, 2)).mean() == pytest.approx(1 - DROP_MAP, abs=0.2)
    assert not scalar.planes[..., 3].any()
    assert not none.planes[..., 3].any()
    np.testing.assert_array_equal(full.planes[..., :3], scalar.planes[..., :3])
    np.testing.assert_array_equal(full.condition, scalar.condition)
    assert np.all(none.sigma_told == np.float32(0.2))
    assert np.unique(none.condition[:, 0]).size == 1
    np.testing.assert_allclose(none.planes[..., 0], none.state / np.hypot(0.2, SD), rtol=1e-5)
    np.testing.assert_array_equal(none.sigma, full.sigma)  # the weight of the loss keeps the true level
    np.testing.assert_array_equal(none.state, full.state)


def test_without_context_the_neighbours_are_absent() -> None:
    full, flat = patches(Inputs()), patches(Inputs(context=False))
    assert full.planes[..., 1:3].any()
    assert not flat.planes[..., 1:3].any()
    base = vector(Condition(0.1))
    flags = np.flatnonzero(vector(Condition(0.1, previous=True, following=True)) != base)
    assert not flat.condition[:, flags].any()
    np.testing.assert_array_equal(full.planes[..., [0, 3]], flat.planes[..., [0, 3]])


# processes


@pytest.mark.parametrize("process", ["bridge", "mixing", "ddpm", "prior"])
def test_states_are_those_of_the_process(process: str) -> None:
    """x_s = alpha x + beta y + gamma eps: SD and mean around the reference at every level that is drawn."""
    source = KeepingSource(sigma=(0.2, 0.2), size=64, own=0.0)
    rng, inputs = np.random.default_rng(1), Inputs(process)
    slice_ = source.draw(rng)
    samples = cut(slice_, 32, 300, Precondition(SD), rng, inputs)
    kind = PROCESSES[process]
    assert samples.planes.shape[-1] == kind.planes
    assert samples.condition.shape[-1] == kind.condition
    noise = samples.state - samples.target
    ratio = noise.std(axis=(1, 2)) / samples.sigma
    assert np.median(ratio) == pytest.approx(1.0, abs=0.04)  # the level is that of `Process.time`
    c_in = 1 / np.hypot(samples.sigma_told, SD)
    np.testing.assert_allclose(samples.planes[..., 0], c_in[:, None, None] * samples.state, rtol=1e-4)
    if process in ("ddpm", "prior"):
        assert samples.sigma.max() == pytest.approx(157, rel=0.15)
        np.testing.assert_array_equal(samples.sigma, samples.sigma_told)
        np.testing.assert_allclose(samples.condition[:, -2], 0.25 * np.log(samples.sigma), atol=1e-5)
    else:
        assert samples.sigma.max() <= 0.2 * np.sqrt(1 + 0.2) + 1e-6
    if process == "mixing":
        assert set(np.rint(samples.sigma / 0.02).astype(int)) == set(range(1, 11))
    if process == "ddpm":  # plane 4 is the scan, not the state
        scan = samples.planes[..., 4] / samples.planes[..., 4].std(axis=(1, 2), keepdims=True)
        high = samples.sigma > 20
        alike = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1]
            for a, b in zip(scan[high], samples.target[high], strict=True)
        ]
        assert np.median(alike) > 0.8


def test_validation_starts_where_sampling_starts() -> None:
    """And a network of known error has the same gain whatever the process: levels are those of the scan."""
    for process in ("matched", "bridge", "mixing", "ddpm"):
        config = replace(toy_config(Path("unused")), process=process)
        validator = Validator.make(config, KeepingSource(sigma=(0.24, 0.26), own=0.0), slices=8)
        s, pre = validator.samples, validator.precondition
        start = make("ddpm", 0.25).time(1.0) if process == "ddpm" else 0.25
        np.testing.assert_allclose(s.sigma, start, rtol=0.05)
        told = s.sigma_told[:, None, None]
        F = (s.target + 0.02 - pre.c_skip(told) * s.state) / pre.c_out(told)
        answers = iter([np.stack([F[i : i + 16], 0 * F[i : i + 16]], -1) for i in range(0, len(F), 16)])
        figures, _ = validator.run(lambda p, c, answers=answers: next(answers))  # type: ignore[misc]
        assert figures["gain"] == pytest.approx(20 * np.log10(0.25 / 0.02), abs=0.3)


# penalties


def test_bias_penalty_is_the_squared_mean_error_of_each_bin() -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    from medidiff.training.penalties import Penalties

    rng = np.random.default_rng(0)
    target = np.where(np.arange(64) < 32, 0.2, 1.0).astype(np.float32) * np.ones((3, 64, 1), np.float32)
    sigma = np.full(3, 0.3, np.float32)
    samples = (None, None, target, target, sigma, sigma, 0 * target, 0 * target)
    pre = Precondition(SD)
    penalty = Penalties.of(OptimiserConfig(bias=0.5))
    noise = rng.standard_normal(target.shape).astype(np.float32)
    noise -= noise.mean(axis=(0, 1), keepdims=True)
    assert float(penalty(target + noise, samples, pre)) < 0.01
    # 0.2 is -400 HU (fat), 1.0 is 0 HU (soft): each bin counts once, however many pixels it has.
    c_out = 0.3 * SD / np.hypot(0.3, SD)
    for shift in (0.1, -0.1):
        moved = target + np.where(target < 0.5, shift, 0.0).astype(np.float32)
        assert float(penalty(moved, samples, pre)) == pytest.approx(0.5 * (0.1 / c_out) ** 2, rel=0.1)
    assert Penalties.of(OptimiserConfig())(target + 1, samples, pre) == 0.0


def test_nps_penalty_is_the_squared_log_ratio_of_spectra() -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    from medidiff.training.penalties import Penalties

    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.1, 0.4, 64).astype(np.float32)
    noise = sigma[:, None, None] * rng.standard_normal((64, 32, 32)).astype(np.float32)
    target = np.zeros_like(noise)
    samples = (None, None, noise, target, sigma, sigma, target, target)
    penalty = Penalties.of(OptimiserConfig(nps=2.0))
    assert float(penalty(target, samples, Precondition(SD))) == pytest.approx(0.0, abs=1e-6)
    # Half of the noise is left: its power is a quarter at every frequency.
    half = float(penalty(0.5 * noise, samples, Precondition(SD)))
    assert half == pytest.approx(2.0 * np.log(4) ** 2, rel=0.01)


@pytest.mark.slow
def test_penalties_reach_the_loss_and_its_gradient() -> None:
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from medidiff.training.penalties import Penalties
    from medidiff.training.step import loss_terms

    samples = patches(Inputs(), 8)
    output = tf.Variable(np.random.default_rng(0).normal(0, 0.3, (8, 32, 32, 2)).astype(np.float32))
    pre, found = Precondition(SD), {}
    for name, config in (
        ("none", OptimiserConfig()), ("bias", OptimiserConfig(bias=0.2)), ("nps", OptimiserConfig(nps=0.2)),
    ):  # fmt: skip
        with tf.GradientTape() as tape:
            _, loss = loss_terms(output, samples.arrays(), pre, 0.1, penalties=Penalties.of(config))
        found[name] = float(loss), tape.gradient(loss, output).numpy()
        assert np.isfinite(found[name][1]).all()
    for name in ("bias", "nps"):
        assert found[name][0] > found["none"][0]
        assert np.abs(found[name][1][..., 0] - found["none"][1][..., 0]).max() > 1e-6
        np.testing.assert_array_equal(found[name][1][..., 1], found["none"][1][..., 1])


# configuration


def test_ablations_are_settings_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'name = "x"\nmodality = "ct"\nprocess = "ddpm"\n[data]\nnoise = "white"\nconditioning = "scalar"\n'
        "correction = false\ncontext = false\n[optimiser]\nbias = 0.1\nnps = 0.2\n"
    )
    config = load(path)
    assert (config.process, config.data.noise, config.data.conditioning) == ("ddpm", "white", "scalar")
    assert not config.corrects
    assert not config.data.context
    assert (config.network.planes, config.network.condition) == (5, 18)
    assert (config.optimiser.bias, config.optimiser.nps) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('process = "walk"', "matched, ddpm, prior, bridge or mixing. Received: walk"),
        ('[data]\nnoise = "pink"', "matched or white. Received: pink"),
        ('[data]\nconditioning = "vector"', "map, scalar or none. Received: vector"),
        ("[data]\ncorrection = 1", "like True"),
        ("[data]\npatch = true", "like 96"),
    ],
)
def test_unknown_ablations_are_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'name = "x"\nmodality = "ct"\n{line}\n')
    with pytest.raises(UsageError, match=says):
        load(path)


def test_a_source_without_reference_cannot_be_varied() -> None:
    with pytest.raises(UsageError, match="no reference"):
        Variant(ToySource(), white=True, corrected=True).draw(np.random.default_rng(0))


def test_defaults_are_the_released_recipe() -> None:
    """A sample with default inputs is what it was before there were variants: same draws, same values."""
    first, second = patches(Inputs()), cut_default()
    for f in fields(Samples):
        np.testing.assert_array_equal(getattr(first, f.name), getattr(second, f.name))


def cut_default() -> Samples:
    rng = np.random.default_rng(3)
    return cut(KeepingSource().draw(rng), 32, 60, Precondition(SD), rng)
