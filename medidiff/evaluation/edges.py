"""Edge correlation: does what was removed follow the edges of the anatomy?

At one point, stationary Gaussian noise and its gradient are independent. So the local mean of the removed
noise, in units of its local level, and the gradient of the result are uncorrelated, even though the result
keeps some of the same noise: a correlation is anatomy in the difference image (positive), or a denoiser that
leaves the noise at edges alone (negative). Its chance scatter is that of the same two images shifted against
each other, taken from all shifts at once by a Fourier transform.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import BoolArray, FloatArray

GRADIENT_PX = 2.5
LEVEL_PX = 6.0
NEAREST_PX, FARTHEST_PX = 16, 64
"""Shifts that serve as surrogates: beyond the reach of the filters, within the size of organs."""
FEWEST_PIXELS = 4096

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EdgeCorrelation:
    """Rank correlation of the removed local mean with the gradient of the result.

    Attributes:
        value: between -1 and 1; above 0 where edges were removed.
        z: `value` over its SD among shifted surrogates.
        surrogates: number of shifts that the SD is from.
    """

    value: float
    z: float
    surrogates: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def edge_correlation(
    smooth: FloatArray, fine_power: FloatArray, result: FloatArray, inside: BoolArray
) -> EdgeCorrelation | None:
    """Correlation for one slice; None where fewer than 4096 pixels are inside, or all are alike.

    Args:
        smooth: local mean of the removed noise ``[y, x]``.
        fine_power: square of the removed noise less its local mean ``[y, x]``.
        result: the denoised slice ``[y, x]``.
        inside: pixels that count ``[y, x]``.
    """
    from scipy import fft, ndimage

    if np.count_nonzero(inside) < FEWEST_PIXELS:
        return None
    weight = ndimage.gaussian_filter(inside.astype(np.float32), LEVEL_PX)
    level = ndimage.gaussian_filter(np.where(inside, fine_power, np.float32(0.0)), LEVEL_PX)
    local = np.sqrt(np.maximum(level, 0.0) / np.maximum(weight, 1e-3))
    relative = np.abs(smooth) / np.maximum(local, 1e-12)
    gradient = ndimage.gaussian_gradient_magnitude(result, GRADIENT_PX)
    first, second = _ranks(relative, inside), _ranks(gradient, inside)
    if first is None or second is None:
        return None
    shape = [fft.next_fast_len(n + FARTHEST_PX, real=True) for n in inside.shape]
    cross = fft.irfft2(fft.rfft2(first, shape) * np.conj(fft.rfft2(second, shape)), shape)
    overlap = fft.irfft2(np.abs(fft.rfft2(inside.astype(np.float64), shape)) ** 2, shape)
    value = cross[0, 0] / overlap[0, 0]
    lag = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij"))
    far = (lag > NEAREST_PX) & (lag < FARTHEST_PX) & (overlap > 0.25 * overlap[0, 0])
    if np.count_nonzero(far) < 100:
        return None
    # Few pixels overlap at a long shift, and scatter more: that is put right before the SD is taken.
    scatter = cross[far] / np.sqrt(overlap[far] * overlap[0, 0])
    sd = float(np.sqrt(np.mean(scatter**2)))
    return EdgeCorrelation(float(value), float(value) / sd, int(np.count_nonzero(far)))


def _ranks(image: FloatArray, inside: BoolArray) -> Floats | None:
    """Ranks of the pixels inside, mean 0 and SD 1, and 0 outside; None where all values are equal."""
    values = image[inside]
    if not values.max() > values.min():
        return None
    rank = np.empty(values.size)
    rank[np.argsort(values)] = np.arange(values.size)
    out = np.zeros(image.shape)
    out[inside] = (rank - rank.mean()) / rank.std()
    return out
