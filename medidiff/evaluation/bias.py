"""HU bias by tissue: the mean error that PSNR hides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medidiff.volume import HU_EDGES, HU_NAMES, BoolArray, FloatArray


@dataclass(frozen=True)
class BinBias:
    """Mean of test - reference where the reference lies in [low, high).

    Attributes:
        name: tissue that the bin stands for (the lung bin holds the air around the patient too).
        low: lower edge, HU.
        high: upper edge, HU.
        bias: mean error in HU; None if the bin is empty.
        pixels: number of pixels in it.
    """

    name: str
    low: float
    high: float
    bias: float | None
    pixels: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def hu_bias(
    reference: FloatArray, test: FloatArray, valid: BoolArray | None = None, smoothing_px: float = 2.0
) -> tuple[BinBias, ...]:
    """Mean of test - reference in five HU bins, over all slices.

    Args:
        reference: ``[z, y, x]`` HU.
        test: same shape.
        valid: pixels that count; None for all.
        smoothing_px: SD of the Gaussian that low-passes the reference, slice by slice, before binning: a
            pixel of a noisy reference enters a high bin because its noise is high, and would be found
            biased. 0 for a noise-free truth. Pixels outside `valid` stay out of the average.
    """
    total, count = np.zeros(len(HU_NAMES)), np.zeros(len(HU_NAMES), np.int64)
    for z in range(len(reference)):
        inside = np.ones(reference.shape[1:], bool) if valid is None else valid[z]
        label = np.digitize(_low_passed(reference[z], inside, smoothing_px), HU_EDGES) - 1
        inside = inside & (label >= 0) & (label < len(HU_NAMES))
        error = test[z][inside].astype(np.float64) - reference[z][inside]
        total += np.bincount(label[inside], error, len(HU_NAMES))
        count += np.bincount(label[inside], minlength=len(HU_NAMES))
    return tuple(
        BinBias(
            name,
            HU_EDGES[i],
            HU_EDGES[i + 1],
            float(total[i] / count[i]) if count[i] else None,
            int(count[i]),
        )
        for i, name in enumerate(HU_NAMES)
    )


def _low_passed(image: FloatArray, inside: BoolArray, sd_px: float) -> FloatArray:
    """Gaussian mean over the valid pixels; the image itself if sd_px is 0."""
    if sd_px == 0:
        return image
    from scipy.ndimage import gaussian_filter

    weight = inside.astype(np.float32)
    smooth = gaussian_filter(np.where(inside, image, np.float32(0.0)), sd_px)
    if not inside.all():
        smooth = smooth / np.maximum(gaussian_filter(weight, sd_px), 1e-6)
    return np.asarray(smooth, np.float32)
