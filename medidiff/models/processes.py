"""Processes by name: which forward process a network was trained for, and what it must therefore be given.

The name travels with the bundle, so that the denoiser samples with the process of the training.
"""

from __future__ import annotations

from dataclasses import dataclass

from medidiff.diffusion.arrays import Array
from medidiff.diffusion.other_processes import Bridge, Mixing, VariancePreserving
from medidiff.diffusion.process import Matched, Process
from medidiff.models.conditioning import SCAN_WIDTH, WIDTH

MATCHED = "matched"

BRIDGE_SD = 0.6
"""SD of the white bridge at its middle over the noise SD of the scan: 40 of 65 HU."""

PLANES = 4
"""Planes of every network: c_in x_t, c_in previous, c_in next, ln of the relative local noise SD."""


@dataclass(frozen=True)
class Kind:
    """What a process asks of its network.

    Attributes:
        planes: input planes; five where the scan itself is one of them.
        condition: length of the conditioning vector; longer where the level of the state does not tell
            that of the scan.
        uses_scan: whether the network's answer has used the scan, in its state or as a plane of its own.
        title: for people.
    """

    planes: int
    condition: int
    uses_scan: bool
    title: str


PROCESSES = {
    MATCHED: Kind(PLANES, WIDTH, True, "matched noise: the scan is the first state"),
    "ddpm": Kind(PLANES + 1, SCAN_WIDTH, True, "DDPM with the scan as a condition"),
    "prior": Kind(PLANES, SCAN_WIDTH, False, "DDPM that never sees the scan: a prior"),
    "bridge": Kind(PLANES, WIDTH, True, "white Brownian bridge from the scan"),
    "mixing": Kind(PLANES, WIDTH, True, "noise-free mixing with the scan"),
}
"""By name; their formulas are in `medidiff.diffusion`."""


def make(name: str, t_y: float, relative_sd: Array = 1.0) -> Process:
    """The process for one scan.

    Args:
        name: a key of `PROCESSES`.
        t_y: noise SD of the scan, network units.
        relative_sd: local noise SD relative to `t_y` (matched only).
    """
    if name == "ddpm":
        return VariancePreserving(conditional=True)
    if name == "prior":
        return VariancePreserving(conditional=False)
    if name == "bridge":
        return Bridge(t_y, BRIDGE_SD * t_y)
    if name == "mixing":
        return Mixing(t_y, "cold")
    return Matched(t_y, relative_sd)
