"""TensorFlow Lite: the network as one flat file for devices without Python, for pictures of one size."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from medidiff.errors import EngineError, UsageError
from medidiff.models.config import UNetConfig

SIZE = (512, 512)
"""Height and width where none is given: a CT slice."""


def to_tflite(config: UNetConfig, network: bytes, size: tuple[int, int] = SIZE) -> bytes:
    """Converts a network to TensorFlow Lite (LiteRT).

    Args:
        config: shape of the network.
        network: its ONNX file, see `medidiff.models.export.to_onnx`.
        size: height and width that the file is for. The format runs other sizes only with operators that
            its plain interpreter lacks.

    Returns:
        The file: ``planes [1, h, w, c]`` (channels last, as in Keras) and ``condition [1, K]`` to
        ``output [1, h, w, 2]``, float32, as signature ``serving_default``.

    Raises:
        UsageError: the size is no multiple of the network's stride.
        EngineError: TensorFlow or onnx is absent, or Keras runs on another backend.
        ModelError: the file does not hold a network of this shape.
    """
    height, width = size
    if min(size) < 1 or height % config.stride or width % config.stride:
        raise UsageError(
            f"Height and width must be positive multiples of {config.stride}",
            received=f"{height},{width}",
            hint=f"Pad the picture, for example to {_padded(height, config)},{_padded(width, config)}.",
        )
    tf = _tensorflow()
    from medidiff.models.export import to_keras

    model = to_keras(config, network)
    planes = tf.TensorSpec([1, height, width, config.planes], name="planes")
    condition = tf.TensorSpec([1, config.condition], name="condition")

    # The weights go in as constants: variables would be read by the interpreter before they are set.
    weights = [tf.constant(v.numpy()) for v in model.trainable_variables]

    @tf.function(input_signature=[planes, condition])  # type: ignore[untyped-decorator]
    def serve(planes: Any, condition: Any) -> dict[str, Any]:
        output, _ = model.stateless_call(weights, [], [planes, condition], training=False)
        return {"output": output}

    module = tf.Module()
    module.serve = serve  # without an owner the function would have no signature
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    with contextlib.redirect_stdout(io.StringIO()):  # the converter prints progress; stdout is for paths
        return bytes(converter.convert())


def _padded(length: int, config: UNetConfig) -> int:
    return max(config.stride, -(-length // config.stride) * config.stride)


def _tensorflow() -> Any:
    """TensorFlow, or one sentence about its absence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
        import tensorflow
    except ImportError as error:
        raise EngineError(
            "Writing TensorFlow Lite needs TensorFlow, which is not installed",
            hint="Run: pip install 'medidiff[train]'",
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise EngineError(
            "Keras does not run on TensorFlow",
            received=f"KERAS_BACKEND={keras.backend.backend()}",
            hint="Unset KERAS_BACKEND or set it to tensorflow.",
        )
    return tensorflow
