"""A checkpoint becomes a bundle with the same network, and its uncertainty covers what it claims."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ct_items import fill_cache
from networks import random_inputs, random_weights, tiny_bundle
from toy import ToySource, toy_config

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import ModelError, NoImageError, OutputError, UsageError
from medidiff.models import store
from medidiff.models.bundle import Trained
from medidiff.training import checkpoint
from medidiff.training.calibration import calibrate
from medidiff.training.config import TrainConfig
from medidiff.training.release import (
    About,
    averaged_weights,
    credits_of,
    pixel_sizes,
    release,
    trained_ranges,
)
from medidiff.training.samples import Samples
from medidiff.training.validation import Validator

pytest.importorskip("onnx", reason="onnx is not installed")

ABOUT = About(
    card="# toy\n\nResearch use only.\n",
    trained=Trained((0.002, 0.5), (2.0, 6.0), (0.6, 0.9)),
    version="1.0",
    licence="Apache-2.0",
    attribution=("Somebody's scans, CC BY 4.0",),
)


def save_checkpoint(config: TrainConfig, folder: Path, name: str, seed: int) -> dict[str, np.ndarray]:
    """A checkpoint whose average has known weights by path (and whose raw weights are others)."""
    from medidiff.models.unet import build

    average = random_weights(config.network, seed)
    paths = [v.path for v in build(config.network).trainable_variables]
    plain = json.loads(json.dumps(config.to_dict()))
    arrays = [average[p] for p in paths]
    saved = checkpoint.Checkpoint(7, [np.zeros_like(a) for a in arrays], arrays, [], 1.0, plain)
    checkpoint.save(folder, saved, name)
    return average


@pytest.mark.slow
def test_a_bundle_runs_the_averaged_weights(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="keras is not installed (extra train)")
    from medidiff.engines import EngineSettings
    from medidiff.engines.openvino import OpenVINOEngine
    from medidiff.models.export import from_onnx, to_onnx

    config = toy_config(tmp_path)
    best = save_checkpoint(config, tmp_path / "run", "best.npz", 1)
    last = save_checkpoint(config, tmp_path / "run", checkpoint.FILE, 2)
    bundle = release(config, tmp_path / "run", out=tmp_path / "out", about=ABOUT)
    for path, array in from_onnx(bundle.network).items():
        np.testing.assert_array_equal(array, best[path])
    assert (bundle.name, bundle.modality, bundle.sigma_data) == ("toy", "ct", 0.5)
    assert store.load(tmp_path / "out") == bundle
    assert len(store.verify(bundle)) == 2

    # The engine's answer on the file is that of the weights that went in.
    inputs = random_inputs(config.network, 1, 16, 24)
    expected = tiny_bundle(config.network, network=to_onnx(config.network, best))
    answers = [OpenVINOEngine(b, EngineSettings(1, "float32"))(*inputs) for b in (bundle, expected)]
    np.testing.assert_array_equal(*answers)

    with pytest.raises(OutputError, match="exists"):
        release(config, tmp_path / "run", out=tmp_path / "out", about=ABOUT)
    other = release(
        config, tmp_path / "run", "last", out=tmp_path / "out", storage="float16", overwrite=True, about=ABOUT
    )
    for path, array in from_onnx(other.network).items():
        np.testing.assert_array_equal(array, last[path].astype(np.float16))
    assert other.sha256 != bundle.sha256

    with pytest.raises(UsageError, match="sigma_data differs"):
        release(replace(config, sigma_data=0.9), tmp_path / "run", out=tmp_path / "no", about=ABOUT)
    wider = replace(config, network=replace(config.network, channels=(8, 16)))
    with pytest.raises(UsageError, match="network differs"):
        release(wider, tmp_path / "run", out=tmp_path / "no", about=ABOUT)
    with pytest.raises(ModelError, match="no checkpoint"):
        release(config, tmp_path / "nothing", out=tmp_path / "no", about=ABOUT)
    assert not (tmp_path / "no").exists()


def test_trained_ranges_come_from_the_run(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache")))
    with pytest.raises(NoImageError, match="cache holds no slice"):
        pixel_sizes(config)
    fill_cache(config)
    assert pixel_sizes(config) == pytest.approx([0.7] * 4)
    found = trained_ranges(config, [0.7, 0.9, 0.5])
    assert found.sigma == pytest.approx((1 / 500, 250 / 500))
    assert found.pixel_mm == (0.5, 0.9)
    # Softest kernel of the family (3.5 lp/cm, steep) to a boosted one near the Nyquist frequency.
    assert 2.3 < found.kernel[0] < 3.0
    assert 5.0 < found.kernel[1] < 8.0
    mr = replace(config, modality="mr", data=replace(config.data, sigma=(0.01, 0.18), low_sigma=0.002))
    assert trained_ranges(mr, [1.0]) == Trained((0.002, 0.18), (1.0, 2.0), (1.0, 1.0))


def test_binned_stacks_of_mr_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the samples of large slices 40 % are binned: their pixels are twice as large."""
    from medidiff.training import mr_source
    from medidiff.training.mr_stacks import Stack

    config = replace(toy_config(tmp_path), modality="mr")
    edge = 2 * config.data.patch
    shapes = {0.6: (3, edge, edge), 1.1: (3, edge, edge - 1)}
    stacks = [Stack(np.ones(shape, np.float32), 0.01, mm, "s") for mm, shape in shapes.items()]
    monkeypatch.setattr(mr_source, "list_scans", lambda *_: ["scan"])
    monkeypatch.setattr(mr_source, "data_root", lambda root: root)
    monkeypatch.setattr(mr_source, "load_stacks", lambda *_: stacks)
    assert pixel_sizes(config) == pytest.approx([0.6, 1.1, 1.2])


def test_credits_are_those_of_the_shipped_cards() -> None:
    """The points of one section, not those of the limits below it."""
    for name in ("ct", "mr"):
        bundle = store.load(name)
        assert credits_of(bundle.card) == bundle.attribution
    with pytest.raises(UsageError, match="credits no training data"):
        credits_of("# toy\n\n## Limits\n\n* small\n")


class Claiming:
    """An engine whose D misses the truth by Gaussian errors, and whose v claims others.

    Args:
        samples: asked one patch after another.
        truth: of those patches.
        error: SD of the errors, ``[n]``.
        claimed: SD that v tells, ``[n]``.
    """

    name, device, precision = "claiming", "none", "float32"

    def __init__(self, samples: Samples, truth: np.ndarray, error: np.ndarray, claimed: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        told, self.next = samples.sigma_told[:, None, None], 0
        estimate = truth + error[:, None, None] * rng.standard_normal(truth.shape)
        F = Precondition(0.9).target(estimate, samples.state, told)
        h = 2 * np.log(claimed[:, None, None] / Precondition(0.9).c_out(told))
        self.output = np.stack([F, np.broadcast_to(h, F.shape)], 1).astype(np.float32)
        self.planes = samples.planes

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        n = len(planes)
        np.testing.assert_array_equal(planes[0, 0], self.planes[self.next, ..., 0])
        self.next += n
        return self.output[self.next - n : self.next]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Validator.make(toy_config(tmp_path_factory.mktemp("x")), ToySource((0.05, 0.4)), slices=48).samples


@pytest.mark.parametrize("target_noise", [0.0, 0.04], ids=["clean targets", "noisy targets"])
def test_calibration_finds_the_factor_at_every_level(samples: Samples, target_noise: float) -> None:
    truth = samples.target
    rng = np.random.default_rng(1)
    noisy = replace(
        samples,
        target=truth + target_noise * rng.standard_normal(truth.shape).astype(np.float32),
        excess=np.full_like(truth, target_noise**2),
    )
    error = 0.5 * samples.sigma
    claimed = error / np.where(samples.sigma < 0.14, 0.7, 1.6)
    engine = Claiming(noisy, truth, error, claimed)
    table = calibrate(tiny_bundle(), engine, noisy)  # type: ignore[arg-type]
    levels, factors = np.array(table).T
    assert np.all(np.diff(levels) > 0)
    low, high = levels < 0.12, levels > 0.17
    assert high.sum() >= 2
    np.testing.assert_allclose(factors[high], 1.6, rtol=0.06)
    if target_noise == 0.0:
        np.testing.assert_allclose(factors[low], 0.7, rtol=0.06)
        assert len(table) == 6
    else:
        assert levels.min() > 0.05  # patches whose target is noisier than the estimate do not count


@pytest.mark.parametrize("claim", [1.0, 0.5])
def test_noise_that_target_and_scan_share_is_no_error(samples: Samples, claim: float) -> None:
    """White Gaussian pictures, whose posterior is known: its SD is claimed, or half of it."""
    rng = np.random.default_rng(5)
    shape, s_x, own = samples.target.shape, 0.5, 0.1
    t = np.linspace(0.25, 0.4, len(samples)).astype(np.float32)
    wide = t[:, None, None]
    x = s_x * rng.standard_normal(shape)
    reference = x + own * rng.standard_normal(shape)
    y = reference + np.sqrt(wide**2 - own**2) * rng.standard_normal(shape)
    f32 = np.float32
    mine = replace(samples, sigma=t, sigma_told=t, state=y.astype(f32), target=reference.astype(f32))
    mean = s_x**2 / (s_x**2 + wide**2) * y
    sd = s_x * t / np.hypot(s_x, t)

    def factors(shared: np.ndarray | None) -> np.ndarray:
        engine = Claiming(mine, mean, 0.0 * t, claim * sd)
        return np.array(calibrate(tiny_bundle(), engine, mine, own=shared))[:, 1]  # type: ignore[arg-type]

    np.testing.assert_allclose(factors(np.full(len(t), own, f32)), 1.0 / claim, rtol=0.02)
    assert np.abs(factors(None) * claim - 1.0).max() > 0.03


def test_floor_of_a_target_of_mr_says_nothing(samples: Samples) -> None:
    """Half of each target is tissue, half air with the floor of the target's own noise, which no D finds."""
    own, t = 0.04, np.linspace(0.25, 0.4, len(samples)).astype(np.float32)
    error, target = 0.5 * t, np.ones_like(samples.target)
    half, window = target.shape[-1] // 2, 5
    target[..., half:] = 1.25 * own
    found = target.copy()
    found[..., half + window // 2 :] -= 10.0
    mr = replace(tiny_bundle(), modality="mr")
    mine = replace(samples, sigma=t, sigma_told=t, state=target, target=target)

    def factors(shared: float) -> np.ndarray:
        engine, level = Claiming(mine, found, error, error), np.full(len(error), shared, np.float32)
        return np.array(calibrate(mr, engine, mine, own=level))[:, 1]  # type: ignore[arg-type]

    np.testing.assert_allclose(factors(own), 1.0, rtol=0.06)
    assert np.all(factors(0.001) > 5.0)


def test_few_patients_are_pooled_and_many_are_guarded(samples: Samples) -> None:
    """With n patients (n R + 1)/(n + 1) <= 0.1 is stricter than R <= 0.1."""
    error = 0.5 * samples.sigma

    def factor(groups: np.ndarray | None) -> float:
        engine = Claiming(samples, samples.target, error, error)
        return calibrate(tiny_bundle(), engine, samples, groups, bins=1)[0][1]  # type: ignore[arg-type]

    n = np.arange(len(samples))
    pooled = factor(None)
    assert pooled == pytest.approx(1.0, rel=0.02)
    assert factor(n % 8) == pooled
    guarded = factor(n % 24)
    # R <= (0.1 * 25 - 1) / 24 = 0.0625: the normal quantile 1.863 instead of 1.645.
    assert guarded == pytest.approx(1.863 / 1.645, rel=0.02)


def test_calibration_needs_body(samples: Samples) -> None:
    air = replace(samples, target=np.full_like(samples.target, -1.0))
    engine = Claiming(air, air.target, 0.1 * air.sigma, 0.1 * air.sigma)
    with pytest.raises(ModelError, match="too few"):
        calibrate(tiny_bundle(), engine, air)  # type: ignore[arg-type]


def run_release(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "configs" / "release.py"
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_release_script_refuses_in_one_sentence(tmp_path: Path) -> None:
    """And before it computes anything: what is at the place of the model stays there."""
    config, card = tmp_path / "run.toml", tmp_path / "card.md"
    config.write_text('name = "x"\nmodality = "ct"\n')
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("mine")
    for config_file, out, code, says in (
        (tmp_path / "no.toml", "new", 2, "No such training configuration"),
        (config, "there", 1, "exists already. Use another name, or --overwrite"),
        (config, "new", 2, "The model card cannot be read"),
    ):
        done = run_release(str(config_file), "--card", str(card), "-o", str(tmp_path / out))
        assert done.returncode == code
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "there" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_a_diverged_run_is_not_released(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    weights = [np.array([1.0, np.nan], np.float32)]
    saved = checkpoint.Checkpoint(1, weights, weights, [], 0.0, config.to_dict())
    with pytest.raises(ModelError, match="diverged"):
        averaged_weights(config, saved)
