"""The conditioning vector: what the network is told about a slice besides its pixels.

Computed on the data side, so that the exported graph takes a plain vector and every engine and training
backend is told exactly the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.arrays import Array, Namespace

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
        float32 ``[WIDTH]`` (``[SCAN_WIDTH]`` with `scan_sigma`): `features`; then c_noise, which has no upper
        end, and the position of ln(scan_sigma).
    """
    c = condition
    found = features(
        c.sigma, c.kernel or 0.0, c.kernel is not None, c.pixel_mm, c.modality, c.neighbour_ratio,
        (c.previous, c.following), np,
    )  # fmt: skip
    if c.scan_sigma is not None:
        further = 0.25 * np.log(c.sigma), 2.0 * _position(c.scan_sigma, np) - 1.0
        found = np.concatenate([found, np.asarray(further, np.float32)])
    return np.asarray(found, np.float32)


def features(
    sigma: Array, texture: Array, known: Array, pixel_mm: Array, modality: str, ratio: Array,
    given: Sequence[Array] | Array, xp: Namespace,
) -> Array:  # fmt: skip
    """What the vector tells of a state of the scan, as NumPy or JAX computes it.

    Args:
        sigma: noise SD, network units.
        texture: of the noise, as `Condition.kernel`; any number where it is not known.
        known: whether it is.
        pixel_mm: pixel size.
        modality: ``"ct"`` or ``"mr"``.
        ratio: noise SD of the neighbour slices over `sigma`.
        given: whether the previous and the next slice are given.
        xp: ``numpy`` or ``jax.numpy``.

    Returns:
        float32 ``[WIDTH]``: Fourier features of the place of ln(sigma) in its range and the place itself
        (Karras et al. 2022 condition on c_noise = ln(sigma)/4, an affine function of the same), noise texture
        with a known-flag, pixel size, modality, neighbour noise ratio and two neighbour flags.
    """
    u, mr = _position(sigma, xp), modality == "mr"
    k = np.pi * np.arange(1, FREQUENCIES + 1)
    rest = [
        2.0 * u - 1.0,
        xp.where(known, texture - 1.0 if mr else texture / 3.0 - 1.0, 0.0),
        known,
        xp.log(pixel_mm / 0.7),
        1.0 if mr else 0.0,
        xp.log(xp.clip(ratio, *NEIGHBOUR_RATIO)),
        given[0],
        given[1],
    ]
    scalars = xp.stack([xp.asarray(r, xp.float32) for r in rest])
    return xp.concatenate([xp.cos(k * u), xp.sin(k * u), scalars]).astype(xp.float32)


def _position(sigma: Array, xp: Namespace) -> Array:
    """Place of ln(sigma) in `LN_SIGMA_RANGE`, 0 to 1."""
    low, high = LN_SIGMA_RANGE
    return xp.clip((xp.log(xp.maximum(sigma, 1e-8)) - low) / (high - low), 0.0, 1.0)
