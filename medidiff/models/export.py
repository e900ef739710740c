"""Export: Keras weights to a lean ONNX graph and back.

The graph is written node by node in NCHW rather than traced: Keras's own export wraps layers in
transposes and runs at half the speed. Initialisers carry the Keras variable paths, so one file feeds every
engine and is also where Keras loads its weights from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import EngineError, ModelError
from medidiff.models.config import UNetConfig

OPSET = 17
"""ONNX operator set (2022): read by every engine that medidiff supports."""

IR_VERSION = 8
"""ONNX file format that goes with the operator set."""

STORAGES = ("float32", "float16", "int8")
"""Ways in which weights lie in the file."""

Weights = Mapping[str, NDArray[Any]]
"""Keras variable path to array, in Keras layout (convolution: height, width, in, out)."""


def weights_of(model: Any) -> dict[str, NDArray[np.float32]]:
    """Weights of a Keras model by variable path, float32 in Keras layout."""
    return {v.path: np.asarray(v, dtype=np.float32) for v in model.weights}


def to_onnx(config: UNetConfig, weights: Weights, *, storage: str = "float32") -> bytes:
    """Writes the U-Net of `medidiff.models.unet` as ONNX.

    Args:
        config: shape of the network.
        weights: as `weights_of` returns them.
        storage: how weights lie in the file, a member of `STORAGES`; arithmetic stays float32.
            ``"float16"`` has a Cast behind each (half the size, rounded to 11 bits); ``"int8"`` holds the
            convolutions as 8-bit integers with a scale for each output channel (a quarter of the size) and
            the rest as float16: engines that meet an 8-bit dense layer quantise its *inputs* too.

    Returns:
        The ONNX file: ``planes [n, 4, h, w]`` and ``condition [n, K]`` to ``output [n, 2, h, w]``, all
        float32; n, h and w are dynamic, h and w multiples of ``config.stride``.

    Raises:
        EngineError: the package `onnx` is not installed.
        ModelError: `weights` do not belong to a network of this shape, or there is no such storage.
    """
    if storage not in STORAGES:
        raise ModelError(f"Weights are stored as {', '.join(STORAGES)}", received=storage)
    onnx = _onnx()
    graph = _Graph(onnx, weights, storage)
    output = _unet(graph, config)
    if left := sorted(set(weights) - graph.used):
        raise ModelError("The weights do not fit the network's shape", received=f"unknown {left[0]}")
    graph.node("Identity", [output], output="output")
    info, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    proto = onnx.helper.make_graph(
        graph.nodes,
        "unet",
        [
            info("planes", float32, ["n", config.planes, "h", "w"]),
            info("condition", float32, ["n", config.condition]),
        ],
        [info("output", float32, ["n", 2, "h", "w"])],
        graph.initializers,
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        proto, opset_imports=opset, ir_version=IR_VERSION, producer_name="medidiff"
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def from_onnx(network: bytes) -> dict[str, NDArray[np.float32]]:
    """Weights in a file of `to_onnx`, in Keras layout.

    Raises:
        EngineError: the package `onnx` is not installed.
        ModelError: the bytes are no ONNX file.
    """
    onnx = _onnx()
    try:
        graph = onnx.load_model_from_string(network).graph
    except Exception as error:  # protobuf raises its own DecodeError, a class without a public home
        raise ModelError("The network is not a readable ONNX file", hint=f"({error})") from error
    arrays = {t.name: onnx.numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer}
    weights = {}
    for name, array in arrays.items():
        path = name.removesuffix(".half").removesuffix(".int8")
        if "/" not in path or path.endswith(".scale"):
            continue
        if name.endswith(".int8"):
            scale = arrays[f"{path}.scale"]
            array = array * scale[:, None, None, None]
        weights[path] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return weights


def weight_shapes(config: UNetConfig) -> dict[str, tuple[int, ...]]:
    """Keras variable paths and shapes of a network of this shape, without building it."""
    shapes = _Shapes()
    _unet(shapes, config)
    return shapes.shapes


def load_weights(model: Any, weights: Weights) -> None:
    """Assigns weights to the variables of a Keras model by path.

    Raises:
        ModelError: a variable is missing, left over or of another shape.
    """
    variables = {v.path: v for v in model.weights}
    if different := sorted(set(variables) ^ set(weights)):
        raise ModelError("The weights do not fit the network's shape", received=f"unmatched {different[0]}")
    for path, variable in variables.items():
        _check(path, weights[path], tuple(variable.shape))
        variable.assign(weights[path])


def to_keras(config: UNetConfig, network: bytes) -> Any:
    """The Keras model with the weights of an ONNX file (inverse of export).

    Raises:
        ModelError: the file does not hold a network of this shape.
    """
    from medidiff.models.unet import build

    model = build(config)
    load_weights(model, from_onnx(network))
    return model


def _unet(g: _Graph, config: UNetConfig) -> str:
    """Emits the nodes of the network, in the order of `medidiff.models.unet.build`."""
    c, last = config.channels, len(config.channels) - 1
    e = g.silu(g.dense("condition", "embed1", config.condition, config.embedding))
    e = g.silu(g.dense(e, "embed2", config.embedding, config.embedding))

    def residual(x: str, width: int, name: str) -> str:
        y = g.conv(g.silu(x), f"{name}_conv1", width, width, 3)
        y = g.film(y, g.dense(e, f"{name}_film/dense", config.embedding, 2 * width), width)
        y = g.conv(g.silu(y), f"{name}_conv2", width, width, 3)
        return g.node("Add", [x, y])

    x = "planes"
    if config.unshuffle > 1:
        x = g.node("SpaceToDepth", [x], blocksize=config.unshuffle)
    x = g.conv(x, "stem", config.planes * config.unshuffle**2, c[0], 3)
    skips = []
    for level in range(last):
        for i in range(config.blocks):
            x = residual(x, c[level], f"enc{level}_{i}")
        skips.append(x)
        x = g.conv(x, f"down{level}", c[level], c[level + 1], 2, stride=2)
    for i in range(config.blocks):
        x = residual(x, c[last], f"mid_{i}")
    for level in reversed(range(last)):
        x = g.conv(x, f"up{level}", c[level + 1], c[level], 1)
        x = g.node("Add", [g.nearest(x), skips[level]])
        for i in range(config.blocks):
            x = residual(x, c[level], f"dec{level}_{i}")
    x = g.conv(g.silu(x), "head", c[0], 2 * config.unshuffle**2, 3)
    if config.unshuffle > 1:
        x = g.node("DepthToSpace", [x], blocksize=config.unshuffle, mode="DCR")
    return x


class _Graph:
    """Nodes and initialisers under construction; methods return the name of the tensor they add."""

    def __init__(self, onnx: Any, weights: Weights, storage: str) -> None:
        self.onnx, self.weights, self.storage = onnx, weights, storage
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.used: set[str] = set()
        self._constants: set[str] = set()
        self._names: Iterator[str] = (f"t{i}" for i in range(1_000_000))

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        output = output or next(self._names)
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._constants:
            self._constants.add(name)
            self.initializers.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def weight(self, path: str, shape: tuple[int, ...]) -> str:
        if path not in self.weights:
            raise ModelError("The weights do not fit the network's shape", received=f"no {path}")
        array = _check(path, self.weights[path], shape).astype(np.float32)
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
        kernel = self.weight(f"{name}/kernel", (size, size, inputs, outputs))
        bias = self.weight(f"{name}/bias", (outputs,))
        pad = (size - 1) // 2 if stride == 1 else 0
        return self.node(
            "Conv", [x, kernel, bias], kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4
        )

    def dense(self, x: str, name: str, inputs: int, outputs: int) -> str:
        kernel = self.weight(f"{name}/kernel", (inputs, outputs))
        return self.node("Gemm", [x, kernel, self.weight(f"{name}/bias", (outputs,))])

    def silu(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def film(self, x: str, both: str, channels: int) -> str:
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
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )  # fmt: skip


class _Shapes(_Graph):
    """Walks the network and only notes which weights it asks for."""

    def __init__(self) -> None:
        super().__init__(None, {}, "float32")
        self.shapes: dict[str, tuple[int, ...]] = {}

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        return ""

    def constant(self, name: str, value: NDArray[Any]) -> str:
        return name

    def weight(self, path: str, shape: tuple[int, ...]) -> str:
        self.shapes[path] = shape
        return path


def quantised(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A kernel ``[out, in, h, w]`` as integers from -127 to 127 and the scale of each output channel."""
    largest = np.abs(kernel).max(axis=(1, 2, 3))
    scale = np.asarray(np.maximum(largest, 1e-12) / 127.0, np.float32)
    return np.rint(kernel / scale[:, None, None, None]).astype(np.int8), scale


def _check(path: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, if it has that shape."""
    if array.shape != shape:
        raise ModelError(f"The weight {path} must have shape {shape}", received=array.shape)
    return array


def _onnx() -> Any:
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
