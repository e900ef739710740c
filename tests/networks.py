"""Tiny random networks and bundles for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medidiff.models import Bundle, Trained, UNetConfig
from medidiff.models.export import to_onnx, weight_shapes

TINY = UNetConfig((8, 12, 16), 1)


def random_weights(config: UNetConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep activations near unit scale; none is zero, FiLM and heads included."""
    rng = np.random.default_rng(seed)
    weights = {}
    for path, shape in weight_shapes(config).items():
        gain = 0.5 if "film" in path else 1.0
        scale = 0.1 if len(shape) == 1 else gain / np.sqrt(np.prod(shape[:-1]))
        weights[path] = (scale * rng.standard_normal(shape)).astype(np.float32)
    return weights


def tiny_bundle(config: UNetConfig = TINY, folder: Path | None = None, **changes: object) -> Bundle:
    """A complete bundle around random weights."""
    fields: dict[str, object] = {
        "name": "tiny",
        "version": "0.1",
        "modality": "ct",
        "config": config,
        "sigma_data": 0.9,
        "trained": Trained(sigma=(0.002, 0.5), kernel=(1.5, 6.0), pixel_mm=(0.4, 1.2)),
        "network": to_onnx(config, random_weights(config)),
        "uncertainty": ((0.01, 0.8), (0.1, 1.0), (1.0, 1.6)),
        "precision": {"openvino": "float32"},
        "attribution": ("Somebody's scans, CC BY 4.0",),
        "card": "# tiny\n\nResearch use only. Not a medical device.\n",
        "folder": folder,
    }
    return Bundle(**{**fields, **changes})  # type: ignore[arg-type]


def random_inputs(config: UNetConfig, n: int, h: int, w: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Planes ``[n, 4, h, w]`` and condition ``[n, K]``."""
    rng = np.random.default_rng(seed)
    planes = rng.standard_normal((n, config.planes, h, w), dtype=np.float32)
    return planes, rng.standard_normal((n, config.condition), dtype=np.float32)
