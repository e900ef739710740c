"""Recipe: a training run as it is written down in a TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from medidiff.errors import UsageError
from medidiff.models.config import UNetConfig
from medidiff.models.processes import PROCESSES
from medidiff.training.config import DataConfig, OptimiserConfig, TrainConfig
from medidiff.training.limits import check

DERIVED = ("planes", "condition")
"""Of the network: the process decides about them."""


def load(path: Path) -> TrainConfig:
    """Reads a run from TOML.

    Raises:
        UsageError: the file is missing, is no TOML, names an unknown setting, or gives one a value that makes
            no sense.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError("No such training configuration", where=path) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Not a readable TOML file ({error})", where=path) from None
    sections = {"network": UNetConfig, "data": DataConfig, "optimiser": OptimiserConfig}
    for name, cls in sections.items():
        values[name] = _section(cls, values.get(name, {}), f"{path} [{name}]")
    config: TrainConfig = _section(TrainConfig, values, str(path))
    check(config, str(path))
    # The process decides how much the network is given.
    kind = PROCESSES[config.process]
    shape = replace(config.network, planes=kind.planes, condition=kind.condition)
    return replace(config, network=shape)


def _section(cls: type[Any], values: Any, where: str) -> Any:
    """Builds a section, refusing unknown keys with the list of the known ones, and values of another kind."""
    if not isinstance(values, Mapping):
        raise UsageError("This must be a section of settings", where=where, received=values)
    known = {f.name: f.default for f in fields(cls) if f.name not in DERIVED}
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(
            f"Unknown setting {unknown[0]!r}", where=where, hint=f"Known: {', '.join(sorted(known))}."
        )
    for f in fields(cls):
        if f.name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise UsageError(f"The setting {f.name!r} is missing", where=where)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for name, value in values.items():
        kind = type(known[name])
        fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
        if known[name] is not MISSING and (not fits or isinstance(value, bool) != (kind is bool)):
            like = f"The setting {name!r} is like {known[name]!r}"
            raise UsageError(like, where=where, received=repr(value))
    return cls(**values)
