"""PSNR, SSIM and RMSE per slice, then mean (science notes, section 11; ldct-benchmark convention)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import GeometryError
from medidiff.evaluation.protocol import SSIM_WINDOW, Protocol
from medidiff.volume import BoolArray, FloatArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One figure with everything needed to read it.

    Attributes:
        metric: ``"PSNR"``, ``"SSIM"`` or ``"RMSE"``.
        unit: ``"dB"``, ``""`` or the volume's unit.
        per_slice: one value per slice; NaN where a slice has no pixel that counts, inf dB where it is
            identical to the reference.
        protocol: what it was computed with, data range resolved.
    """

    metric: str
    unit: str
    per_slice: tuple[float, ...]
    protocol: Protocol

    @property
    def mean(self) -> float:
        """Mean over the slices that have a finite value; inf if all are identical, NaN if none counts."""
        values = [v for v in self.per_slice if np.isfinite(v)]
        if values:
            return float(np.mean(values))
        return float("inf") if self.identical else float("nan")

    @property
    def identical(self) -> int:
        """Slices of infinite PSNR: they are left out of the mean, which they would make infinite."""
        return sum(v == float("inf") for v in self.per_slice)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no inf and NaN: they become None."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "mean": _plain(self.mean),
            "identical_slices": self.identical,
            "per_slice": [_plain(v) for v in self.per_slice],
            "protocol": self.protocol.as_dict(),
        }

    def __str__(self) -> str:
        left_out = f", {self.identical} identical slices left out" if self.identical else ""
        return (
            f"{self.metric} {self.mean:.4g}{' ' if self.unit else ''}{self.unit} ({self.protocol}{left_out})"
        )


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
    peak = _range(resolved)

    def one(a: Floats, b: Floats, inside: BoolArray) -> float:
        square = float(np.mean((b - a)[inside] ** 2)) / peak**2
        return -10.0 * float(np.log10(square)) if square > 0 else float("inf")

    return Score("PSNR", "dB", _per_slice(reference, test, valid, resolved.prepare, one), resolved)


def ssim(
    reference: FloatArray, test: FloatArray, protocol: Protocol, valid: BoolArray | None = None
) -> Score:
    """Structural similarity (Wang et al. 2004) on the windowed image: 7x7 uniform, K1 0.01, K2 0.03.

    Sample covariance and a border of 3 px left out, as in scikit-image. With `valid` the map is averaged over
    valid pixels inside that border; pixels that are not valid count as the low end in both images.

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
            return float(structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=_range(resolved)))
        a, b = np.where(inside, a, 0.0), np.where(inside, b, 0.0)
        _, image = structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=_range(resolved), full=True)
        counted = image[core][inside[core]]
        return float(counted.mean()) if counted.size else float("nan")

    return Score("SSIM", "", _per_slice(reference, test, valid, resolved.prepare, one), resolved)


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

    return Score("RMSE", unit, _per_slice(reference, test, valid, resolved.prepare_rmse, one), resolved)


def _per_slice(
    reference: FloatArray,
    test: FloatArray,
    valid: BoolArray | None,
    prepare: Callable[[NDArray[np.floating]], Floats],
    one: Callable[[Floats, Floats, BoolArray], float],
) -> tuple[float, ...]:
    """Applies `one` slice by slice; NaN for a slice without valid pixels."""
    if reference.shape != test.shape or reference.ndim != 3:
        raise GeometryError(
            "Reference and test must be stacks of the same shape",
            received=f"{reference.shape} and {test.shape}",
        )
    values = []
    for z in range(len(reference)):
        inside = np.ones(reference.shape[1:], bool) if valid is None else valid[z]
        values.append(one(prepare(reference[z]), prepare(test[z]), inside) if inside.any() else float("nan"))
    return tuple(values)


def _range(protocol: Protocol) -> float:
    """The data range as a number."""
    if protocol.data_range is None:
        raise TypeError("the protocol must be resolved first")
    return protocol.data_range


def _plain(value: float) -> float | None:
    """A number that JSON knows, or None."""
    return value if np.isfinite(value) else None
