"""ONNX Runtime: float32 on any CPU, the second choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medidiff.engines.base import EngineInfo, EngineSettings, check_inputs, choose_precision, missing
from medidiff.errors import EngineError
from medidiff.models.bundle import Bundle
from medidiff.volume import FloatArray

NAME = "onnxruntime"


class ONNXRuntimeEngine:
    """Runs a bundle with ONNX Runtime on the CPU.

    Args:
        bundle: the model.
        settings: threads and precision.

    Raises:
        EngineError: ONNX Runtime is absent or refuses the network.
    """

    name = NAME
    device = "CPU"

    def __init__(self, bundle: Bundle, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        try:
            import onnxruntime
        except ImportError as error:
            raise missing(NAME, "onnx", error) from error
        self._config = bundle.config
        self.precision = choose_precision(NAME, bundle, settings, ("float32",))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if settings.threads is not None:
            options.intra_op_num_threads = settings.threads
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.network, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class but Exception
            raise EngineError("ONNX Runtime cannot read the network", where=bundle.folder) from error

    def __call__(self, planes: NDArray[np.float32], condition: NDArray[np.float32]) -> FloatArray:
        """See `Engine`."""
        planes, condition = check_inputs(planes, condition, self._config)
        (output,) = self._session.run(["output"], {"planes": planes, "condition": condition})
        return np.asarray(output, np.float32)


def probe() -> EngineInfo:
    """Version and devices for `medidiff doctor`.

    Raises:
        EngineError: ONNX Runtime is absent or broken.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing(NAME, "onnx", error) from error
    return EngineInfo(NAME, str(onnxruntime.__version__), ("CPU",), ("float32",))
