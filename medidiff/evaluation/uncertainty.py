"""Coverage and reliability: whether the stated SD covers the error that was made.

medidiff states an SD per pixel; half of its 90 % interval is 1.645 SD, whatever the shape of the error
(the calibration of the model scales it so). Other levels assume a normal error, and show where it is not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import GeometryError, PixelError
from medidiff.volume import BoolArray, FloatArray

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
BINS = 10


@dataclass(frozen=True)
class SdBin:
    """Pixels of similar stated SD.

    Attributes:
        stated: root mean square of the stated SD (with the reference's noise, if given).
        observed: root mean square error.
        pixels: number of pixels.
    """

    stated: float
    observed: float
    pixels: int


@dataclass(frozen=True)
class Reliability:
    """How the stated uncertainty compares with the error.

    Attributes:
        levels: nominal coverages.
        observed: share of pixels whose error lies within the interval of each level.
        per_slice_90: observed coverage of the 90 % interval in each slice; None where no pixel counts.
        bins: tenths of the pixels, by stated SD, ascending.
        pixels: pixels that count.
        untouched: share of the pixels in the region that have no stated SD (0): left out.
        reference_sd: noise SD of the reference that was allowed for, root mean square over the pixels that
            count; 0 for a noise-free truth.
        unit: of the SDs.
        region: which pixels count, for people; "" for all.
    """

    levels: tuple[float, ...]
    observed: tuple[float, ...]
    per_slice_90: tuple[float | None, ...]
    bins: tuple[SdBin, ...]
    pixels: int
    untouched: float
    reference_sd: float
    unit: str
    region: str

    @property
    def coverage_90(self) -> float:
        """Observed coverage of the 90 % interval, pooled over the pixels."""
        return self.observed[self.levels.index(0.9)]

    @property
    def text(self) -> str:
        """Protocol for people."""
        noise = f"reference noise {self.reference_sd:.3g} {self.unit}" if self.reference_sd else "noise-free"
        where = self.region or "all pixels"
        return f"|test - reference| within z SD, z from the normal distribution; reference {noise}; {where}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "coverage_90": self.coverage_90, "text": self.text}


def reliability(
    reference: FloatArray,
    test: FloatArray,
    sd: FloatArray,
    valid: BoolArray | None = None,
    reference_sd: float | FloatArray = 0.0,
    unit: str = "HU",
    region: str = "",
) -> Reliability:
    """Coverage at each level, and observed against stated error.

    Args:
        reference: ``[z, y, x]``.
        test: the estimate, same shape.
        sd: its stated SD, same shape and unit; 0 where nothing was stated.
        valid: pixels that count; None for all. Those that are not numbers in either image never do.
        reference_sd: noise SD of the reference, independent of the error, a number or a map of that shape;
            added in quadrature.
        unit: unit of the values, for people.
        region: what `valid` marks, for people.

    Raises:
        GeometryError: the shapes differ.
        PixelError: no pixel has a stated SD, or one is negative or not a number.
    """
    from scipy.stats import norm

    _check_shapes(reference, test, sd, reference_sd)
    own = np.broadcast_to(np.asarray(reference_sd, np.float64), reference.shape)
    inside = _masks(reference, test, sd, valid)
    stated = [m & (sd[z] > 0) for z, m in enumerate(inside)]
    pixels, asked = sum(int(m.sum()) for m in stated), sum(int(m.sum()) for m in inside)
    if not pixels:
        raise PixelError("No pixel has a stated uncertainty")
    step = max(pixels // 1_000_000, 1)
    sample = np.concatenate([sd[z][m][::step] for z, m in enumerate(stated)])
    edges = np.quantile(sample, np.arange(1, BINS) / BINS)
    z_of = norm.ppf(0.5 + 0.5 * np.asarray(LEVELS))
    within = np.zeros((len(reference), len(LEVELS)), np.int64)
    counted = np.zeros(len(reference), np.int64)
    sums, noise = np.zeros((3, BINS)), 0.0
    for z, m in enumerate(stated):
        square = np.square(test[z][m].astype(np.float64) - reference[z][m])
        allowed = np.square(own[z][m])
        variance = np.square(sd[z][m].astype(np.float64)) + allowed
        noise += float(allowed.sum())
        ratio = np.sort(square / variance)
        within[z], counted[z] = np.searchsorted(ratio, z_of**2, "right"), ratio.size
        which: NDArray[np.intp] = np.searchsorted(edges, sd[z][m], "right")
        sums += [np.bincount(which, w, BINS) for w in (variance, square, np.ones(square.size))]
    nominal_90 = LEVELS.index(0.9)
    return Reliability(
        levels=LEVELS,
        observed=tuple((within.sum(0) / pixels).tolist()),
        per_slice_90=tuple(
            float(w / n) if n else None for w, n in zip(within[:, nominal_90], counted, strict=True)
        ),
        bins=tuple(SdBin(float(np.sqrt(v / n)), float(np.sqrt(e / n)), int(n)) for v, e, n in sums.T if n),
        pixels=pixels,
        untouched=1.0 - pixels / asked,
        reference_sd=float(np.sqrt(noise / pixels)),
        unit=unit,
        region=region,
    )


def _check_shapes(
    reference: FloatArray, test: FloatArray, sd: FloatArray, reference_sd: float | FloatArray
) -> None:
    if not reference.shape == test.shape == sd.shape:
        raise GeometryError(
            "Reference, test and uncertainty must have the same shape",
            received=f"{reference.shape}, {test.shape} and {sd.shape}",
        )
    if np.ndim(reference_sd) and np.shape(reference_sd) != reference.shape:
        raise GeometryError(
            "A map of the reference's noise must have the shape of the reference",
            received=f"{np.shape(reference_sd)} and {reference.shape}",
        )


def _masks(
    reference: FloatArray, test: FloatArray, sd: FloatArray, valid: BoolArray | None
) -> list[BoolArray]:
    """The pixels of each slice that count ``[y, x]``; all of them have an SD that makes sense."""
    inside = [np.isfinite(a) & np.isfinite(b) for a, b in zip(reference, test, strict=True)]
    if valid is not None:
        inside = [m & valid[z] for z, m in enumerate(inside)]
    if any(not np.isfinite(sd[z][m]).all() or (sd[z][m] < 0).any() for z, m in enumerate(inside)):
        raise PixelError("The uncertainty must be finite and not negative where it counts")
    return inside
