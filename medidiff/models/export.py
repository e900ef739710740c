"""Export: Keras weights to a lean ONNX graph and back.

The graph is written node by node in NCHW rather than traced: Keras's own export wraps layers in
transposes and runs at half the speed. Initialisers carry the Keras variable paths, so one file feeds every
engine and is also where Keras loads its weights from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import ModelError
from medidiff.models.config import UNetConfig
from medidiff.models.graph import STORAGES, Graph, Shapes, Weights, checked, import_onnx

OPSET = 17
"""ONNX operator set (2022): read by every engine that medidiff supports."""

IR_VERSION = 8
"""ONNX file format that goes with the operator set."""


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
    onnx = import_onnx()
    graph = Graph(onnx, weights, storage)
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
    onnx = import_onnx()
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
    shapes = Shapes()
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
        checked(path, weights[path], tuple(variable.shape))
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


def _unet(g: Graph, config: UNetConfig) -> str:
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
