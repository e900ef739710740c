"""Bootstrap over patients: how sure a mean is, given that slices of one patient are alike.

Slices are not independent; patients are. All resampling is of whole patients (cluster bootstrap, percentile
interval, Efron and Tibshirani 1993, sections 8 and 13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
FEW = 8
"""With fewer patients the percentile interval is known to be too narrow; the text says so."""


@dataclass(frozen=True)
class Interval:
    """A mean over patients with its bootstrap confidence interval.

    Attributes:
        value: the mean; None where no patient has a value.
        low: lower end; None with fewer than two patients, who give no interval.
        high: upper end.
        level: nominal coverage.
        patients: how many patients have a value.
        values: how many values (slices, or patient means) the mean is over.
        resamples: bootstrap resamples drawn.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    patients: int
    values: int
    resamples: int

    @property
    def text(self) -> str:
        """How the interval was found, for people."""
        if self.low is None:
            return f"no interval: {self.patients} patient{'' if self.patients == 1 else 's'}"
        few = ", too narrow with so few patients" if self.patients < FEW else ""
        return f"{self.level:.0%} bootstrap over {self.patients} patients{few}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "text": self.text}


def bootstrap(
    by_patient: Mapping[str, Sequence[float]],
    rng: np.random.Generator,
    pooled: bool = False,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean over patients and its percentile interval.

    Args:
        by_patient: the values (slices) of each patient; those that are not finite are left out.
        rng: source of randomness.
        pooled: mean over all values, so that a patient with many slices counts for more; False: mean of the
            patients' means.
        resamples: bootstrap resamples.
        level: nominal coverage.
    """
    finite = [np.asarray([v for v in values if np.isfinite(v)], np.float64) for values in by_patient.values()]
    finite = [values for values in finite if values.size]
    n = len(finite)
    sums = np.array([values.sum() if pooled else values.mean() for values in finite])
    counts = np.array([values.size if pooled else 1 for values in finite], np.float64)
    total = int(counts.sum())
    if not n:
        return Interval(None, None, None, level, 0, 0, 0)
    value = float(sums.sum() / total)
    if n == 1:
        return Interval(value, None, None, level, 1, total, 0)
    drawn: NDArray[np.intp] = rng.integers(n, size=(resamples, n))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(value, float(low), float(high), level, n, total, resamples)


def paired(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    rng: np.random.Generator,
    pooled: bool = False,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean difference first - second, slice by slice, over the patients that both have.

    Pairing takes out what differs between patients, so that the interval says how sure the difference is.

    Args:
        first: values of each patient.
        second: values of the same slices for the patients that it shares with `first`.
        rng: source of randomness.
        pooled: as in `bootstrap`.
        resamples: bootstrap resamples.
        level: nominal coverage.

    Raises:
        ValueError: a shared patient has another number of values.
    """
    shared = {
        patient: [a - b for a, b in zip(first[patient], second[patient], strict=True)]
        for patient in first
        if patient in second
    }
    return bootstrap(shared, rng, pooled, resamples, level)
