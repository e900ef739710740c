"""Intensity: real-world values to the network's range and back, one fixed affine map per modality.

Constants travel with the model or come from the whole volume; nothing is ever scaled by the minimum and
maximum of a picture, so that a value means the same on every slice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff import scratch
from medidiff.errors import ModelError, PixelError, UsageError
from medidiff.volume import HU_RANGE, BoolArray, FloatArray, Volume

KINDS = ("ct", "mr")
"""Modalities that have an intensity map."""

BLOCK = 4
"""MR values are averaged over blocks of this many pixels a side before the percentile is taken."""

FOREGROUND = 0.3
"""MR foreground: block means above this share of the 99th percentile of the foreground itself."""


@dataclass(frozen=True)
class Intensity:
    """The map z = (clip(a, low, high) - offset) / scale.

    Attributes:
        kind: ``"ct"`` or ``"mr"``.
        offset: real-world value that becomes z = 0 (HU for CT, 0 for MR).
        scale: real-world units per network unit; a noise SD becomes sigma / scale.
        low: lowest value of the trained range.
        high: highest value of the trained range.
    """

    kind: str
    offset: float
    scale: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                "There is no intensity map of this kind", received=self.kind, hint="Use ct or mr."
            )
        numbers = (self.offset, self.scale, self.low, self.high)
        if not all(map(math.isfinite, numbers)) or self.scale <= 0 or self.low >= self.high:
            raise UsageError("An intensity map needs a positive scale and low < high", received=numbers)

    @classmethod
    def ct(cls) -> Intensity:
        """z = (HU + 500) / 500 on [-1024, 3071] HU."""
        return cls("ct", offset=-500.0, scale=500.0, low=HU_RANGE[0], high=HU_RANGE[1])

    @classmethod
    def mr(cls, scale: float) -> Intensity:
        """z = a / scale on [0, 4 scale].

        Args:
            scale: robust 99th percentile of the foreground, in the volume's own arbitrary units.
        """
        return cls("mr", offset=0.0, scale=float(scale), low=0.0, high=4.0 * float(scale))

    @classmethod
    def for_volume(cls, kind: str, volume: Volume) -> Intensity:
        """The map of one volume: fixed for CT, scaled by `foreground_p99` for MR.

        Raises:
            UsageError: `kind` is neither ``"ct"`` nor ``"mr"``.
            PixelError: an MR volume without any positive value.
        """
        if kind == "mr":
            return cls.mr(foreground_p99(volume.array, volume.padding))
        if kind == "ct":
            return cls.ct()
        raise UsageError("There is no intensity map of this kind", received=kind, hint="Use ct or mr.")

    def to_model(self, array: NDArray[Any]) -> FloatArray:
        """Real-world values of any shape to float32 network units; NaN counts as `low`."""
        a = np.nan_to_num(np.asarray(array, np.float32), nan=self.low, posinf=self.high, neginf=self.low)
        z = (np.clip(a, self.low, self.high) - np.float32(self.offset)) / np.float32(self.scale)
        return z.astype(np.float32, copy=False)

    def from_model(self, z: NDArray[Any]) -> FloatArray:
        """Network units to float32 real-world values, the inverse of `to_model` inside the range."""
        a = np.asarray(z, np.float32) * np.float32(self.scale) + np.float32(self.offset)
        return a.astype(np.float32, copy=False)

    def valid(self, array: NDArray[Any]) -> BoolArray:
        """True where a value is finite and inside the trained range; the rest must pass through untouched."""
        a = np.asarray(array)
        inside: BoolArray = (a >= self.low) & (a <= self.high)
        return inside

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a model bundle or a side-car file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Intensity:
        """The inverse of `to_dict`.

        Raises:
            ModelError: a field is missing, unknown or of the wrong kind.
        """
        try:
            return cls(str(values["kind"]), *(float(values[k]) for k in ("offset", "scale", "low", "high")))
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ModelError(
                "The intensity map is not complete", received=dict(values), hint=f"({error})"
            ) from error


def foreground_p99(array: FloatArray, padding: BoolArray | None = None) -> float:
    """Robust 99th percentile of the foreground of an MR volume.

    A plain percentile rises with the noise, and a model would then see another contrast at every noise
    level. Means over 4 x 4 pixels divide the noise SD by four, and a threshold tied to the foreground's own
    percentile (solved by iteration) stays above the Rician floor, which is 0.19 of the percentile at 15 %
    noise. On real brain and abdomen volumes the result moves by less than 1 % when 9 % Rician noise is
    added, and by less than 3 % at 15 %.

    Args:
        array: magnitudes ``[z, y, x]``.
        padding: True where a pixel carries no image; such pixels, NaN and infinities do not count.

    Returns:
        The percentile in the units of `array`, positive.

    Raises:
        PixelError: no positive value.
    """
    means = _block_means(np.asarray(array, np.float32), padding)
    means = means[means > 0]
    if means.size == 0:
        raise PixelError("The volume holds no positive value, so its intensity scale is undefined")
    top = float(np.percentile(means, 99))
    for _ in range(20):
        means = means[means > FOREGROUND * top] if top > 0 else means
        new = float(np.percentile(means, 99))
        if abs(new - top) <= 1e-6 * top:
            break
        top = new
    return new


def _block_means(array: FloatArray, padding: BoolArray | None) -> FloatArray:
    """Means over blocks of pixels, of those blocks that carry image in at least half of their pixels."""
    z, y, x = array.shape
    by, bx = min(BLOCK, y), min(BLOCK, x)
    y, x = y - y % by, x - x % bx
    blocks = (y // by, by, x // bx, bx)
    means = []
    for k in range(z):
        good = np.isfinite(array[k])
        if padding is not None:
            good &= ~padding[k]
        weight = good[:y, :x].reshape(blocks).sum((1, 3))
        total = np.where(good, array[k], 0.0)[:y, :x].reshape(blocks).sum((1, 3), dtype=np.float64)
        keep = weight >= by * bx / 2
        means.append((total[keep] / weight[keep]).astype(np.float32))
        scratch.release(array)
    return np.concatenate(means)
