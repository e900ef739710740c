"""Release: from a checkpoint to a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import ModelError, UsageError
from medidiff.intensity import Intensity
from medidiff.models import store
from medidiff.models.bundle import Bundle, Trained
from medidiff.models.export import to_onnx, weights_of
from medidiff.models.processes import MATCHED
from medidiff.training import checkpoint as checkpoints
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import TrainConfig

FILES = {"best": "best.npz", "last": checkpoints.FILE, "average": checkpoints.AVERAGE}

ZERO_FILL = (1.0, 2.0)
"""Interpolation factors that the MR simulator draws."""


@dataclass(frozen=True)
class About:
    """What a bundle says of itself besides its network.

    Attributes:
        card: model card, Markdown.
        trained: ranges, see `trained_ranges`.
        version: of the weights.
        licence: SPDX name of the licence of the weights.
        attribution: credits that travel with the weights.
    """

    card: str
    trained: Trained
    version: str
    licence: str
    attribution: tuple[str, ...]


def release(
    config: TrainConfig,
    folder: Path,
    which: Literal["best", "last", "average"] = "best",
    *,
    out: Path,
    about: About,
    storage: str = "float32",
    overwrite: bool = False,
) -> Bundle:
    """Makes a bundle of the averaged weights of a checkpoint.

    Args:
        config: the run.
        folder: of its checkpoints.
        which: the best validated checkpoint, the last, or what is left of the last in half precision.
        out: folder of the bundle.
        about: what it says of itself.
        storage: how the weights lie in the file, a member of `medidiff.models.graph.STORAGES`.
        overwrite: replace a bundle that is there.

    Returns:
        The bundle as read back from `out`, whose uncertainty and precision are still to be measured.

    Raises:
        ModelError: there is no such checkpoint, or it is damaged.
        UsageError: the checkpoint is of another network.
        OutputError: `out` exists and `overwrite` is False.
    """
    data = config.data
    if data.conditioning == "none" or not data.context:
        raise UsageError(
            "This run is an ablation whose network is not told what `denoise` tells a model",
            received=f"conditioning {data.conditioning}, context {str(data.context).lower()}",
            hint="Release runs with context that are told the noise level.",
        )
    saved = checkpoints.load(folder, FILES[which])
    bundle = Bundle(
        name=config.name,
        version=about.version,
        modality=config.modality,
        config=config.network,
        sigma_data=config.sigma_data,
        trained=about.trained,
        network=to_onnx(config.network, averaged_weights(config, saved), storage=storage),
        licence=about.licence,
        attribution=about.attribution,
        card=about.card,
        process=config.process,
    )
    return store.save(bundle, out, overwrite=overwrite)


def averaged_weights(config: TrainConfig, saved: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """Moving average of the weights by Keras variable path.

    Raises:
        UsageError: the checkpoint is of another network or has another sigma_data.
    """
    from medidiff.models.unet import build

    expected = json.loads(json.dumps(config.to_dict()))
    for name in ("network", "sigma_data", "modality"):
        if json.loads(json.dumps(saved.config[name])) != expected[name]:
            raise UsageError(
                f"The checkpoint is of another run: its {name} differs", received=saved.config[name]
            )
    if (process := saved.config.get("process", MATCHED)) != config.process:
        raise UsageError("The checkpoint is of another run: its process differs", received=process)
    if not all(np.isfinite(a).all() for a in saved.average):
        raise ModelError("The averaged weights are not finite: the training has diverged")
    model = build(config.network)
    for variable, value in zip(model.trainable_variables, saved.average, strict=True):
        variable.assign(np.asarray(value, np.float32))
    return weights_of(model)


def trained_ranges(config: TrainConfig, pixel_mm: Sequence[float], seed: int = 0) -> Trained:
    """What a run covers, for the bundle.

    Args:
        config: the run.
        pixel_mm: pixel sizes of its training slices, see `pixel_sizes`.
        seed: of the kernels that are drawn to find their range.
    """
    scale = Intensity.ct().scale if config.modality == "ct" else 1.0
    levels = (config.data.low_sigma / scale, config.data.sigma[1] / scale)
    sizes = (float(min(pixel_mm)), float(max(pixel_mm)))
    return Trained(levels, _kernel_range(sizes, seed) if config.modality == "ct" else ZERO_FILL, sizes)


def credits_of(card: str) -> tuple[str, ...]:
    """The points of the model card's section "Training data": credits that travel with the weights.

    Raises:
        UsageError: the card has no such section, or no point in it.
    """
    section = re.search(r"^## Training data$(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\* (.+)$", section[1], re.MULTILINE) if section else []
    if not found:
        raise UsageError(
            "The model card credits no training data",
            hint="Give it a section '## Training data' with a point '* ...' for each source.",
        )
    return tuple(found)


def pixel_sizes(config: TrainConfig) -> list[float]:
    """Pixel size in mm of every training slice (CT: of the cache) or stack (MR), binned ones too."""
    if config.modality == "mr":
        from medidiff.training.binning import may_be_binned
        from medidiff.training.mr_source import MRSource

        stacks, patch = MRSource(config).stacks, config.data.patch
        large = [s for s in stacks if may_be_binned(s.slices.shape, patch)]
        return [s.pixel_mm for s in stacks] + [2.0 * s.pixel_mm for s in large]
    from medidiff.training import ct_cache

    sizes = []
    for path in ct_cache.paths(config, "train"):
        with np.load(path, allow_pickle=False) as item:  # reads this one member, not the pictures
            sizes.append(float(item["pixel_mm"]))
    return sizes


def _kernel_range(pixel_mm: tuple[float, float], seed: int) -> tuple[float, float]:
    """Mean noise frequency in lp/cm of the kernels in training, 1st to 99th percentile."""
    from medidiff.noise.spectrum import Spectrum, draw_kernel

    rng = np.random.default_rng(seed)
    means = []
    for size in pixel_mm:
        f = np.linspace(0.0, 5.0 / size, 400, dtype=np.float32)
        means += [Spectrum(f, f * draw_kernel(rng).response(f) ** 2).mean_frequency for _ in range(300)]
    low, high = np.percentile(means, [1, 99])
    return float(low), float(high)
