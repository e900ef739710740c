"""Alike: protocols that are one but for numbers that differ from scan to scan, and how they read together."""

from __future__ import annotations

import re
from collections.abc import Iterable

CHOSEN = r"window \S+ \(C \S+ W \S+\)|data range [\d.e+]+(?=,)"
"""Numbers that the user chose: figures of another window or of another given data range are other figures."""

OF_THE_SCAN = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"
"""Numbers that follow from the scan: a data range read from the reference, a threshold, a count of slices."""

PARTS = re.compile(f"({CHOSEN})|({OF_THE_SCAN})")


def alike(protocol: str) -> str:
    """The protocol with a mark in place of every number that follows from the scan."""
    return PARTS.sub(lambda found: found.group(1) or "#", protocol)


def together(protocols: Iterable[str]) -> str:
    """Protocols that are `alike` as one sentence: a number that differs becomes ``low to high``."""
    every = list(dict.fromkeys(protocols))
    numbers = [[m.group(2) for m in PARTS.finditer(text) if m.group(2)] for text in every]
    ranges = []
    for same in zip(*numbers, strict=True):
        low, high = min(same, key=float), max(same, key=float)
        ranges.append(low if float(low) == float(high) else f"{low} to {high}")
    following = iter(ranges)
    return PARTS.sub(lambda found: found.group(1) or next(following), every[0])
