"""The conditioning vector: what the network is told about a slice besides its pixels.

Computed in numpy on the data side, so that the exported graph takes a plain vector and every engine
and training backend is told exactly the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FREQUENCIES = 4
"""Number of Fourier feature pairs of the noise level."""

WIDTH = 16
"""Length of the conditioning vector."""

SCAN_WIDTH = WIDTH + 2
"""Length where the noise SD of the scan is told besides that of the state."""

LN_SIGMA_RANGE = (-7.0, 0.5)
"""Span of ln(s) (s: noise SD in network units) that the Fourier features resolve."""


NEIGHBOUR_RATIO = (1.0, 10.0)
"""Range of the neighbours' noise level over that of the state in training; the last steps of a sampler may
go further, and the network must not be asked what it has never seen."""

RELATIVE_SD = (0.05, 20.0)
"""Range of the local noise SD over that of the slice, of which a plane of the network holds the logarithm."""


@dataclass(frozen=True)
class Condition:
    """What is known about one slice.

    Attributes:
        sigma: noise SD in network units.
        kernel: mean frequency of the noise power spectrum in lp/cm (CT) or zero-fill factor (MR);
            None if unknown.
        pixel_mm: in-plane pixel size in mm.
        modality: ``"ct"`` or ``"mr"``.
        neighbour_ratio: noise SD of the neighbour slices over `sigma`, at least 1.
        previous: whether the previous slice is given as context.
        following: whether the next slice is given as context.
        scan_sigma: noise SD of the scan, network units, for processes whose state has a level of its own;
            None where the state is a state of the scan.
    """

    sigma: float
    kernel: float | None = None
    pixel_mm: float = 0.7
    modality: str = "ct"
    neighbour_ratio: float = 1.0
    previous: bool = False
    following: bool = False
    scan_sigma: float | None = None


def vector(condition: Condition) -> NDArray[np.float32]:
    """Features of one slice.

    Returns:
        float32 ``[WIDTH]`` (``[SCAN_WIDTH]`` with `scan_sigma`): ln(sigma) position and its Fourier
        features (Karras et al. 2022 condition on c_noise = ln(sigma)/4, an affine function of the same),
        noise texture with a known-flag,
        pixel size, modality, neighbour noise ratio and two neighbour flags; then c_noise itself, which
        has no upper end, and the position of ln(scan_sigma).
    """
    u = _position(condition.sigma)
    k = np.pi * np.arange(1, FREQUENCIES + 1)
    if condition.kernel is None:
        texture, known = 0.0, 0.0
    elif condition.modality == "ct":
        texture, known = condition.kernel / 3.0 - 1.0, 1.0
    else:
        texture, known = condition.kernel - 1.0, 1.0
    rest = [
        2.0 * u - 1.0,
        texture,
        known,
        float(np.log(condition.pixel_mm / 0.7)),
        1.0 if condition.modality == "mr" else 0.0,
        float(np.log(np.clip(condition.neighbour_ratio, *NEIGHBOUR_RATIO))),
        float(condition.previous),
        float(condition.following),
    ]
    if condition.scan_sigma is not None:
        rest += [0.25 * float(np.log(condition.sigma)), 2.0 * _position(condition.scan_sigma) - 1.0]
    return np.asarray(np.concatenate([np.cos(k * u), np.sin(k * u), rest]), np.float32)


def _position(sigma: float) -> float:
    """Place of ln(sigma) in `LN_SIGMA_RANGE`, 0 to 1."""
    low, high = LN_SIGMA_RANGE
    return float(np.clip((np.log(max(sigma, 1e-8)) - low) / (high - low), 0.0, 1.0))
