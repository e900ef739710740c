"""Choosing an engine by name, and saying which are there."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from medidiff.engines.base import Engine, EngineInfo, EngineSettings
from medidiff.errors import EngineError, UsageError
from medidiff.models.bundle import Bundle

ENGINES = {
    "openvino": "OpenVINOEngine",
    "onnxruntime": "ONNXRuntimeEngine",
    "tensorflow": "TensorFlowEngine",
    "tract": "TractEngine",
}
"""Module under `medidiff.engines` and class of each engine."""

AUTO = ("openvino", "onnxruntime", "tensorflow")
"""Order in which ``auto`` looks for an installed engine."""


def create(name: str, bundle: Bundle, settings: EngineSettings | None = None) -> Engine:
    """The engine of that name, ready to run a bundle.

    Args:
        name: a key of `ENGINES`, or ``"auto"`` for the first one installed of `AUTO`.
        bundle: the model.
        settings: threads and precision.

    Raises:
        UsageError: unknown name.
        EngineError: the engine is not installed or does not load.
    """
    if name == "auto":
        failures: list[EngineError] = []
        for candidate in AUTO:
            try:
                return create(candidate, bundle, settings)
            except EngineError as error:
                failures.append(error)
        if settings is not None and settings.device == "gpu":
            why = " ".join(error.sentence for error in failures)
            raise EngineError(
                f"No engine can use a GPU here. {why}", hint="Use --device cpu or auto: the CPU always works."
            )
        raise EngineError("No engine can run the model", hint=" ".join(map(str, failures)))
    if name not in ENGINES:
        close = difflib.get_close_matches(name, [*ENGINES, "auto"], n=1)
        known = f"Known engines: auto, {', '.join(ENGINES)}."
        raise UsageError(
            "There is no such engine",
            received=name,
            hint=f"Did you mean {close[0]}? {known}" if close else known,
        )
    module = importlib.import_module(f"medidiff.engines.{name}")
    return cast(Engine, getattr(module, ENGINES[name])(bundle, settings))


def quick() -> tuple[EngineInfo, ...]:
    """As `available`, without TensorFlow where it would not be used: it takes seconds to start.

    It would be, where nothing else can run the model, or on a GPU, of which most are NVIDIA's.
    """
    found = available([name for name in ENGINES if name != "tensorflow"])
    if sys.platform == "darwin" or Path("/dev/nvidiactl").exists() or all(i.missing for i in found):
        found += available(["tensorflow"])
    return found


def available(names: Iterable[str] = tuple(ENGINES)) -> tuple[EngineInfo, ...]:
    """What engines are here: version, devices and precisions, or the reason why one is missing.

    Args:
        names: the engines to look at; TensorFlow takes seconds.
    """
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(f"medidiff.engines.{name}").probe())
        except EngineError as error:
            found.append(EngineInfo(name, missing=str(error)))
    return tuple(found)
