"""DnCNN and RED-CNN in Keras, and the U-Net of medidiff for the processes. All begin as the identity.

``keras.layers`` and ``keras.ops`` only.
"""

from __future__ import annotations

import keras
from keras import layers

from learned.spec import Spec
from medidiff.models.unet import build as build_unet


def build(spec: Spec) -> keras.Model:
    """The network of a spec.

    Returns:
        For a plain network a model from ``[n, h, w, 1]`` to ``[n, h, w, 1]``; else the U-Net from
        ``planes [n, h, w, 5]`` and ``condition`` to ``[n, h, w, 2]``, of which the first plane is used.
    """
    if spec.name == "dncnn":
        return dncnn(spec.width, spec.depth, spec.norm)
    if spec.name == "redcnn":
        return redcnn(spec.width)
    return build_unet(spec.unet)


def dncnn(width: int = 64, depth: int = 17, norm: bool = False) -> keras.Model:
    """DnCNN (Zhang et al. 2017): `depth` 3x3 convolutions that find the noise, which is subtracted.

    Args:
        width: channels.
        depth: convolutions.
        norm: batch normalisation between, as in the paper. Without it (default here) the result at a pixel
            does not depend on other images, and HU keep their level; biases take its place.
    """
    image = keras.Input((None, None, 1), name="image", dtype="float32")
    same = {"padding": "same", "kernel_initializer": "he_normal"}
    x = layers.Conv2D(width, 3, activation="relu", name="conv1", **same)(image)
    for i in range(2, depth):
        x = layers.Conv2D(width, 3, use_bias=not norm, name=f"conv{i}", **same)(x)
        if norm:
            x = layers.BatchNormalization(momentum=0.95, epsilon=1e-4, name=f"norm{i}")(x)
        x = layers.Activation("relu", name=f"relu{i}")(x)
    noise = layers.Conv2D(1, 3, padding="same", name=f"conv{depth}", kernel_initializer="zeros")(x)
    noise = layers.Activation("linear", dtype="float32", name="noise")(noise)
    return keras.Model(image, layers.Subtract(name="output", dtype="float32")([image, noise]), name="dncnn")


def redcnn(width: int = 96, size: int = 5) -> keras.Model:
    """RED-CNN (Chen et al. 2017): five convolutions, five deconvolutions, unpadded, three shortcuts.

    The rectifier after the last shortcut is left out: values here may be negative.

    Args:
        width: channels (96 in the paper).
        size: kernel.
    """
    image = keras.Input((None, None, 1), name="image", dtype="float32")

    def conv(x: object, i: int) -> object:
        start = "he_normal"
        return layers.Conv2D(width, size, activation="relu", name=f"conv{i}", kernel_initializer=start)(x)

    def deconv(x: object, i: int, channels: int, start: str = "he_normal") -> object:
        return layers.Conv2DTranspose(channels, size, name=f"deconv{i}", kernel_initializer=start)(x)

    def relu(x: object, name: str) -> object:
        return layers.Activation("relu", name=name)(x)

    second = conv(conv(image, 1), 2)
    fourth = conv(conv(second, 3), 4)
    x = deconv(conv(fourth, 5), 1, width)
    x = relu(layers.Add(name="shortcut4")([x, fourth]), "relu1")
    x = relu(deconv(x, 2, width), "relu2")
    x = deconv(x, 3, width)
    x = relu(layers.Add(name="shortcut2")([x, second]), "relu3")
    x = relu(deconv(x, 4, width), "relu4")
    x = layers.Activation("linear", dtype="float32", name="change")(deconv(x, 5, 1, "zeros"))
    return keras.Model(image, layers.Add(name="output", dtype="float32")([x, image]), name="redcnn")
