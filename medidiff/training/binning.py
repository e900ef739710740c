"""Binning: cleaner targets at a coarser grid, made of noisy scans."""

from __future__ import annotations

import numpy as np

from medidiff.volume import FloatArray

SLAB = 3
"""Slices of a slab."""


def binned(slices: FloatArray) -> FloatArray:
    """Means of two by two pixels of each slice, float32.

    Args:
        slices: ``[z, y, x]``; an odd last row or column is left out.
    """
    h, w = (n - n % 2 for n in slices.shape[1:])
    small = slices[:, :h, :w].reshape(len(slices), h // 2, 2, w // 2, 2)
    return np.asarray(small.mean((2, 4), dtype=np.float32))


def slab_means(slices: FloatArray) -> FloatArray:
    """Means of `SLAB` slices each, ``[z // SLAB, y, x]``; what is left at the end is left out.

    Args:
        slices: ``[z, y, x]``.
    """
    whole = slices[: len(slices) - len(slices) % SLAB]
    return np.asarray(whole.reshape(-1, SLAB, *slices.shape[1:]).mean(1))


def may_be_binned(shape: tuple[int, ...], patch: int) -> bool:
    """Whether slices ``[z, y, x]`` binned two by two still hold a patch."""
    return min(shape[1:]) >= 2 * patch
