"""The strictly local U-Net: a pixel depends on its receptive field alone.

No normalisation over space and no attention, so that training patches and whole slices see the same
function, values do not depend on what else is in the picture, and a tile with a halo of the receptive
field equals the whole slice.
"""

from __future__ import annotations

import keras
from keras import layers

from medidiff.models.blocks import PixelShuffle, PixelUnshuffle, conv, residual
from medidiff.models.config import UNetConfig

OUTPUTS = 2
"""Output planes: F (mean, to be preconditioned) and h (log-variance)."""


def build(config: UNetConfig) -> keras.Model:
    """Builds the network.

    Args:
        config: shape of the network.

    Returns:
        A model from ``planes [n, h, w, 4]`` and ``condition [n, K]`` to float32 ``[n, h, w, 2]``: F
        (Karras et al. 2022, eq. 7) and h, the log of the variance over c_out squared (`Precondition`).
        Height and width must be multiples of ``config.stride``.
    """
    planes = keras.Input((None, None, config.planes), name="planes", dtype="float32")
    condition = keras.Input((config.condition,), name="condition", dtype="float32")

    # Conditioning branch.
    e = layers.Dense(config.embedding, activation="silu", name="embed1")(condition)
    e = layers.Dense(config.embedding, activation="silu", name="embed2")(e)

    # Encoder.
    x = PixelUnshuffle(config.unshuffle, name="unshuffle")(planes)
    x = conv(config.channels[0], 3, "stem")(x)
    skips = []
    for level, width in enumerate(config.channels[:-1]):
        for i in range(config.blocks):
            x = residual(x, e, width, f"enc{level}_{i}")
        skips.append(x)
        x = conv(config.channels[level + 1], 2, f"down{level}", stride=2)(x)

    # Coarsest level.
    for i in range(config.blocks):
        x = residual(x, e, config.channels[-1], f"mid_{i}")

    # Decoder.
    for level in reversed(range(len(config.channels) - 1)):
        width = config.channels[level]
        x = conv(width, 1, f"up{level}")(x)
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"nearest{level}")(x)
        x = layers.Add(name=f"merge{level}")([x, skips[level]])
        for i in range(config.blocks):
            x = residual(x, e, width, f"dec{level}_{i}")

    # Heads.
    x = layers.Activation("silu", name="head_act")(x)
    x = conv(OUTPUTS * config.unshuffle**2, 3, "head", zero=True)(x)
    x = PixelShuffle(config.unshuffle, name="shuffle")(x)
    x = layers.Activation("linear", dtype="float32", name="output")(x)
    return keras.Model([planes, condition], x, name="unet")
