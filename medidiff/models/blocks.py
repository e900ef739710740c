"""Blocks of the local U-Net: convolution, FiLM and pixel (un)shuffle, nothing with statistics over space.

`keras.layers` and `keras.ops` only, so that the same file trains on TensorFlow, JAX or PyTorch.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="medidiff")
class PixelUnshuffle(layers.Layer):  # type: ignore[misc]
    """Space to depth: ``[n, h, w, c]`` to ``[n, h/f, w/f, f*f*c]``, channel order (dy, dx, c).

    The order is that of ONNX SpaceToDepth, so that the export is one operator.
    """

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        """Rearranges blocks of pixels into channels."""
        f, c = self.factor, x.shape[-1]
        n, h, w = ops.shape(x)[0], ops.shape(x)[1], ops.shape(x)[2]
        x = ops.reshape(x, (n, h // f, f, w // f, f, c))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h // f, w // f, f * f * c))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Static output shape."""
        n, h, w, c = input_shape
        f = self.factor
        return (n, h and h // f, w and w // f, f * f * c)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="medidiff")
class PixelShuffle(layers.Layer):  # type: ignore[misc]
    """Depth to space, the inverse of `PixelUnshuffle` (ONNX DepthToSpace, mode DCR)."""

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        """Rearranges channels into blocks of pixels."""
        f, c = self.factor, x.shape[-1] // self.factor**2
        n, h, w = ops.shape(x)[0], ops.shape(x)[1], ops.shape(x)[2]
        x = ops.reshape(x, (n, h, w, f, f, c))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h * f, w * f, c))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Static output shape."""
        n, h, w, c = input_shape
        f = self.factor
        return (n, h and h * f, w and w * f, c // f**2)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="medidiff")
class FiLM(layers.Layer):  # type: ignore[misc]
    """Feature-wise linear modulation, x (1 + scale) + shift (Perez et al. 2018).

    One zero-initialised dense layer turns the embedding ``[n, e]`` into scale and shift ``[n, c]``.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.dense = layers.Dense(
            2 * channels, kernel_initializer="zeros", name="dense", dtype=self.dtype_policy
        )

    def build(self, x_shape: Any, embedding_shape: Any) -> None:
        """Creates the weights of the dense layer."""
        self.dense.build(embedding_shape)
        self.built = True

    def call(self, x: Any, embedding: Any) -> Any:
        """Modulates the channels of every pixel alike."""
        both = ops.expand_dims(ops.expand_dims(self.dense(embedding), 1), 1)
        return x * (1.0 + both[..., : self.channels]) + both[..., self.channels :]

    def compute_output_shape(self, x_shape: Any, embedding_shape: Any) -> Any:
        """Same shape as the features."""
        return x_shape

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "channels": self.channels}


def conv(channels: int, size: int, name: str, *, stride: int = 1, zero: bool = False) -> layers.Layer:
    """A convolution; `zero` starts it at zero, so that a residual block begins as the identity."""
    return layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        kernel_initializer="zeros" if zero else "he_normal",
        name=name,
    )


def residual(x: Any, embedding: Any, channels: int, name: str) -> Any:
    """Residual block: SiLU, 3x3, FiLM, SiLU, 3x3, added to its input.

    Args:
        x: features ``[n, h, w, channels]``.
        embedding: ``[n, e]``.
        channels: number of channels, unchanged by the block.
        name: prefix of the layers: ``<name>_conv1``, ``<name>_film``, ``<name>_conv2``.
    """
    h = layers.Activation("silu", name=f"{name}_act1")(x)
    h = conv(channels, 3, f"{name}_conv1")(h)
    h = FiLM(channels, name=f"{name}_film")(h, embedding)
    h = layers.Activation("silu", name=f"{name}_act2")(h)
    h = conv(channels, 3, f"{name}_conv2", zero=True)(h)
    return layers.Add(name=f"{name}_add")([x, h])
