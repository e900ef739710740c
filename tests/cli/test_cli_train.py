"""``medidiff train`` refuses what cannot work at once, and says what it works on."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result

from medidiff.cli.main import main
from medidiff.errors import MedidiffError
from medidiff.training import ct_cache, pack

CONFIG = """
name = "mine"
modality = "mr"
output = "runs"
[network]
channels = [8, 12]
blocks = 1
[data]
root = "scans"
sigma = [0.01, 0.2]
low_sigma = 0.002
patch = 32
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and a scan for each role."""
    monkeypatch.chdir(tmp_path)
    for name in ("MEDIDIFF_DATA", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run.toml").write_text(CONFIG)
    rng = np.random.default_rng(0)
    for role in ("train", "val"):
        folder = tmp_path / "scans/mr" / role / "p1"
        folder.mkdir(parents=True)
        image = nibabel.Nifti1Image(rng.normal(300, 20, (48, 48, 4)).astype(np.int16), np.eye(4))
        nibabel.save(image, folder / "t1.nii.gz")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["train", *arguments], standalone_mode=False)


def refused(*arguments: str) -> str:
    error = run(*arguments).exception
    assert isinstance(error, MedidiffError)
    return str(error)


def test_a_pack_says_what_is_in_it_and_replaces_nothing(place: Path) -> None:
    (place / "scans/mr/train/p1/notes.txt").write_text("x")
    done = run("run.toml", "--pack", "new/mr.pack")
    assert done.exception is None, done.output
    assert "train: 1 scan of 1 patient in scans/mr" in done.output
    assert "not used: 1 x not an image file (notes.txt)" in done.output
    assert "patients in both train and val: 1" in done.output
    assert (place / "new/mr.pack").stat().st_size > 1000
    precious = place / "scan.nii.gz"
    precious.write_text("mine")
    assert "exists already" in refused("run.toml", "--pack", "scan.nii.gz")
    assert precious.read_text() == "mine"


def test_a_failed_pack_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack, "_compressed", full)
    assert "mr.pack: cannot be written: the disk is full" in refused("run.toml", "--pack", "mr.pack")
    assert not list(place.glob("*.pack*")) + list(place.glob(".*"))


@pytest.mark.parametrize("resume", [False, True])
def test_the_folder_of_the_run_is_looked_at_first(
    place: Path, resume: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before noise bases are made for an hour."""
    pytest.importorskip("tensorflow", reason="tensorflow is not installed (extra train)")
    text = CONFIG.replace('"mr"', '"ct"').replace("0.01, 0.2", "8.0, 250.0")
    (place / "run.toml").write_text(text)
    monkeypatch.setattr(ct_cache, "prepare", lambda *_: pytest.fail("too early"))
    if resume:
        assert "no checkpoint to resume from" in refused("run.toml", "--resume")
    else:
        (place / "runs/mine").mkdir(parents=True)
        (place / "runs/mine/checkpoint.npz").write_bytes(b"x")
        assert "there already. Use --resume" in refused("run.toml")


def test_missing_data_is_told_before_tensorflow_starts(place: Path) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed (extra train)")
    (place / "run.toml").write_text(CONFIG.replace('"scans"', '"elsewhere"'))
    assert "elsewhere/mr/train: No training data" in refused("run.toml")


def test_an_unknown_backend_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert "runs on TensorFlow or JAX. Received: KERAS_BACKEND=torch" in refused("run.toml")
