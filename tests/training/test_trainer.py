"""The trainer: it learns, keeps the best, and after a kill goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import ToySource, toy_config

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import CancelledError, ModelError, OutputError, UsageError
from medidiff.models.config import UNetConfig
from medidiff.training import checkpoint
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import OptimiserConfig, TrainConfig
from medidiff.training.validation import Validator

pytest.importorskip("tensorflow", reason="tensorflow is not installed (extra train)")
pytestmark = pytest.mark.slow

DRAWS_A_CHUNK = 4
"""Two steps of eight patches a chunk, four slices of four patches each."""


class Interrupted(ToySource):
    """Sends this process a signal when the slices of some step are to be drawn."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__()
        self.number, self.left = number, step // 2 * DRAWS_A_CHUNK

    def draw(self, rng: np.random.Generator) -> Any:
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        self.left -= 1
        return super().draw(rng)


def train(config: TrainConfig, source: ToySource | None = None, *, resume: bool = False) -> Any:
    """Trains and returns the trainer."""
    from medidiff.training.trainer import Trainer

    validator = Validator.make(config, ToySource(), slices=4)
    trainer = Trainer(config, resume=resume, source=source or ToySource(), validator=validator)
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The last checkpoint of a run that was never disturbed."""
    config = toy_config(tmp_path_factory.mktemp("straight"))
    train(config)
    return checkpoint.load(Path(config.output) / config.name)


def assert_same(resumed: Checkpoint, straight: Checkpoint) -> None:
    assert resumed.step == straight.step == 12
    for part in ("weights", "average", "optimiser"):
        for a, b in zip(getattr(resumed, part), getattr(straight, part), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert [h["step"] for h in straight.history] == [4, 8, 12]
    assert len(resumed.history) == 3
    for mine, other in zip(resumed.history, straight.history, strict=True):
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert resumed.best == pytest.approx(straight.best, rel=1e-4)


def interrupted_run(folder: Path, number: str, step: int) -> subprocess.CompletedProcess[str]:
    """Trains in a process of its own, which sends itself a signal; exit code 6 if it was cancelled cleanly.

    A process of its own because SIGKILL ends it, and a signal meets whatever else a process has loaded.
    """
    script = (
        "import signal, sys; from pathlib import Path; import test_trainer, toy\n"
        "from medidiff.errors import CancelledError\n"
        "before = signal.getsignal(signal.SIGTERM)\n"
        "try:\n"
        "    source = test_trainer.Interrupted(signal.Signals[sys.argv[2]], int(sys.argv[3]))\n"
        "    test_trainer.train(toy.toy_config(Path(sys.argv[1])), source)\n"
        "except CancelledError as error:\n"
        "    assert signal.getsignal(signal.SIGTERM) is before\n"
        "    print(error)\n"
        "    sys.exit(error.exit_code)\n"
    )
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", script, str(folder), number, str(step)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_killed_run_resumes_exactly(tmp_path: Path, straight: Checkpoint) -> None:
    """SIGKILL while step 8 is prepared: the last checkpoint is of step 6, a validation of step 8 is lost."""
    config = toy_config(tmp_path)
    done = interrupted_run(tmp_path, "SIGKILL", 8)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    folder = Path(config.output) / config.name
    assert checkpoint.load(folder).step == 6
    assert not list(folder.glob(".*")), "nothing half-written is left"
    train(config, resume=True)
    assert_same(checkpoint.load(folder), straight)


def test_sigterm_stops_cleanly_and_the_run_goes_on(tmp_path: Path, straight: Checkpoint) -> None:
    config = toy_config(tmp_path)
    done = interrupted_run(tmp_path, "SIGTERM", 4)
    assert done.returncode == CancelledError.exit_code, done.stderr[-2000:]
    assert "after step 5" in done.stdout
    folder = Path(config.output) / config.name
    assert checkpoint.load(folder).step == 5
    with pytest.raises(OutputError, match="there already"):
        train(config)
    train(config, resume=True)
    assert_same(checkpoint.load(folder), straight)
    with pytest.raises(UsageError, match="another run.*channels"):
        train(replace(config, network=replace(config.network, channels=(8, 16))), resume=True)


class Doubting(Validator):
    """Says that the last validation went wrong."""

    def run(self, predict: Callable[..., Any]) -> tuple[dict[str, float], Any]:
        figures, estimate = super().run(predict)
        calls = self.__dict__.setdefault("calls", [])
        calls.append(dict(figures))
        if len(calls) == 3:
            figures = {**figures, "gain": figures["gain"] - 50.0}
        return figures, estimate


def test_training_learns_and_keeps_the_best(tmp_path: Path) -> None:
    """150 steps learn to average: some dB more than the preconditioning alone gives (Wiener gain a pixel)."""
    from medidiff.training.trainer import BEST, Trainer

    optimiser = OptimiserConfig(steps=150, batch=8, rate=4e-3, warmup=10, ema=0.95)
    config = toy_config(tmp_path, validate_every=50, checkpoint_every=100, optimiser=optimiser)
    plain = Validator.make(config, ToySource(), slices=6)
    doubting = Doubting(plain.samples, plain.precondition, plain.edges)
    reports: list[dict[str, float]] = []
    trainer = Trainer(config, source=ToySource(), validator=doubting, report=reports.append)
    untrained, _ = plain.run(trainer.predictor())
    # F = 0 leaves D = c_skip y, the Wiener estimate of single pixels: 0.4 to 1.3 dB at 0.15 to 0.3 over 0.5.
    assert 0.3 < untrained["gain"] < 1.4
    last = trainer.run()

    gains = [c["gain"] for c in doubting.__dict__["calls"]]
    assert len(gains) == 3
    assert gains[1] > untrained["gain"] + 2.5
    assert gains[2] > gains[0] > untrained["gain"]
    assert last["gain"] == pytest.approx(gains[2] - 50.0)
    # The error has halved at least, and the variance head has followed it down from c_out^2.
    assert 0.75 < doubting.__dict__["calls"][2]["calibration"] < 1.33

    folder = Path(config.output) / config.name
    best = checkpoint.load(folder, BEST)
    assert best.step == 50 * (1 + int(np.argmax([h["gain"] for h in best.history])))
    assert best.step < 150
    assert best.best == pytest.approx(max(gains[:2]))
    newest = checkpoint.load(folder)
    assert newest.step == 150
    assert len(newest.history) == 3
    # The averaged weights of the best checkpoint do give the gain that was validated.
    for variable, value in zip(trainer.average, best.average, strict=True):
        variable.assign(value)
    assert plain.run(trainer.predictor())[0]["gain"] == pytest.approx(best.best, abs=1e-3)
    assert {r["step"] for r in reports} == {50, 100, 150}
    assert list((folder / "logs").iterdir())


def test_learning_rate_warms_up_holds_and_decays() -> None:
    from medidiff.training.step import ema_decay, learning_rate

    config = OptimiserConfig(steps=1000, rate=1e-3, warmup=100, decay=0.25, ema=0.999)
    assert learning_rate(0, config) == pytest.approx(1e-5)
    assert learning_rate(49, config) == pytest.approx(5e-4)
    assert [learning_rate(s, config) for s in (99, 400, 750)] == pytest.approx([1e-3] * 3)
    assert learning_rate(875, config) == pytest.approx(5e-4)
    assert learning_rate(999, config) == pytest.approx(1e-3 / 250)
    assert learning_rate(1000, config) == 0.0
    assert ema_decay(0, config) == pytest.approx(0.1)
    assert ema_decay(90, config) == pytest.approx(0.91)
    assert ema_decay(10**6, config) == 0.999


def test_loss_is_the_sum_of_its_terms() -> None:
    """Against the formulas in plain numpy; the variance term must leave the mean head alone."""
    import tensorflow as tf
    from test_loader import toy_patches

    from medidiff.training.step import loss_terms

    samples = replace(toy_patches(4), excess=np.full((4, 32, 32), 0.01, np.float32))
    output = np.random.default_rng(0).normal(0, 0.3, (4, 32, 32, 2)).astype(np.float32)
    s, told = samples.sigma[:, None, None], samples.sigma_told[:, None, None]
    sd = 0.5
    D = sd**2 / (told**2 + sd**2) * samples.state + told * sd / np.hypot(told, sd) * output[..., 0]
    v = (told * sd) ** 2 / (told**2 + sd**2) * np.exp(output[..., 1]) + 0.01
    square = np.mean((s**2 + sd**2) / (s * sd) ** 2 * samples.weight * (D - samples.target) ** 2)
    nll = np.mean(0.5 * ((D - samples.target) ** 2 / v + np.log(v)))

    variable = tf.Variable(output)
    gradients = []
    for weight in (0.0, 0.3):
        with tf.GradientTape() as tape:
            found = loss_terms(variable, samples.arrays(), Precondition(sd), weight)
        assert float(found[0]) == pytest.approx(square, rel=1e-4)
        assert float(found[1]) == pytest.approx(square + weight * nll, rel=1e-4)
        gradients.append(tape.gradient(found[1], variable).numpy())
    np.testing.assert_allclose(gradients[0][..., 0], gradients[1][..., 0], atol=1e-7)
    assert not gradients[0][..., 1].any()
    assert np.abs(gradients[1][..., 1]).max() > 0


def test_noisy_targets_count_as_much_as_they_tell() -> None:
    """v / (v + excess) per patch; a patch with a clean target keeps its weight."""
    from test_loader import toy_patches

    from medidiff.training.step import loss_terms

    excess = np.zeros((4, 32, 32), np.float32)
    excess[2:] = 0.04
    samples = replace(toy_patches(4), excess=excess)
    output = np.random.default_rng(0).normal(0, 0.3, (4, 32, 32, 2)).astype(np.float32)
    told, sd = samples.sigma_told, 0.5
    v = (told * sd) ** 2 / (told**2 + sd**2) * np.exp(output[..., 1]).mean((1, 2))
    share = v / (v + excess.mean((1, 2)))
    assert (share[:2] == 1).all()
    assert (share[2:] < 0.8).all()
    each = []
    for k in range(4):
        one = tuple(a[k : k + 1] for a in samples.arrays())
        each.append(float(loss_terms(output[k : k + 1], one, Precondition(sd), 0.0)[0]))
    found = float(loss_terms(output, samples.arrays(), Precondition(sd), 0.0, inverse_variance=True)[0])
    assert found == pytest.approx(np.mean(share * each), rel=1e-4)


def test_checkpoints_survive_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 2)).astype(np.float32), np.array(7, np.int64)]
    saved = Checkpoint(3, arrays[:1], arrays[:1], arrays, -np.inf, {"name": "x"}, [{"step": 3, "gain": 1.5}])
    checkpoint.save(tmp_path, saved)
    found = checkpoint.load(tmp_path)
    assert (found.step, found.best, found.config, found.history) == (3, -np.inf, saved.config, saved.history)
    for a, b in zip(found.optimiser, arrays, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]


def test_damaged_and_missing_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        checkpoint.load(tmp_path)
    path = checkpoint.save(tmp_path, Checkpoint(1, [np.zeros(100)], [], [], 0.0, {}))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelError, match="damaged"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_run_starts_from_a_model(tmp_path: Path, blocks: int) -> None:
    """The same function, also where the new network is deeper."""
    from networks import random_inputs, tiny_bundle

    from medidiff.models.export import to_keras
    from medidiff.training.trainer import Trainer

    small = UNetConfig((8, 12), 1)
    config = toy_config(tmp_path, network=replace(small, blocks=blocks))
    bundle = tiny_bundle(small, sigma_data=config.sigma_data)
    validator = Validator.make(config, ToySource(), slices=4)
    trainer = Trainer(config, start=bundle, source=ToySource(), validator=validator)
    planes, condition = random_inputs(config.network, 2, 32, 32)
    planes = planes.transpose(0, 2, 3, 1)
    expected = np.asarray(to_keras(small, bundle.network)([planes, condition]))
    np.testing.assert_allclose(trainer.predictor()(planes, condition), expected, rtol=1e-5, atol=1e-6)
    trainer.run()
    assert np.abs(trainer.predictor()(planes, condition) - expected).max() > 1e-4
    with pytest.raises(UsageError, match="another network"):
        Trainer(replace(config, name="other", sigma_data=0.4), start=bundle, validator=validator)
