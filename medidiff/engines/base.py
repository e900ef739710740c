"""Engine: what runs the network. One small protocol, one file an engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import EngineError, UsageError
from medidiff.models.bundle import Bundle
from medidiff.models.config import UNetConfig
from medidiff.volume import FloatArray

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")
PHONES, NO_PHONE = "openvino_telemetry", "ORT_DISABLE_TELEMETRY"
"""A package of OpenVINO that reports its use, and the variable that has ONNX Runtime not report its own."""

_LOADING = Lock()
"""Held while both are changed: of two threads the second would give back what the first had put there."""


class Engine(Protocol):
    """Runs the network of one bundle. An instance serves one thread at a time."""

    @property
    def name(self) -> str:
        """Short name, e.g. ``"openvino"``."""

    @property
    def device(self) -> str:
        """The device in words."""

    @property
    def precision(self) -> str:
        """``"float32"`` or ``"bfloat16"``: what the arithmetic really is."""

    def __call__(self, planes: NDArray[np.float32], condition: NDArray[np.float32]) -> FloatArray:
        """F and h of a batch of slices.

        Args:
            planes: float32 ``[n, 4, h, w]``, h and w multiples of the network's stride.
            condition: float32 ``[n, K]``.

        Returns:
            float32 ``[n, 2, h, w]``, a fresh array.
        """


@dataclass(frozen=True)
class EngineSettings:
    """What a user may choose about an engine.

    Attributes:
        threads: number of CPU threads; None leaves it to the engine (all cores).
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the CPU has it and the bundle
            says it was measured to be good enough, else float32.
        device: ``"cpu"``, ``"gpu"``, or ``"auto"``: the one that the engine is at home on, the CPU for all
            but TensorFlow, which takes a GPU where it sees one.
    """

    threads: int | None = None
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise UsageError("The number of threads must be at least 1", received=self.threads)
        if self.precision not in PRECISIONS:
            raise UsageError(f"The precision is one of {', '.join(PRECISIONS)}", received=self.precision)
        if self.device not in DEVICES:
            raise UsageError(f"The device is one of {', '.join(DEVICES)}", received=self.device)


@dataclass(frozen=True)
class EngineInfo:
    """What `medidiff doctor` says about an engine.

    Attributes:
        name: short name.
        version: version of its library, None if it is missing.
        devices: device names, as the library gives them.
        gpu: True where one of them is a GPU that the engine can use.
        precisions: arithmetic that it can do here.
        missing: why it cannot be used, one sentence; None if it can.
    """

    name: str
    version: str | None = None
    devices: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    missing: str | None = None
    gpu: bool = False


def no_gpu(name: str, why: str) -> EngineError:
    """One sentence about an engine that was asked for a GPU and has none."""
    return EngineError(f"The engine {name} has no GPU: {why}", hint="Use --device cpu or auto.")


def choose_precision(name: str, bundle: Bundle, settings: EngineSettings, capable: tuple[str, ...]) -> str:
    """The arithmetic to use.

    Args:
        name: the engine.
        bundle: says what was measured to be good enough on this engine.
        settings: the user's choice.
        capable: what engine and CPU can do.

    Raises:
        EngineError: the user insists on an arithmetic that is not there.
    """
    if settings.precision == "auto":
        wanted = bundle.precision.get(name, "float32")
        return wanted if wanted in capable else "float32"
    if settings.precision not in capable:
        raise EngineError(
            f"The engine {name} cannot compute in {settings.precision} on this machine",
            hint="Use precision auto.",
        )
    return settings.precision


def check_inputs(
    planes: NDArray[np.float32], condition: NDArray[np.float32], config: UNetConfig
) -> tuple[FloatArray, FloatArray]:
    """Inputs as contiguous float32, or a ValueError about their shape (a mistake of the caller)."""
    n, c, h, w = planes.shape
    if c != config.planes or condition.shape != (n, config.condition):
        raise ValueError(
            f"planes must be [n, {config.planes}, h, w] and condition [n, {config.condition}]. "
            f"Received: {planes.shape} and {condition.shape}"
        )
    if h % config.stride or w % config.stride or not planes.size:
        raise ValueError(f"h and w must be positive multiples of {config.stride}. Received: {h} x {w}")
    return np.ascontiguousarray(planes, np.float32), np.ascontiguousarray(condition, np.float32)


def library(name: str, extra: str | None) -> Any:
    """The library of an engine, called like it.

    Raises:
        EngineError: it is absent or does not load, for whatever reason.
    """
    try:
        with _LOADING, _unreported():
            return import_module(name)
    except Exception as error:  # a broken build raises anything: OSError, AttributeError, SystemError
        raise missing(name, extra, error) from error


@contextmanager
def _unreported() -> Iterator[None]:
    """Keeps libraries that are imported from sending word of it to their makers, which some do unasked.

    OpenVINO does so through a package that it can do without (``openvino/tools/ovc/telemetry_utils.py``),
    ONNX Runtime unless a variable is set. Both leave an identifier in the home folder. No network is used
    that the user did not start.
    """
    found, told = sys.modules.get(PHONES), os.environ.get(NO_PHONE)
    sys.modules[PHONES] = None  # type: ignore[assignment]  # the import system's word for "not there"
    os.environ[NO_PHONE] = "1"
    try:
        yield
    finally:
        del sys.modules[PHONES]
        if found is not None:
            sys.modules[PHONES] = found
        if told is None:
            del os.environ[NO_PHONE]
        else:
            os.environ[NO_PHONE] = told


def missing(name: str, extra: str | None, error: Exception) -> EngineError:
    """One sentence about an engine whose library is absent or broken."""
    package = f"medidiff[{extra}]" if extra else "medidiff"
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return EngineError(f"The engine {name} is not installed", hint=f"Run: pip install '{package}'")
    return EngineError(
        f"The engine {name} is installed but does not load",
        received=str(error).splitlines()[0] if str(error) else repr(error),
        hint=f"Run: pip install --force-reinstall '{package}'",
    )
