"""Graph: nodes and weights of an ONNX file under construction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import EngineError, ModelError

STORAGES = ("float32", "float16", "int8")
"""Ways in which weights lie in the file."""

Weights = Mapping[str, NDArray[Any]]
"""Keras variable path to array, in Keras layout (convolution: height, width, in, out)."""


class Graph:
    """Nodes and initialisers under construction; methods return the name of the tensor they add."""

    def __init__(self, onnx: Any, weights: Weights, storage: str) -> None:
        self.onnx, self.weights, self.storage = onnx, weights, storage
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.used: set[str] = set()
        self._constants: set[str] = set()
        self._names: Iterator[str] = (f"t{i}" for i in range(1_000_000))

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Adds an operator."""
        output = output or next(self._names)
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Adds an array, once for each name."""
        if name not in self._constants:
            self._constants.add(name)
            self.initializers.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def weight(self, path: str, shape: tuple[int, ...]) -> str:
        """Adds a weight as it is stored.

        Raises:
            ModelError: there is none of that path and shape.
        """
        if path not in self.weights:
            raise ModelError("The weights do not fit the network's shape", received=f"no {path}")
        array = checked(path, self.weights[path], shape).astype(np.float32)
        self.used.add(path)
        if array.ndim == 4:
            array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
        if self.storage == "int8" and array.ndim == 4:
            integers, scale = quantised(array)
            stored = self.constant(f"{path}.int8", integers)
            inputs = [stored, self.constant(f"{path}.scale", scale)]
            return self.node("DequantizeLinear", inputs, output=path, axis=0)
        if self.storage == "float32":
            return self.constant(path, array)
        stored = self.constant(f"{path}.half", array.astype(np.float16))
        return self.node("Cast", [stored], output=path, to=self.onnx.TensorProto.FLOAT)

    def conv(self, x: str, name: str, inputs: int, outputs: int, size: int, *, stride: int = 1) -> str:
        """A convolution with its bias."""
        kernel = self.weight(f"{name}/kernel", (size, size, inputs, outputs))
        bias = self.weight(f"{name}/bias", (outputs,))
        pad = (size - 1) // 2 if stride == 1 else 0
        return self.node(
            "Conv", [x, kernel, bias], kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4
        )

    def dense(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """A dense layer."""
        kernel = self.weight(f"{name}/kernel", (inputs, outputs))
        return self.node("Gemm", [x, kernel, self.weight(f"{name}/bias", (outputs,))])

    def silu(self, x: str) -> str:
        """x sigmoid(x)."""
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def film(self, x: str, both: str, channels: int) -> str:
        """x (1 + scale) + shift, `both` in one vector."""
        axes = self.constant("spatial_axes", np.array([2, 3], np.int64))
        both = self.node("Unsqueeze", [both, axes])
        zero = self.constant("begin_0", np.array([0], np.int64))
        middle = self.constant(f"at_{channels}", np.array([channels], np.int64))
        end = self.constant(f"at_{2 * channels}", np.array([2 * channels], np.int64))
        axis = self.constant("channel_axis", np.array([1], np.int64))
        scale = self.node("Slice", [both, zero, middle, axis])
        shift = self.node("Slice", [both, middle, end, axis])
        scale = self.node("Add", [scale, self.constant("one", np.array([1.0], np.float32))])
        return self.node("Add", [self.node("Mul", [x, scale]), shift])

    def nearest(self, x: str) -> str:
        """Twice the size, every pixel four times."""
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )  # fmt: skip


class Shapes(Graph):
    """Walks the network and only notes which weights it asks for."""

    def __init__(self) -> None:
        super().__init__(None, {}, "float32")
        self.shapes: dict[str, tuple[int, ...]] = {}

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Nothing."""
        return ""

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Nothing."""
        return name

    def weight(self, path: str, shape: tuple[int, ...]) -> str:
        """Notes the path and shape."""
        self.shapes[path] = shape
        return path


def quantised(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A kernel ``[out, in, h, w]`` as integers from -127 to 127 and the scale of each output channel."""
    largest = np.abs(kernel).max(axis=(1, 2, 3))
    scale = np.asarray(np.maximum(largest, 1e-12) / 127.0, np.float32)
    return np.rint(kernel / scale[:, None, None, None]).astype(np.int8), scale


def checked(path: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, if it has that shape."""
    if array.shape != shape:
        raise ModelError(f"The weight {path} must have shape {shape}", received=array.shape)
    return array


def import_onnx() -> Any:
    """The onnx package, or one sentence about its absence."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise EngineError(
            "Exporting or loading weights needs the package onnx", hint="Run: pip install 'medidiff[train]'"
        ) from error
    return onnx
