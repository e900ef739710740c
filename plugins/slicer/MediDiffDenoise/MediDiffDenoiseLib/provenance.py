"""Provenance: what a result says about its origin, as attributes of its node. Needs numpy."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any

import numpy as np

INSTANCES = "DICOM.instanceUIDs"
SOURCES = "medidiff.sourceInstanceUIDs"
"""Where a result keeps the instance UIDs of its input. Under their own name Slicer would take the result for
the series itself, in view annotations and in the export of segmentations."""

PREFIX = "medidiff."
DERIVATION, VOXELS, SOURCE = "medidiff.derivation", "medidiff.voxels", "medidiff.sourceVolumeID"


def mark(node: Any, source: Any, facts: dict[str, Any]) -> None:
    """Says where a result comes from, and takes away what it has of its input's identity.

    Args:
        node: the result.
        source: the input.
        facts: name to value, each an attribute ``medidiff.<name>``.
    """
    instances = source.GetAttribute(INSTANCES)  # of the input: a result of a result has no source files
    for name in list(node.GetAttributeNames()):
        if name == INSTANCES or name.startswith(PREFIX):
            node.RemoveAttribute(name)
    if instances:
        node.SetAttribute(SOURCES, instances)
    node.SetAttribute(SOURCE, source.GetID())
    node.SetAttribute(f"{PREFIX}date", datetime.now(timezone.utc).isoformat(timespec="seconds"))
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if text:
            node.SetAttribute(f"{PREFIX}{name}", text)


def sources(node: Any) -> list[str]:
    """Instance UIDs of the DICOM files that a result comes from; empty where there are none."""
    return (node.GetAttribute(SOURCES) or "").split()


def derivation(node: Any) -> dict[str, Any] | None:
    """How medidiff made a result, as it said itself; None where that is not known."""
    try:
        found = json.loads(node.GetAttribute(DERIVATION) or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) and found else None


def digest(voxels: np.ndarray) -> str:
    """What tells voxels from any others."""
    data = np.ascontiguousarray(voxels)
    found = hashlib.sha256(str((data.dtype.str, data.shape)).encode())
    found.update(data.data)
    return found.hexdigest()
