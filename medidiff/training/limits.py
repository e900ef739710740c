"""Limits: values that make no sense are refused by name before anything slow begins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from medidiff.errors import UsageError
from medidiff.models.bundle import NAME
from medidiff.models.processes import PROCESSES
from medidiff.training.config import OptimiserConfig, TrainConfig

Rule = tuple[str, Any, bool, str]
"""Setting, its value, whether that is good, and what it must be."""

PRECISIONS = ("float32", "mixed_bfloat16")


def check(config: TrainConfig, where: str) -> None:
    """Refuses the first setting whose value makes no sense.

    Args:
        config: the run.
        where: its file.

    Raises:
        UsageError: names the setting, its value and what it must be.
    """
    for rules in (_run(config), _network(config), _data(config), _optimiser(config.optimiser)):
        for name, value, good, words in rules:
            if not good:
                raise UsageError(f"{name} must be {words}", where=where, received=value)
    stride, patch = config.network.stride, config.data.patch
    if patch % stride:
        less = max(stride, patch // stride * stride)
        raise UsageError(
            f"[data] patch must be a multiple of {stride}, the stride of this network", where=where,
            received=patch, hint=f"Take {less} or {less + stride}.",
        )  # fmt: skip
    made = config.data.slices_per_chunk * config.data.per_slice
    if not config.data.device and config.optimiser.batch > made:
        raise UsageError(
            "[optimiser] batch is larger than slices_per_chunk x per_slice, the patches shuffled together",
            where=where, received=f"{config.optimiser.batch} of {made}",
            hint="Raise slices_per_chunk or per_slice.",
        )  # fmt: skip


def _run(config: TrainConfig) -> Iterator[Rule]:
    good = isinstance(config.name, str) and bool(NAME.fullmatch(config.name))
    yield "name", config.name, good, "letters, digits, dot, dash and underscore, in quotes"
    for name, value, known in (
        ("modality", config.modality, ("ct", "mr")),
        ("process", config.process, tuple(PROCESSES)),
        ("context_start", config.context_start, ("zero", "random")),
        ("[data] noise", config.data.noise, ("matched", "white")),
        ("[data] conditioning", config.data.conditioning, ("map", "scalar", "none")),
        ("[optimiser] kind", config.optimiser.kind, ("adam", "muon")),
        ("[optimiser] precision", config.optimiser.precision, PRECISIONS),
    ):
        yield name, value, value in known, f"{', '.join(known[:-1])} or {known[-1]}"
    yield "seed", config.seed, config.seed >= 0, "0 or more"
    yield "sigma_data", config.sigma_data, 0.0 < config.sigma_data < math.inf, "a positive number"
    yield "validate_every", config.validate_every, config.validate_every >= 1, "1 or more"
    yield "checkpoint_every", config.checkpoint_every, config.checkpoint_every >= 1, "1 or more"


def _network(config: TrainConfig) -> Iterator[Rule]:
    shape = config.network
    good = bool(shape.channels) and all(_whole(c) and c >= 1 for c in shape.channels)
    yield "[network] channels", list(shape.channels), good, "one whole number or more, each 1 or more"
    for name in ("blocks", "unshuffle", "embedding"):
        yield f"[network] {name}", getattr(shape, name), getattr(shape, name) >= 1, "1 or more"


def _data(config: TrainConfig) -> Iterator[Rule]:
    data = config.data
    pair = len(data.sigma) == 2 and all(_number(s) for s in data.sigma)
    pair = pair and 0.0 < data.sigma[0] < data.sigma[1] < math.inf
    yield "[data] sigma", list(data.sigma), pair, "two noise SDs, 0 < smallest < largest"
    # The defaults are those of CT, a thousand times too large for MR.
    share = config.modality == "ct" or data.sigma[1] <= 1.0
    yield "[data] sigma", list(data.sigma), share, "shares of the foreground p99 for MR, as [0.01, 0.22]"
    low = 0.0 < data.low_sigma <= data.sigma[0]
    yield "[data] low_sigma", data.low_sigma, low, f"above 0 and at most sigma[0], {data.sigma[0]}"
    for name in ("low_share", "insert_share", "clean_share", "own_share"):
        yield f"[data] {name}", getattr(data, name), 0.0 <= getattr(data, name) <= 1.0, "from 0 to 1"
    for name in ("patch", "per_slice", "slices_per_chunk", "max_slices", "views"):
        yield f"[data] {name}", getattr(data, name), getattr(data, name) >= 1, "1 or more"


def _optimiser(optimiser: OptimiserConfig) -> Iterator[Rule]:
    for name in ("steps", "batch"):
        yield f"[optimiser] {name}", getattr(optimiser, name), getattr(optimiser, name) >= 1, "1 or more"
    for name in ("rate", "clip", "soft_weight"):
        good = 0.0 < getattr(optimiser, name) < math.inf
        yield f"[optimiser] {name}", getattr(optimiser, name), good, "a positive number"
    for name in ("warmup", "nll", "bias", "nps"):
        good = 0.0 <= getattr(optimiser, name) < math.inf
        yield f"[optimiser] {name}", getattr(optimiser, name), good, "0 or more"
    yield "[optimiser] decay", optimiser.decay, 0.0 <= optimiser.decay <= 1.0, "from 0 to 1"
    yield "[optimiser] ema", optimiser.ema, 0.0 <= optimiser.ema < 1.0, "at least 0 and below 1"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
