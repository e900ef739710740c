"""The linear-Gaussian fixture: images as exact linear combinations of independent Gaussian sources.

A `Field` holds, per spatial frequency, its gain on each source (clean image, scan noise, every fresh noise
image drawn on the way). The samplers only add, subtract and scale, so they run on a `Field` as on an array,
and all powers at the end are exact: no Monte Carlo error stands between the code and the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

PIXEL_CM = 0.0742
KERNEL = {
    0: 1, 0.4: 0.96, 1.1: 1, 1.7: 1.05, 2.3: 0.87, 2.9: 0.81, 3.6: 0.67, 4.2: 0.56, 4.8: 0.43, 5.5: 0.30,
    6.1: 0.20, 6.7: 0.13, 9.6: 0.02,
}  # fmt: skip


class Field:
    """sum_k gain_k(f) source_k, the sources independent, source k of power `powers[k]`."""

    __array_ufunc__ = None  # a NumPy scalar on the left leaves the product to __rmul__

    def __init__(self, gains: dict[str, Any], powers: dict[str, np.ndarray]) -> None:
        self.gains, self.powers = gains, powers

    def _combine(self, other: Field, a: float, b: float) -> Field:
        names = self.gains.keys() | other.gains.keys()
        gains = {k: a * self.gains.get(k, 0.0) + b * other.gains.get(k, 0.0) for k in names}
        return Field(gains, {**self.powers, **other.powers})

    def __add__(self, other: Field) -> Field:
        return self._combine(other, 1.0, 1.0)

    def __sub__(self, other: Field) -> Field:
        return self._combine(other, 1.0, -1.0)

    def filtered(self, gain: Any) -> Field:
        return Field({k: gain * g for k, g in self.gains.items()}, self.powers)

    def __mul__(self, scale: float) -> Field:
        assert np.ndim(scale) == 0, "a map is no multiple of a stationary field"
        return self.filtered(float(scale))

    __rmul__ = __mul__

    def __truediv__(self, scale: float) -> Field:
        return self * (1.0 / scale)

    @property
    def power(self) -> np.ndarray:
        """Power spectrum."""
        return sum(np.abs(g) ** 2 * self.powers[k] for k, g in self.gains.items()) + np.zeros(R.shape)

    @property
    def variance(self) -> float:
        return average(self.power)

    def part(self, *names: str) -> float:
        """Variance that comes from sources whose name starts with one of `names`."""
        chosen = {k: g for k, g in self.gains.items() if k.startswith(names)}
        return Field(chosen, self.powers).variance


# The 256 x 256 grid; everything is radial, so that each |f| is kept once, with its count as weight.
_k = np.fft.fftfreq(256, 1 / 256).astype(int)
_k2, COUNT = np.unique(_k[:, None] ** 2 + _k**2, return_counts=True)
R = np.sqrt(_k2) / (256 * PIXEL_CM)


def average(power: np.ndarray) -> float:
    """Mean over the grid: the variance of a field of this power."""
    return float(np.average(power, weights=COUNT))


SX = (R + 0.15) ** -3.2
SX *= 70.0**2 / average(SX)
_A = np.interp(R, list(KERNEL), list(KERNEL.values()))
UNIT_N = (R + 0.05) * _A**2
UNIT_N /= average(UNIT_N)
WHITE = np.ones_like(R)


class Scan:
    """One scan of the fixture at noise SD sigma (HU), with its exact estimators."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma
        self.N = sigma**2 * UNIT_N
        self.w = SX / (SX + self.N)
        self.x = Field({"x": 1.0}, {"x": SX})
        self.n = Field({"n": 1.0}, {"n": self.N})
        self.y = self.x + self.n
        self.V = SX * self.N / (SX + self.N)

    def denoised(self, with_v: bool = True) -> Callable[[Field, float], tuple[Field, float | None]]:
        """E[x | x_t] for the matched process; v = mean posterior variance."""

        def call(x: Field, t: float) -> tuple[Field, float | None]:
            gain = SX / (SX + t**2 * UNIT_N)
            return x.filtered(gain), average(t**2 * UNIT_N * gain) if with_v else None

        return call

    def figures(self, out: Field) -> tuple[float, float, float, float]:
        """Gain in PSNR (dB), HF power ratio, removed noise and LSD of a result."""
        gain = 10 * np.log10(average(self.N) / (out - self.x).variance)
        band, positive = (R > 3) & (R < 6), R > 0
        power = out.power
        hf = (power * COUNT)[band].sum() / (SX * COUNT)[band].sum()
        removed = np.sqrt((self.y - out).variance / average(self.N))
        lsd = np.average(np.abs(np.log(power[positive] / SX[positive])), weights=COUNT[positive])
        return float(gain), float(hf), float(removed), float(lsd)


def fresh(power: np.ndarray) -> Callable[[Any], Field]:
    """A noise source: every call gives an independent unit-SD field of this colour."""
    count = iter(range(10_000))

    def noise(rng: Any) -> Field:
        name = f"e{next(count)}"
        return Field({name: 1.0}, {name: power / average(power)})

    return noise
