"""The exported graph is the Keras network: same numbers, same weights, any size."""

from __future__ import annotations

import numpy as np
import pytest
from networks import TINY, random_inputs, random_weights, tiny_bundle

from medidiff.engines import EngineSettings, create
from medidiff.engines.openvino import OpenVINOEngine
from medidiff.errors import ModelError
from medidiff.models import UNetConfig
from medidiff.models.export import STORAGES, from_onnx, to_onnx, weight_shapes

pytest.importorskip("onnx", reason="onnx is not installed")


def keras_output(model: object, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
    output = model([planes.transpose(0, 2, 3, 1), condition])  # type: ignore[operator]
    return np.moveaxis(np.asarray(output), 3, 1)


@pytest.mark.parametrize(
    "config",
    [TINY, UNetConfig((8, 12), 2, unshuffle=1), UNetConfig((4, 6, 8, 10), 1, unshuffle=4, embedding=16)],
    ids=str,
)
def test_graph_equals_keras(config: UNetConfig) -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    from medidiff.models.export import to_keras

    bundle = tiny_bundle(config)
    engine = OpenVINOEngine(bundle, EngineSettings(1, "float32"))
    model = to_keras(config, bundle.network)
    for n, rows, columns in [(1, 3, 5), (2, 4, 1), (3, 1, 2), (1, 2, 2)]:
        inputs = random_inputs(config, n, rows * config.stride, columns * config.stride)
        expected = keras_output(model, *inputs)
        assert 0.1 < expected.std() < 10
        np.testing.assert_allclose(engine(*inputs), expected, atol=1e-4)


def test_condition_and_both_heads_reach_the_output() -> None:
    """Guards the comparison above: with the initial zeros everything would agree on nothing."""
    engine = OpenVINOEngine(tiny_bundle(), EngineSettings(1, "float32"))
    planes, condition = random_inputs(TINY, 1, 32, 32)
    first, second = engine(planes, condition), engine(planes, condition + 1)
    assert np.abs(first - second).mean(axis=(0, 2, 3)).min() > 0.01


def test_keras_weights_survive_the_file() -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    from medidiff.models.export import load_weights, weights_of
    from medidiff.models.unet import build

    model = build(TINY)
    assert {v.path: tuple(v.shape) for v in model.weights} == weight_shapes(TINY)
    weights = random_weights(TINY, seed=5)
    load_weights(model, weights)
    back = from_onnx(to_onnx(TINY, weights_of(model)))
    assert back.keys() == weights.keys()
    for path in weights:
        np.testing.assert_array_equal(back[path], weights[path])


def test_half_storage_rounds_weights_only() -> None:
    weights = random_weights(TINY)
    full, half = to_onnx(TINY, weights), to_onnx(TINY, weights, storage="float16")
    assert len(half) < 0.65 * len(full)
    back = from_onnx(half)
    rounded = {path: w.astype(np.float16).astype(np.float32) for path, w in weights.items()}
    for path in weights:
        np.testing.assert_array_equal(back[path], rounded[path])
    inputs = random_inputs(TINY, 1, 24, 24)
    settings = EngineSettings(1, "float32")
    np.testing.assert_allclose(
        OpenVINOEngine(tiny_bundle(network=half), settings)(*inputs),
        OpenVINOEngine(tiny_bundle(network=to_onnx(TINY, rounded)), settings)(*inputs),
        atol=1e-5,
    )


def test_int8_storage_rounds_convolutions_by_output_channel() -> None:
    weights = random_weights(TINY)
    # One loud output channel must not cost the others their precision.
    weights["stem/kernel"][..., 3] *= 50.0
    full, small = to_onnx(TINY, weights), to_onnx(TINY, weights, storage="int8")
    assert len(small) < 0.5 * len(full)
    back = from_onnx(small)
    assert back.keys() == weights.keys()
    for path, w in weights.items():
        if w.ndim != 4:
            np.testing.assert_array_equal(back[path], w.astype(np.float16))
            continue
        step = np.abs(w).max((0, 1, 2)) / 127
        assert (np.abs(back[path] - w).max((0, 1, 2)) <= 0.501 * step).all()
        assert np.abs(back[path] - w).max() > 0


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "tract", "tensorflow"])
def test_every_engine_reads_every_storage(name: str, storage: str) -> None:
    """The file gives what a float32 file of the rounded weights gives."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    network = to_onnx(TINY, random_weights(TINY), storage=storage)
    rounded = to_onnx(TINY, from_onnx(network))
    inputs = random_inputs(TINY, 1, 24, 40)
    one = EngineSettings(1, "float32")
    outputs = [create(name, tiny_bundle(network=n), one)(*inputs) for n in (network, rounded)]
    np.testing.assert_allclose(*outputs, atol=2e-5)


def test_an_unknown_storage_is_refused() -> None:
    with pytest.raises(ModelError, match="float32, float16, int8. Received: int4"):
        to_onnx(TINY, random_weights(TINY), storage="int4")


def test_export_is_reproducible() -> None:
    weights = random_weights(TINY)
    assert to_onnx(TINY, weights) == to_onnx(TINY, dict(reversed(weights.items())))


@pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
def test_weights_of_another_network_are_refused(damage: str) -> None:
    weights = random_weights(TINY)
    if damage == "missing":
        del weights["head/bias"]
    elif damage == "extra":
        weights["tail/bias"] = np.zeros(3, np.float32)
    else:
        weights["head/bias"] = np.zeros(3, np.float32)
    with pytest.raises(ModelError, match=r"head/bias|tail/bias"):
        to_onnx(TINY, weights)


def test_garbage_is_no_network() -> None:
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        from_onnx(b"\x00garbage\xff" * 9)
