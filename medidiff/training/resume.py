"""Resume: what a run may change when it goes on, and what it may not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medidiff.errors import UsageError
from medidiff.models.processes import MATCHED
from medidiff.training.config import TrainConfig

FIXED = ("modality", "sigma_data", "process", "[optimiser] kind")
"""Weights, or the optimiser's memory, mean nothing under other values of these."""

FREE = ("name", "output", "validate_every", "checkpoint_every")
"""Nothing that is learnt depends on these."""


def changes(saved: Mapping[str, Any], config: TrainConfig, where: Path) -> tuple[str, ...]:
    """Settings that differ from those of a checkpoint, one sentence each.

    A run may be prolonged, slowed down or given other samples: that is told, not refused.

    Args:
        saved: configuration in the checkpoint.
        config: of the run that goes on from it.
        where: folder of the run.

    Raises:
        UsageError: a setting differs on which the weights depend.
    """
    now, then = _flat(config.to_dict()), {"process": MATCHED, **_flat(saved)}
    different = [n for n in now if n in then and now[n] != then[n] and n not in FREE]
    for name in different:
        if name in FIXED or name.startswith("[network]"):
            raise UsageError(
                f"The checkpoint is of another run: its {name} was {then[name]}", where=where,
                received=now[name],
                hint="Put the setting back, or give the new run another name; --from starts it from a model.",
            )  # fmt: skip
    return tuple(f"{name} was {then[name]}, is {now[name]}" for name in different)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of all sections by name."""
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(settings)).items():  # a checkpoint has lists for tuples
        if isinstance(value, Mapping):
            flat |= {f"[{name}] {k}": v for k, v in value.items()}
        else:
            flat[name] = value
    return flat
