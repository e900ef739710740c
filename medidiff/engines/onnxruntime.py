"""ONNX Runtime: float32 on any CPU, the second choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.engines.base import EngineInfo, EngineSettings, check_inputs, choose_precision, library, no_gpu
from medidiff.errors import EngineError
from medidiff.models.bundle import Bundle
from medidiff.volume import FloatArray

NAME = "onnxruntime"
GPU_PROVIDERS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "DmlExecutionProvider")


class ONNXRuntimeEngine:
    """Runs a bundle with ONNX Runtime, on the CPU unless a GPU is asked for.

    Args:
        bundle: the model.
        settings: threads, precision and device.

    Raises:
        EngineError: ONNX Runtime is absent, refuses the network, or has no GPU when one is wanted.
    """

    name = NAME

    def __init__(self, bundle: Bundle, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        onnxruntime = library(NAME, "onnx")
        self._config = bundle.config
        self.precision = choose_precision(NAME, bundle, settings, ("float32",))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if settings.threads is not None:
            options.intra_op_num_threads = settings.threads
        providers = ["CPUExecutionProvider"]
        if settings.device == "gpu":
            providers = [*_gpu_providers(onnxruntime), *providers]
            if len(providers) == 1:
                raise no_gpu(NAME, "this build of it computes on the CPU alone")
        try:
            self._session = onnxruntime.InferenceSession(bundle.network, options, providers=providers)
        except Exception as error:  # its exceptions share no base class but Exception
            raise EngineError("ONNX Runtime cannot read the network", where=bundle.folder) from error
        used = self._session.get_providers()[0]  # it falls back to the CPU without an error
        if settings.device == "gpu" and used == "CPUExecutionProvider":
            raise no_gpu(NAME, "it found no driver or device")
        self.device = _device(used)

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
    onnxruntime = library(NAME, "onnx")
    gpus = tuple(map(_device, _gpu_providers(onnxruntime)))
    return EngineInfo(NAME, str(onnxruntime.__version__), ("CPU", *gpus), ("float32",), gpu=bool(gpus))


def _gpu_providers(onnxruntime: Any) -> list[str]:
    """What this build of ONNX Runtime could use, drivers permitting."""
    return [p for p in GPU_PROVIDERS if p in onnxruntime.get_available_providers()]


def _device(provider: str) -> str:
    return {"CPUExecutionProvider": "CPU"}.get(
        provider, f"GPU ({provider.removesuffix('ExecutionProvider')})"
    )
