"""PSNR, SSIM and RMSE per slice, then mean: the convention of ldct-benchmark (Eulig et al. 2024)."""

from __future__ import annotations

import numpy as np

from medidiff.errors import GeometryError
from medidiff.evaluation.protocol import SSIM_WINDOW, Protocol
from medidiff.evaluation.score import Floats, Score, per_slice
from medidiff.volume import BoolArray, FloatArray


def psnr(
    reference: FloatArray, test: FloatArray, protocol: Protocol, valid: BoolArray | None = None
) -> Score:
    """-10 log10 mean((w(test) - w(reference))^2 / data_range^2), in dB.

    Args:
        reference: ``[z, y, x]``.
        test: same shape.
        protocol: window or data range.
        valid: pixels that count; None for all.
    """
    resolved = protocol.resolved(reference, valid)
    peak = resolved.peak

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        square = float(np.mean((b - a)[inside] ** 2)) / peak**2
        return -10.0 * float(np.log10(square)) if square > 0 else float("inf")

    return Score("PSNR", "dB", per_slice(reference, test, valid, resolved.prepare, one), resolved)


def ssim(
    reference: FloatArray, test: FloatArray, protocol: Protocol, valid: BoolArray | None = None
) -> Score:
    """Structural similarity (Wang et al. 2004) on the windowed image: 7x7 uniform, K1 0.01, K2 0.03.

    Sample covariance and a border of 3 px left out, as in scikit-image. With `valid` the map is averaged over
    valid pixels inside that border; pixels that are not valid count as the low end in both images, so that
    nothing from outside of a mask enters (the definition of the SynthRAD2023 challenge).

    Args:
        reference: ``[z, y, x]``.
        test: same shape.
        protocol: window or data range.
        valid: pixels that count; None for all.

    Raises:
        GeometryError: slices are smaller than the 7x7 window.
    """
    from skimage.metrics import structural_similarity

    resolved = protocol.resolved(reference, valid)
    if min(reference.shape[1:]) < SSIM_WINDOW:
        raise GeometryError(
            f"SSIM needs slices of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels",
            received=f"{reference.shape[1]} x {reference.shape[2]}",
        )
    pad = SSIM_WINDOW // 2
    core = (slice(pad, -pad), slice(pad, -pad))

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        if inside.all():
            return float(structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=resolved.peak))
        a, b = np.where(inside, a, 0.0), np.where(inside, b, 0.0)
        _, image = structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=resolved.peak, full=True)
        counted = image[core][inside[core]]
        return float(counted.mean()) if counted.size else float("nan")

    return Score("SSIM", "", per_slice(reference, test, valid, resolved.prepare, one), resolved)


def rmse(
    reference: FloatArray,
    test: FloatArray,
    protocol: Protocol,
    valid: BoolArray | None = None,
    unit: str = "HU",
) -> Score:
    """Root mean square difference in the volume's unit, values clipped to ``protocol.rmse_clip``.

    Args:
        reference: ``[z, y, x]``.
        test: same shape.
        protocol: gives the clipping.
        valid: pixels that count; None for all.
        unit: unit of the values.
    """
    resolved = protocol.resolved(reference, valid)

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        return float(np.sqrt(np.mean((b - a)[inside] ** 2)))

    return Score("RMSE", unit, per_slice(reference, test, valid, resolved.prepare_rmse, one), resolved)
