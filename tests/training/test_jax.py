"""A run goes from TensorFlow to JAX and back: same checkpoints, same steps, and no TensorFlow is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ct_items import fill_cache
from toy import ToySource, toy_config

from medidiff.errors import UsageError
from medidiff.training import checkpoint
from medidiff.training.validation import Validator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed"),
    pytest.mark.skipif(find_spec("keras") is None, reason="keras is not installed (extra train)"),
]

BLOCKED = """
import sys
for name in (
    "tensorflow", "tensorboard", "openvino", "astra", "onnx", "pydicom", "nibabel", "SimpleITK", "pylibjpeg",
    "skimage",
):
    sys.modules[name] = None
"""
"""A machine with JAX alone."""

RESUME = """
import toy
from pathlib import Path
from medidiff.training.validation import Validator
from medidiff.training.trainer import Trainer
config = toy.toy_config(Path(sys.argv[1]))
validator = Validator.make(config, toy.ToySource(), slices=4)
trainer = Trainer(config, resume=True, source=toy.ToySource(), validator=validator)
assert trainer.backend == "jax" and trainer.step == 6, trainer.step
trainer.run()
"""

COMMAND = """
from medidiff.cli.main import main
sys.argv = ["medidiff", "train", sys.argv[1]]
main()
"""


def run_jax(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", BLOCKED + code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_a_run_goes_on_under_jax_where_tensorflow_left_it(tmp_path: Path) -> None:
    """Steps 7 to 12 under JAX give the weights, average and optimiser that TensorFlow gives."""
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from medidiff.training.trainer import Trainer

    def trainer(folder: Path) -> Trainer:
        config = toy_config(folder)
        validator = Validator.make(config, ToySource(), slices=4)
        return Trainer(config, source=ToySource(), validator=validator)

    trainer(tmp_path / "straight").run()
    trainer(tmp_path / "changed").run(until=6)
    begun = checkpoint.load(tmp_path / "changed" / "toy")
    done = run_jax(RESUME, str(tmp_path / "changed"))
    assert done.returncode == 0, done.stderr[-3000:]
    straight, changed = (checkpoint.load(tmp_path / name / "toy") for name in ("straight", "changed"))
    assert changed.step == straight.step == 12
    for part in ("weights", "average", "optimiser"):
        for a, b, before in zip(*(getattr(c, part) for c in (changed, straight, begun)), strict=True):
            assert a.shape == b.shape
            # Far closer to each other than either is to where both began.
            moved = np.abs(b.astype(float) - before).max()
            assert np.abs(a.astype(float) - b).max() <= 0.02 * moved + 1e-6
    assert changed.history[-1] == pytest.approx(straight.history[-1], rel=0.02, abs=0.02)
    assert (tmp_path / "changed" / "toy" / "logs" / "log.jsonl").read_text().count('"step": 12') >= 1
    # And back: TensorFlow takes the checkpoint of JAX.
    config = toy_config(tmp_path / "changed", steps=13)
    back = Trainer(
        config, resume=True, source=ToySource(), validator=Validator.make(config, ToySource(), slices=4)
    )
    assert back.step == 12
    back.run()
    assert checkpoint.load(tmp_path / "changed" / "toy").step == 13


TOML = """
name = "packed"
modality = "ct"
output = "{folder}/runs"
sigma_data = 0.9
validate_every = 4
checkpoint_every = 4
[network]
channels = [8, 12]
blocks = 1
[data]
pack = "{folder}/ct.pack"
device = true
patch = 32
per_slice = 4
[optimiser]
steps = 6
batch = 8
kind = "muon"
precision = "mixed_bfloat16"
"""


def test_a_machine_with_jax_and_a_pack_alone_trains(tmp_path: Path) -> None:
    """The command of the manual, with TensorFlow, OpenVINO, ASTRA and onnx out of reach and no scans."""
    from medidiff.training import pack
    from medidiff.training.recipe import load

    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache")))
    for role in ("train", "val"):
        fill_cache(config, role)
    pack.write(tmp_path / "ct.pack", config, 5.0)
    (tmp_path / "run.toml").write_text(TOML.format(folder=tmp_path))
    done = run_jax(COMMAND, str(tmp_path / "run.toml"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == str(tmp_path / "runs" / "packed")
    saved = checkpoint.load(tmp_path / "runs" / "packed")
    assert saved.step == 6
    assert [h["step"] for h in saved.history] == [4, 6]
    assert all(np.isfinite(w).all() for w in saved.weights)
    assert all(w.dtype == np.float32 for w in saved.weights)
    small = checkpoint.load(tmp_path / "runs" / "packed", checkpoint.AVERAGE)
    assert small.step == 6
    assert not small.weights
    assert not small.optimiser
    # The weights become a bundle as those of any run, also those of the small file.
    pytest.importorskip("onnx", reason="onnx is not installed")
    from medidiff.models.export import weight_shapes
    from medidiff.training.release import averaged_weights

    weights = averaged_weights(load(tmp_path / "run.toml"), saved)
    assert {k: v.shape for k, v in weights.items()} == weight_shapes(load(tmp_path / "run.toml").network)
    for path, rounded in averaged_weights(load(tmp_path / "run.toml"), small).items():
        np.testing.assert_array_equal(rounded, weights[path].astype(np.float16))


def test_samples_on_the_device_need_jax(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from medidiff.training.trainer import Trainer

    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, device=True))
    with pytest.raises(UsageError, match="made on the device by JAX. Received: KERAS_BACKEND=tensorflow"):
        Trainer(config)
