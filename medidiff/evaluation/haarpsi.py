"""HaarPSI: Haar wavelet-based perceptual similarity (Reisenhofer et al. 2018), per slice."""

from __future__ import annotations

import numpy as np

from medidiff.evaluation.protocol import Protocol
from medidiff.evaluation.score import Floats, Score, per_slice
from medidiff.volume import BoolArray, FloatArray

CONTRAST, STEEPNESS = 30.0, 4.2
"""C and alpha of the paper, fitted by its authors to images of 8 bit."""
SCALES = 3
MIN_SIDE = 2 ** (SCALES + 1)


def haarpsi(
    reference: FloatArray, test: FloatArray, protocol: Protocol, valid: BoolArray | None = None
) -> Score:
    """HaarPSI of the displayed image, 0 to 255.

    Images are halved (2x2 means, the paper's viewing distance); g_j are their horizontal and vertical Haar
    coefficients of width 2, 4 and 8. HS = mean over j = 1, 2 of (2|a||b| + C) / (a^2 + b^2 + C); weight
    W = max |g_3| of both images; HaarPSI = (l^-1(sum W l(HS) / sum W))^2 with l(x) = 1 / (1 + exp(-4.2 x)).

    With `valid` the sums run over blocks of 2x2 valid pixels; pixels that are not valid count as 0 in both
    images. A pair without any contrast has no HaarPSI (NaN).

    Args:
        reference: ``[z, y, x]``.
        test: same shape.
        protocol: window or data range.
        valid: pixels that count; None for all.
    """
    resolved = protocol.resolved(reference, valid)
    small = min(reference.shape[1:]) < MIN_SIDE

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        if small:
            return float("nan")
        if not inside.all():
            a, b = np.where(inside, a, 0.0), np.where(inside, b, 0.0)
        return _similarity(_halved(a), _halved(b), _halved((~inside).astype(np.float64)) == 0.0)

    note = f"slices smaller than {MIN_SIDE} x {MIN_SIDE} pixels have no HaarPSI" if small else ""
    values = per_slice(reference, test, valid, resolved.prepare_8bit, one)
    return Score("HaarPSI", "", values, resolved, note)


def _similarity(a: Floats, b: Floats, inside: BoolArray) -> float:
    weighted = weights = 0.0
    for axis in (0, 1):
        like = np.zeros(a.shape)
        for scale in (1, 2):
            x, y = (np.abs(_haar(image, scale, axis)) for image in (a, b))
            like += 0.5 * (2.0 * x * y + CONTRAST) / (x * x + y * y + CONTRAST)
        weight = np.maximum(*(np.abs(_haar(image, SCALES, axis)) for image in (a, b))) * inside
        weighted += float((weight / (1.0 + np.exp(-STEEPNESS * like))).sum())
        weights += float(weight.sum())
    if weights == 0.0:
        return float("nan")
    share = weighted / weights
    return float((np.log(share / (1.0 - share)) / STEEPNESS) ** 2)


def _haar(image: Floats, scale: int, axis: int) -> Floats:
    """Haar coefficients of width 2^scale along `axis`, one per pixel, zeros beyond the border."""
    from scipy.ndimage import correlate1d

    width = 2**scale
    step = np.repeat([1.0, -1.0], width // 2) / width
    # Origin -1 puts the even window where the authors' conv2(..., 'same') has it.
    along = correlate1d(image, step, axis, mode="constant", origin=-1)
    return np.asarray(correlate1d(along, np.ones(width), 1 - axis, mode="constant", origin=-1))


def _halved(image: Floats) -> Floats:
    """Means of 2x2 pixels; an odd last row or column is averaged with zeros."""
    h, w = image.shape
    even = np.pad(image, ((0, h % 2), (0, w % 2)))
    return np.asarray(even.reshape((h + 1) // 2, 2, (w + 1) // 2, 2).mean((1, 3)))
