"""TensorFlow: the reference engine, running the very Keras model that was trained."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.engines.base import EngineInfo, EngineSettings, check_inputs, choose_precision, library, no_gpu
from medidiff.errors import EngineError
from medidiff.models.bundle import Bundle
from medidiff.volume import FloatArray

NAME = "tensorflow"


class TensorFlowEngine:
    """Runs a bundle with Keras on TensorFlow, in float32.

    Args:
        bundle: the model; its weights are read from the ONNX file.
        settings: threads (honoured if TensorFlow has not started yet) and precision.

    Raises:
        EngineError: TensorFlow or onnx is absent, or Keras runs on another backend.
    """

    name = NAME

    def __init__(self, bundle: Bundle, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        self.precision = choose_precision(NAME, bundle, settings, ("float32",))
        tf = _tensorflow()
        if settings.threads is not None:
            with contextlib.suppress(RuntimeError):  # TensorFlow fixes its threads at the first operation
                tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
        if settings.device == "gpu" and "GPU" not in _devices(tf):
            raise no_gpu(NAME, "it sees none: its build or the driver has no CUDA")
        if settings.device == "cpu":
            with contextlib.suppress(RuntimeError):  # as above
                tf.config.set_visible_devices([], "GPU")
        import keras

        if keras.backend.backend() != "tensorflow":
            raise EngineError(
                "Keras does not run on TensorFlow", received=f"KERAS_BACKEND={keras.backend.backend()}",
                hint="Unset KERAS_BACKEND or set it to tensorflow.",
            )  # fmt: skip
        from medidiff.models.export import to_keras

        self._config = bundle.config
        self._model = to_keras(bundle.config, bundle.network)
        gpu = settings.device != "cpu" and "GPU" in _devices(tf)
        self.device = "GPU" if gpu else "CPU"
        shape = [None, None, None, bundle.config.planes]
        signature = [tf.TensorSpec(shape), tf.TensorSpec([None, bundle.config.condition])]
        # One graph for all shapes: retracing for each would cost more than it saves.
        self._run = tf.function(
            lambda planes, condition: self._model([planes, condition], training=False),
            input_signature=signature,
        )

    def __call__(self, planes: NDArray[np.float32], condition: NDArray[np.float32]) -> FloatArray:
        """See `Engine`."""
        planes, condition = check_inputs(planes, condition, self._config)
        output = self._run(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), condition)
        return np.array(np.moveaxis(output.numpy(), 3, 1), np.float32, order="C")


def probe() -> EngineInfo:
    """Version and devices for `medidiff doctor`; imports TensorFlow, which takes seconds.

    Raises:
        EngineError: TensorFlow is absent or broken.
    """
    tf = _tensorflow()
    devices = _devices(tf)
    return EngineInfo(NAME, str(tf.__version__), devices, ("float32",), gpu="GPU" in devices)


def _tensorflow() -> Any:
    """The TensorFlow package, without its start-up chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return library(NAME, "train")


def _devices(tf: Any) -> tuple[str, ...]:
    """Kinds of device that TensorFlow sees: CPU, GPU."""
    return tuple(sorted({d.device_type for d in tf.config.list_physical_devices()} & {"CPU", "GPU"}))
