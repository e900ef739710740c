"""Tract (Sonos): a small engine in Rust, float32 on one thread."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.engines.base import EngineInfo, EngineSettings, check_inputs, choose_precision, library, no_gpu
from medidiff.errors import EngineError
from medidiff.models.bundle import Bundle
from medidiff.volume import FloatArray

NAME = "tract"

SHAPES = 4
"""Graphs kept, one a shape: with symbolic axes Tract runs about three times slower, and loading is quick."""


class TractEngine:
    """Runs a bundle with Tract.

    Args:
        bundle: the model.
        settings: precision; Tract always uses one thread.

    Raises:
        EngineError: Tract is absent.
    """

    name = NAME
    device = "CPU, one thread"

    def __init__(self, bundle: Bundle, settings: EngineSettings | None = None) -> None:
        tract = library(NAME, "tract")
        settings = settings or EngineSettings()
        if settings.device == "gpu":
            raise no_gpu(NAME, "it is used on the CPU alone")
        self._tract = tract
        self._bundle = bundle
        self.precision = choose_precision(NAME, bundle, settings, ("float32",))
        self._runnables: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, planes: NDArray[np.float32], condition: NDArray[np.float32]) -> FloatArray:
        """See `Engine`."""
        planes, condition = check_inputs(planes, condition, self._bundle.config)
        runnable = self._runnables.get(planes.shape)
        if runnable is None:
            runnable = self._runnables[planes.shape] = self._load(planes.shape)
            if len(self._runnables) > SHAPES:
                self._runnables.popitem(last=False)
        self._runnables.move_to_end(planes.shape)
        return np.array(runnable.run([planes, condition])[0].to_numpy(), np.float32)

    def _load(self, shape: tuple[int, ...]) -> Any:
        """The graph for one shape. Tract reads from a path only, so the bytes pass through a file."""
        with tempfile.TemporaryDirectory(prefix="medidiff-") as scratch:
            path = Path(scratch) / "network.onnx"
            path.write_bytes(self._bundle.network)
            try:
                model = self._tract.onnx().load(path)
                model.set_input_fact(0, ",".join(map(str, shape)) + ",f32")
                model.set_input_fact(1, f"{shape[0]},{self._bundle.config.condition},f32")
                model.set_output_fact(0, None)
                return model.into_model().into_runnable()
            except self._tract.TractError as error:
                raise EngineError("Tract cannot read the network", where=self._bundle.folder) from error


def probe() -> EngineInfo:
    """Version for `medidiff doctor`.

    Raises:
        EngineError: Tract is absent or broken.
    """
    tract = library(NAME, "tract")
    return EngineInfo(NAME, str(tract.version()), ("CPU, one thread",), ("float32",))
