"""The network is strictly local: a tile with the halo of its receptive field equals the whole slice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from networks import TINY, random_inputs, tiny_bundle

from medidiff.engines import EngineSettings, create

SIZE, TILE = 192, 16
START = 88
"""A tile in the middle, aligned to the stride of 8."""

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture(scope="module", params=["tensorflow", "openvino"])
def run(request: pytest.FixtureRequest) -> Run:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return create(request.param, tiny_bundle(), EngineSettings(1, "float32"))


@pytest.fixture(scope="module")
def inputs() -> tuple[np.ndarray, np.ndarray]:
    return random_inputs(TINY, 1, SIZE, SIZE)


def tile_from_crop(run: Run, inputs: tuple[np.ndarray, np.ndarray], halo: int) -> np.ndarray:
    """The tile computed from a crop with that halo only."""
    window = slice(START - halo, START + TILE + halo)
    crop = run(np.ascontiguousarray(inputs[0][:, :, window, window]), inputs[1])
    return crop[:, :, halo : halo + TILE, halo : halo + TILE]


def tile_from_whole(run: Run, inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return run(*inputs)[:, :, START : START + TILE, START : START + TILE]


def test_tile_with_halo_equals_whole_slice(run: Run, inputs: tuple[np.ndarray, np.ndarray]) -> None:
    expected = tile_from_whole(run, inputs)
    np.testing.assert_allclose(tile_from_crop(run, inputs, TINY.halo), expected, atol=2e-5)


def test_smaller_halo_does_not(run: Run, inputs: tuple[np.ndarray, np.ndarray]) -> None:
    """So that the test above can fail: half the halo leaves an error far above float tolerance."""
    expected = tile_from_whole(run, inputs)
    short = TINY.halo // 2 // TINY.stride * TINY.stride
    assert np.abs(tile_from_crop(run, inputs, short) - expected).max() > 1e-3


def test_receptive_field_is_within_the_halo_and_nearly_fills_it(run: Run) -> None:
    """Pixels outside the halo have exactly no influence; the outermost influence is close to its edge."""
    planes, condition = random_inputs(TINY, 1, SIZE, SIZE)
    before = run(planes, condition)[:, :, START : START + TILE, START : START + TILE]

    def influence(distance: int) -> float:
        """Largest change of the tile when everything at least `distance` pixels away changes."""
        changed = 50.0 * np.random.default_rng(7).standard_normal(planes.shape, dtype=np.float32)
        inner = slice(START - distance, START + TILE + distance)
        changed[:, :, inner, inner] = planes[:, :, inner, inner]
        after = run(changed, condition)[:, :, START : START + TILE, START : START + TILE]
        return float(np.abs(after - before).max())

    assert influence(TINY.halo) == 0.0
    assert influence(TINY.halo - 3 * TINY.stride) > 0.0


JAX = """
import sys
import numpy as np
from medidiff.models import load
from medidiff.models.export import to_keras
import keras
assert keras.backend.backend() == "jax"
bundle = load(sys.argv[1])
data = np.load(sys.argv[2])
model = to_keras(bundle.config, bundle.network)
np.save(sys.argv[3], np.asarray(model([data["planes"].transpose(0, 2, 3, 1), data["condition"]])))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_tensorflow_and_jax_backends_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medidiff.models import save

    bundle = save(tiny_bundle(), tmp_path / "tiny")
    planes, condition = random_inputs(TINY, 2, 40, 32)
    np.savez(tmp_path / "in.npz", planes=planes, condition=condition)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    arguments = [str(tmp_path / name) for name in ("tiny", "in.npz", "out.npy")]
    done = subprocess.run(
        [sys.executable, "-c", JAX, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = create("tensorflow", bundle, EngineSettings(1))(planes, condition)
    np.testing.assert_allclose(np.moveaxis(np.load(tmp_path / "out.npy"), 3, 1), expected, atol=1e-5)
