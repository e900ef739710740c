"""Exported files, run by the programs that they are for, give what Keras gives."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import TINY, random_inputs, tiny_bundle

from medidiff.errors import EngineError, UsageError
from medidiff.models import Bundle, UNetConfig, save
from medidiff.models.tflite import to_tflite

pytest.importorskip("onnx", reason="onnx is not installed")

Inputs = tuple[np.ndarray, np.ndarray]
SIZES = [(1, 16, 24), (3, 40, 8), (2, 8, 64)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save(tiny_bundle(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def keras_output(bundle: Bundle) -> Callable[[Inputs], np.ndarray]:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from medidiff.models.export import to_keras

    model = to_keras(bundle.config, bundle.network)
    return lambda inputs: np.moveaxis(np.asarray(model([inputs[0].transpose(0, 2, 3, 1), inputs[1]])), 3, 1)


def export(bundle: Bundle, path: Path, *options: str) -> tuple[int, str]:
    """``medidiff models export``: exit code and what it said."""
    from medidiff.cli.main import main

    done = CliRunner().invoke(main, ["models", "export", str(bundle.folder), "-o", str(path), *options])
    return done.exit_code, done.output


def test_the_onnx_file_runs_in_onnxruntime_at_any_size(
    bundle: Bundle, keras_output: Callable[[Inputs], np.ndarray], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert export(bundle, tmp_path / "net.onnx")[0] == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["n", 4, "h", "w"]
    for n, h, w in SIZES:
        inputs = random_inputs(TINY, n, h, w)
        (output,) = session.run(["output"], dict(zip(("planes", "condition"), inputs, strict=True)))
        np.testing.assert_allclose(output, keras_output(inputs), atol=1e-4)


def test_the_openvino_file_runs_in_openvino_at_any_size(
    bundle: Bundle, keras_output: Callable[[Inputs], np.ndarray], tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    assert export(bundle, tmp_path / "net.xml", "--format", "openvino")[0] == 0
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(tmp_path / "net.xml"), "CPU", options)
    assert compiled.input("planes").partial_shape.is_dynamic
    for n, h, w in SIZES:
        inputs = random_inputs(TINY, n, h, w)
        np.testing.assert_allclose(compiled(inputs)[0], keras_output(inputs), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("config", [TINY, UNetConfig((8, 12), 2, unshuffle=1)], ids=str)
def test_the_tflite_file_runs_in_the_interpreter_of_tensorflow(config: UNetConfig, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    from medidiff.models.export import to_keras

    model = save(tiny_bundle(config), tmp_path / "tiny")
    code, said = export(model, tmp_path / "net.tflite", "--format", "tflite", "--size", "24,40")
    assert code == 0, said
    assert said.strip().splitlines()[-1] == str(tmp_path / "net.tflite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interpreter moves to another package
        interpreter = tf.lite.Interpreter(str(tmp_path / "net.tflite"))
    run = interpreter.get_signature_runner("serving_default")
    planes, condition = random_inputs(config, 1, 24, 40)
    planes = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    expected = np.asarray(to_keras(config, model.network)([planes, condition]))
    output = run(planes=planes, condition=condition)["output"]
    assert 0.1 < expected.std() < 10
    np.testing.assert_allclose(output, expected, atol=1e-4)
    # The size is fixed: another one is refused by the interpreter, not answered wrongly.
    with pytest.raises((ValueError, RuntimeError)):
        run(planes=planes[:, :16], condition=condition)


def test_a_size_that_does_not_fit_the_network_names_one_that_does() -> None:
    with pytest.raises(UsageError, match=r"multiples of 8. Received: 100,64. Pad .* 104,64"):
        to_tflite(TINY, b"", (100, 64))


def test_without_tensorflow_one_sentence_says_what_to_install(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EngineError, match=r"needs TensorFlow.*pip install 'medidiff\[train\]'") as caught:
        to_tflite(TINY, bundle.network, (16, 16))
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--format", "tflite", "-o", "net.onnx"), "ends in .tflite"),
        (("--format", "onnx", "-o", "net.onnx", "--size", "64,64"), "Leave out --size"),
        (("--format", "tflite", "-o", "net.tflite", "--size", "64"), "height and width"),
        (("--format", "tflite", "-o", "net.tflite", "--size", "0,64"), "height and width"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(bundle: Bundle, options: tuple[str, ...], says: str) -> None:
    import click

    from medidiff.cli.main import main

    with pytest.raises((UsageError, click.UsageError), match=says):
        main.main(["models", "export", str(bundle.folder), *options], standalone_mode=False)
