"""OpenVINO: the default engine, fastest on CPU and quick to load."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.engines.base import (
    EngineInfo,
    EngineSettings,
    check_inputs,
    choose_precision,
    library,
    missing,
    no_gpu,
)
from medidiff.errors import EngineError
from medidiff.models.bundle import Bundle
from medidiff.volume import FloatArray

NAME = "openvino"
_HINT = {"float32": "f32", "bfloat16": "bf16"}

_STARTING = Lock()
"""Held while the runtime starts: two threads that both want the first one get the same."""

STATIC_SHAPES = 2
"""Shapes that get a graph of their own; further ones share the dynamic graph.

A graph compiled for its shape runs 10-15 % faster; compiling takes half a second, so an endless variety of
shapes must not compile endlessly.
"""


class OpenVINOEngine:
    """Runs a bundle with OpenVINO, on the CPU unless an Intel GPU is asked for.

    Args:
        bundle: the model.
        settings: threads, precision and device.

    Raises:
        EngineError: OpenVINO is absent, refuses the network, or has no GPU when one is wanted.
    """

    name = NAME

    def __init__(self, bundle: Bundle, settings: EngineSettings | None = None) -> None:
        settings = settings or EngineSettings()
        self._core = _core()
        self._config = bundle.config
        self._place = "CPU"
        if settings.device == "gpu":
            self._place = _gpu(self._core)
        self.device = str(self._core.get_property(self._place, "FULL_DEVICE_NAME"))
        capable = _precisions(self._core) if self._place == "CPU" else ("float32",)
        self.precision = choose_precision(NAME, bundle, settings, capable)
        # Without the precision hint OpenVINO silently computes in bfloat16 wherever the CPU can.
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINT[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": "",
        }
        if self._place == "CPU":
            # Pinned threads of two runs on one machine would share a core while others idle.
            self._options["ENABLE_CPU_PINNING"] = False
        if settings.threads is not None and self._place == "CPU":
            self._options["INFERENCE_NUM_THREADS"] = settings.threads
        try:
            self._model = self._core.read_model(bundle.network, b"")
        except RuntimeError as error:
            raise EngineError("OpenVINO cannot read the network", where=bundle.folder) from error
        self._requests: dict[tuple[int, ...] | None, Any] = {}

    def __call__(self, planes: NDArray[np.float32], condition: NDArray[np.float32]) -> FloatArray:
        """See `Engine`."""
        planes, condition = check_inputs(planes, condition, self._config)
        request = self._request(planes.shape)
        request.infer({"planes": planes, "condition": condition}, share_inputs=True)
        return np.array(request.get_output_tensor().data, np.float32)

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The compiled graph for a shape: its own for the first few, the dynamic one for the rest."""
        key: tuple[int, ...] | None = shape
        if shape not in self._requests:
            static = sum(k is not None for k in self._requests)
            key = shape if static < STATIC_SHAPES else None
        if key not in self._requests:
            model = self._model.clone()
            if key is not None:
                model.reshape({"planes": list(key), "condition": [key[0], self._config.condition]})
            try:
                compiled = self._core.compile_model(model, self._place, self._options)
            except RuntimeError as error:
                raise EngineError("OpenVINO cannot compile the network", received=shape) from error
            self._requests[key] = compiled.create_infer_request()
        return self._requests[key]


def probe() -> EngineInfo:
    """Version, device and precisions for `medidiff doctor`.

    Raises:
        EngineError: OpenVINO is absent or broken.
    """
    core = _core()
    import openvino

    version = str(openvino.__version__).split("-")[0]
    places = ["CPU", *(d for d in core.available_devices if d.startswith("GPU"))]
    devices = tuple(str(core.get_property(place, "FULL_DEVICE_NAME")) for place in places)
    return EngineInfo(NAME, version, devices, _precisions(core), gpu=len(places) > 1)


def _gpu(core: Any) -> str:
    """The first GPU that OpenVINO can use.

    Raises:
        EngineError: there is none.
    """
    found = next((d for d in core.available_devices if d.startswith("GPU")), None)
    if found is None:
        raise no_gpu(NAME, "it runs on Intel GPUs alone")
    return str(found)


def _core() -> Any:
    """The OpenVINO runtime."""
    openvino = library(NAME, None)
    try:
        with _STARTING:
            return _runtime(openvino.Core)
    except Exception as error:
        raise missing(NAME, None, error) from error


@cache
def _runtime(core: Callable[[], Any]) -> Any:
    """One runtime for the whole process, which is never given back.

    The CPU plugin of a runtime gives the thread it starts in an alternate signal stack (sigaltstack(2)) and
    frees it with the runtime. Of two runtimes that do not end in reverse order the second then restores the
    freed stack of the first, and the next signal that Python handles (Ctrl-C) ends the process with SIGSEGV.
    """
    return core()


def _precisions(core: Any) -> tuple[str, ...]:
    """What the CPU computes natively; asking for bfloat16 elsewhere would silently give float32."""
    bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if bf16 else ("float32",)
