"""VIF: visual information fidelity in the pixel domain (Sheikh and Bovik 2006), per slice.

How much of the information that an observer with noise of his own could take from the reference he can still
take from the test image. 1: all of it; noise and blur lower it; added contrast raises it above 1.
"""

from __future__ import annotations

import numpy as np

from medidiff.evaluation.protocol import Protocol
from medidiff.evaluation.score import Floats, Score, per_slice
from medidiff.volume import BoolArray, FloatArray

SCALES = 4
OBSERVER_VARIANCE = 2.0
"""Variance of the observer's own noise, in the square of the unit that `Protocol.prepare_vif` gives."""
MIN_SIDE = 41
"""The windows of all scales fit into a slice of this side."""
TINY = 1e-10


def vif(reference: FloatArray, test: FloatArray, protocol: Protocol, valid: BoolArray | None = None) -> Score:
    """Pixel-domain VIF over four scales, on the values that `Protocol.prepare_vif` gives.

    sum log10(1 + g^2 s_r^2 / (s_v^2 + s_n^2)) / sum log10(1 + s_r^2 / s_n^2) over all windows and scales,
    with g = cov / s_r^2, s_v^2 = s_t^2 - g cov, s_n^2 = 2; Gaussian windows of 17, 9, 5 and 3 pixels (SD a
    fifth of that), only where they fit, as in the authors' code. The unit of the values matters (s_n^2).

    With `valid` the sums run over the windows that see nothing but valid pixels, on every scale, so that the
    outline of the region is no structure: a rectangle has the VIF of the same images cut to it, up to the
    phase of the coarser scales. A slice whose reference is flat has no VIF (NaN), nor has one whose region
    holds no window of some scale.

    VIF is not symmetric. ldct-benchmark's `compute_metric` passes the target as torchmetrics' `preds` and the
    prediction as its `target`, so that its published VIF takes the denoised image for the reference: those
    figures compare with ``vif(test, reference, ...)`` only.

    Args:
        reference: ``[z, y, x]``.
        test: same shape.
        protocol: gives unit and clipping.
        valid: pixels that count; None for all.
    """
    resolved = protocol.resolved(reference, valid)
    small = min(reference.shape[1:]) < MIN_SIDE
    held = False

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        if small:
            return float("nan")
        nonlocal held
        found, complete = _fidelity(a, b, inside)
        held = held or complete
        return found

    values = per_slice(reference, test, valid, resolved.prepare_vif, one)
    note = f"slices smaller than {MIN_SIDE} x {MIN_SIDE} pixels have no VIF" if small else ""
    if not (small or held):
        note = f"no slice has VIF: what counts holds no square of {MIN_SIDE} x {MIN_SIDE} pixels"
    return Score("VIF", "", values, resolved, note)


def _fidelity(reference: Floats, test: Floats, inside: BoolArray) -> tuple[float, bool]:
    """The VIF of a slice, and whether every scale has a window inside."""
    # Only variances and covariances enter; small numbers keep them free of rounding.
    everything = bool(inside.all())
    level = (reference if everything else reference[inside]).mean()
    reference, test = reference - level, test - level
    if not everything:  # what is there enters no window that counts, but must be a number
        reference, test = np.where(inside, reference, 0.0), np.where(inside, test, 0.0)
    complete = True
    kept = total = 0.0
    for scale in range(SCALES):
        size = 2 ** (SCALES - scale) + 1
        if scale:
            reference, test = (_smooth(image, size)[::2, ::2] for image in (reference, test))
            inside = _whole(inside, size)[::2, ::2]
        there = _whole(inside, size)
        complete = complete and bool(there.any())
        mean_r, mean_t = _smooth(reference, size), _smooth(test, size)
        var_r = np.maximum(_smooth(reference * reference, size) - mean_r * mean_r, 0.0)[there]
        var_t = np.maximum(_smooth(test * test, size) - mean_t * mean_t, 0.0)[there]
        cov = (_smooth(reference * test, size) - mean_r * mean_t)[there]
        # Where there is nothing to tell, or the contrast is inverted, the window tells nothing (g = 0).
        told = (var_r >= TINY) & (var_t >= TINY) & (cov > 0.0)
        gain = np.where(told, cov / (var_r + TINY), 0.0)
        rest = np.maximum(var_t - gain * cov, TINY)
        kept += float(np.log10(1.0 + gain * gain * var_r / (rest + OBSERVER_VARIANCE)).sum())
        total += float(np.log10(1.0 + var_r / OBSERVER_VARIANCE).sum())
    return kept / total if total > 0.0 and complete else float("nan"), complete


def _smooth(image: Floats, size: int) -> Floats:
    """Gaussian mean over windows of `size` pixels (SD a fifth of that), where they fit."""
    from scipy.ndimage import correlate1d

    weight = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 5)) ** 2)
    weight /= weight.sum()
    half = size // 2
    rows = correlate1d(image, weight, 0)[half:-half]
    return np.asarray(correlate1d(rows, weight, 1)[:, half:-half])


def _whole(inside: BoolArray, size: int) -> BoolArray:
    """Of each window that fits, whether all of it is inside."""
    from scipy.ndimage import minimum_filter

    half = size // 2
    return np.asarray(minimum_filter(inside, size))[half:-half, half:-half]
