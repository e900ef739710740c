"""Head: what every report starts with: what made it, when, with what and how."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medidiff import __version__
from medidiff.report.privacy import Names

NOTICE = "Research use only. Not a medical device."
FORMAT = 2
PACKAGES = (
    "numpy", "scipy", "scikit-image", "pydicom", "nibabel", "SimpleITK", "openvino", "onnxruntime",
    "tensorflow",
)  # fmt: skip
OTHER_NAMES = {"tensorflow": "tensorflow-cpu"}
"""Distributions that hold the same package."""


def head(
    kind: str, started: datetime, seconds: float, command: Sequence[str], names: Names
) -> dict[str, Any]:
    """The first part of report.json.

    Args:
        kind: ``"denoising"``, ``"evaluation"``, ``"phantom"`` or ``"cohort"``.
        started: when it began.
        seconds: time taken.
        command: how it was started, word by word: program, verb, arguments; empty where it was not started
            from the command line.
        names: what paths are called.
    """
    return {
        "format": FORMAT,
        "tool": "medidiff",
        "kind": kind,
        "notice": NOTICE,
        "identified": names.identify,
        "started": started.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "command": shlex.join([*command[:2], *map(names.word, command[2:])]),
        "versions": versions(),
        "platform": platform.platform(),
    }


def versions() -> dict[str, str | None]:
    """Versions of medidiff, Python and the libraries that shape the result; None where absent."""
    found: dict[str, str | None] = {"medidiff": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        found[name] = None
        for distribution in (name, OTHER_NAMES.get(name, name)):
            with suppress(PackageNotFoundError):
                found[name] = found[name] or version(distribution)
    return found
