"""What can go wrong between two steps of a run: changed settings, full disks, damaged files, divergence."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import ToySource, toy_config

from medidiff.errors import MedidiffError, ModelError, OutputError, UsageError
from medidiff.models.config import UNetConfig
from medidiff.training import checkpoint
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import TrainConfig
from medidiff.training.resume import changes


def saved(config: TrainConfig, run: str = "") -> Checkpoint:
    weights = [np.arange(600.0, dtype=np.float32).reshape(20, 30)]
    return Checkpoint(3, weights, weights, weights, 1.5, config.to_dict(), [{"step": 3, "gain": 1.5}], run)


def test_settings_that_the_weights_depend_on_may_not_change(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    then = config.to_dict()
    assert changes(then, config, tmp_path) == ()
    longer = replace(config, optimiser=replace(config.optimiser, steps=99), checkpoint_every=7)
    assert changes(then, longer, tmp_path) == ("[optimiser] steps was 12, is 99",)
    del then["process"], then["data"]["own_share"]  # as an older version wrote it
    assert changes(then, config, tmp_path) == ()
    for different, says in (
        (replace(config, network=UNetConfig((8, 16), 1)), "channels"),
        (replace(config, sigma_data=0.4), "sigma_data was 0.5.*0.4"),
        (replace(config, modality="mr"), "modality was ct"),
        (replace(config, process="bridge"), "process was matched"),
        (replace(config, optimiser=replace(config.optimiser, kind="muon")), "kind was adam"),
    ):
        with pytest.raises(UsageError, match=says):
            changes(then, different, tmp_path)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config(tmp_path)
    checkpoint.save(tmp_path, saved(config))

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match="checkpoint.npz.*No space left.*--resume"):
        checkpoint.save(tmp_path, replace(saved(config), step=4))
    monkeypatch.undo()
    assert checkpoint.load(tmp_path).step == 3
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]


def test_what_a_kill_leaves_is_overwritten(tmp_path: Path) -> None:
    """A kill while a checkpoint is written leaves one file, not one for each kill."""
    config = toy_config(tmp_path)
    (tmp_path / f".{checkpoint.FILE}.part").write_bytes(b"half of it")
    with pytest.raises(ModelError, match="no checkpoint"):
        checkpoint.load(tmp_path)
    checkpoint.save(tmp_path, saved(config))
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]


@pytest.mark.parametrize("part", ["empty", "half", "flipped", "text", "bare"])
def test_every_kind_of_damage_is_one_sentence(tmp_path: Path, part: str) -> None:
    path = checkpoint.save(tmp_path, saved(toy_config(tmp_path)))
    data = bytearray(path.read_bytes())
    middle = data.index(np.float32(300.0).tobytes())
    data[middle] ^= 1
    damaged = {"empty": b"", "half": data[: len(data) // 2], "flipped": data, "text": b"hello", "bare": b""}
    path.write_bytes(damaged[part])
    if part == "bare":
        np.savez(path, meta=np.frombuffer(b"{}", np.uint8))
    with pytest.raises(ModelError, match="damaged.*move the folder away"):
        checkpoint.load(tmp_path)
    assert checkpoint.owner(tmp_path) in (None, "")


def trainer(config: TrainConfig, **options: Any) -> Any:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed (extra train)")
    from medidiff.training.trainer import Trainer
    from medidiff.training.validation import Validator

    validator = Validator.make(config, ToySource(), slices=4)
    return Trainer(config, source=ToySource(), validator=validator, **options)


@pytest.mark.slow
def test_a_diverged_run_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    """The rate of step 4 is so large that the weights overflow; nothing of that reaches the disk."""
    config = toy_config(tmp_path, validate_every=100)
    run = trainer(config)
    run.run(until=3)
    folder = Path(config.output) / config.name
    worse = replace(config, optimiser=replace(config.optimiser, rate=1e38))
    again = trainer(worse, resume=True)
    assert again.changes == ("[optimiser] rate was 0.002, is 1e+38",)
    with pytest.raises(MedidiffError, match="diverged.*Lower.*rate"):
        again.run()
    kept = checkpoint.load(folder)
    assert kept.step == 3
    for name in (checkpoint.FILE, checkpoint.AVERAGE):
        assert all(np.isfinite(a).all() for a in checkpoint.load(folder, name).average)


@pytest.mark.slow
def test_two_runs_in_one_folder_notice_each_other(tmp_path: Path) -> None:
    config = toy_config(tmp_path, validate_every=100)
    first, second = trainer(config), trainer(config)  # both begin before either has written
    first.run(until=3)
    with pytest.raises(OutputError, match="Another run has written.*name of its own"):
        second.run(until=3)
    third, fourth = trainer(config, resume=True), trainer(config, resume=True)
    third.run(until=6)
    with pytest.raises(OutputError, match="Another run has written"):
        fourth.run(until=6)
    assert checkpoint.load(Path(config.output) / config.name).step == 6
    third.run(until=9)
