"""Start: the weights that a run begins with, those of a model or random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from medidiff.errors import UsageError
from medidiff.models.bundle import Bundle
from medidiff.models.config import UNetConfig
from medidiff.models.export import from_onnx, load_weights, weights_of
from medidiff.training.config import TrainConfig

CONTEXT = slice(1, 3)
"""Planes of the network's input that show the neighbour slices."""


def take_over(model: Any, config: TrainConfig, bundle: Bundle) -> None:
    """Gives a network the weights of a model; where it has more blocks, the new ones begin as the identity.

    Raises:
        UsageError: the model is of another network, modality or sigma_data.
    """
    theirs, mine = bundle.config, config.network
    grown = replace(theirs, blocks=mine.blocks) == mine and theirs.blocks <= mine.blocks
    same = bundle.modality == config.modality and bundle.sigma_data == config.sigma_data
    if not (grown and same):
        raise UsageError(
            f"The model {bundle.name!r} is of another network, modality or sigma_data than this run",
            received=f"{bundle.modality}, {theirs}, sigma_data {bundle.sigma_data}",
            hint="Take [network] and sigma_data of its recipe; only blocks may be more.",
        )
    load_weights(model, {**weights_of(model), **from_onnx(bundle.network)})


def without_context(model: Any, network: UNetConfig) -> None:
    """Begins as a network of the slice alone: its first convolution ignores the neighbours.

    Random weights would mix the neighbours' noise and anatomy into every feature, which takes long to
    unlearn (docs/ablations.md); from zero, the network takes from them what helps.

    Args:
        model: the U-Net.
        network: its shape.
    """
    kernel = model.get_layer("stem").kernel
    weights = np.asarray(kernel).copy()
    # Pixel unshuffle puts the planes innermost.
    by_plane = weights.reshape(*weights.shape[:2], -1, network.planes, weights.shape[-1])
    by_plane[:, :, :, CONTEXT] = 0.0
    kernel.assign(by_plane.reshape(weights.shape))
