"""Shared: how much of their noise two MR slices have in common.

Slices that a scanner interpolated between those it acquired, by zero-filling or otherwise, share it.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from medidiff.noise.estimate_mr import (
    FEWEST_FLAT,
    FEWEST_PATCHES,
    FLAT_SHARE,
    JUDGED,
    RADIUS,
    foreground,
    patches,
)
from medidiff.volume import FloatArray

FINE = RADIUS > 3.0
"""What is compared: patches are chosen by the coarser coefficients, so that the choice favours nothing."""


def shared_noise(first: FloatArray, second: FloatArray) -> float | None:
    """Correlation of the noise of two slices, from patches that are flat in both.

    Args:
        first: magnitudes ``[y, x]``, finite.
        second: another slice of the same scan.

    Returns:
        -1 to 1, of the fine DCT coefficients; None with too little tissue.
    """
    inside = foreground(first) & foreground(second)
    a, b = (fft.dctn(patches(image, inside, 2), axes=(1, 2), norm="ortho") for image in (first, second))
    if len(a) < FEWEST_PATCHES:
        return None
    judged = (a * a + b * b)[:, JUDGED].mean(axis=1)
    flat = np.argsort(judged)[: max(int(FLAT_SHARE * len(a)), FEWEST_FLAT)]
    x, y = a[flat][:, FINE].astype(np.float64), b[flat][:, FINE].astype(np.float64)
    power = float(np.sqrt((x * x).mean() * (y * y).mean()))
    return float((x * y).mean()) / power if power > 0 else None
