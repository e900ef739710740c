"""Blind noise level of magnitude MR slices from air: sqrt(mean(m^2) / 2), only where it really is Rayleigh.

Few clinical images have such air: scanners mask, filter and intensity-correct it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import BoolArray, FloatArray

BLOCK_PX = 7  # of the search for air


@dataclass(frozen=True)
class AirNoise:
    """Noise of a Rayleigh background: SD per channel and the number of pixels it comes from."""

    sigma: float
    n_pixels: int


def air_noise(stack: FloatArray, padding: BoolArray | None = None) -> AirNoise | None:
    """Noise level of the air around the object, if it is Rayleigh; None if not.

    Blocks of zeros (masked or defaced) are left out. From the darkest blocks, sigma is refined over all
    blocks that agree with it; the pixels found must then have the mean, SD and quartiles of a Rayleigh
    distribution.

    Args:
        stack: float32 ``[z, y, x]``, magnitude, finite.
        padding: bool ``[z, y, x]``.
    """
    void = stack <= 0 if padding is None else (stack <= 0) | padding
    values = _blocks(stack)
    variance = (values.astype(np.float64) ** 2).mean(axis=1) / 2
    filled = _blocks(void).mean(axis=1) < 0.05
    if np.count_nonzero(filled) < 20:
        return None
    level = float(np.quantile(variance[filled], 0.05))
    for _ in range(20):
        agree = filled & (variance > 0.5 * level) & (variance < 1.6 * level)
        if np.count_nonzero(agree) < 20:
            return None
        level = float(variance[agree].mean())
    blocks = values[agree]
    if agree.mean() < 0.01 or not _is_rayleigh(blocks, float(np.sqrt(level))):
        return None
    return AirNoise(sigma=float(np.sqrt(level)), n_pixels=int(blocks.size))


def _blocks(stack: NDArray[np.generic]) -> NDArray[Any]:
    """All 7x7 blocks of all slices, ``[n, 49]``; rows and columns that fill no block are left out."""
    z, rows, columns = stack.shape[0], stack.shape[1] // BLOCK_PX, stack.shape[2] // BLOCK_PX
    cut = stack[:, : rows * BLOCK_PX, : columns * BLOCK_PX]
    return cut.reshape(z, rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(2, 3).reshape(-1, BLOCK_PX**2)


def _is_rayleigh(blocks: FloatArray, sigma: float) -> bool:
    """Whether the blocks ``[n, 49]`` have Rayleigh statistics, as a whole and each within itself.

    As a whole: mean over SD within 6 %, quartiles within 8 %. Dark tissue and edges can mix to that; but then
    the variance over squared mean within a block, (4 - pi) / pi for Rayleigh, is off or scatters. The bounds
    hold for noise zero-filled by two, whose blocks have a quarter of the independent samples.
    """
    spread = float(blocks.std())
    if spread <= 0:
        return False
    ratio = float(blocks.mean()) / spread / np.sqrt(np.pi / (4 - np.pi))
    share = np.array([0.25, 0.5, 0.75])
    quartiles = np.quantile(blocks, share) / (sigma * np.sqrt(-2 * np.log1p(-share)))
    within = blocks.var(axis=1) / np.maximum(blocks.mean(axis=1) ** 2, 1e-30) * np.pi / (4 - np.pi)
    low, middle, high = np.quantile(within, share)
    whole = abs(ratio - 1) < 0.06 and bool(np.all(np.abs(quartiles - 1) < 0.08))
    return whole and 0.82 < middle < 1.12 and (high - low) < 0.38 * middle
