"""Noise texture: reconstruction kernels, noise power spectra, and noise synthesised from them.

Frequencies are in lp/cm (line pairs per centimetre) from the true pixel size, so that a kernel is the
same physical filter at every matrix size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray

PATCHES = 512
"""Patches transformed at once: complex ones of a whole slice take a hundred times its memory."""


def radial_frequency(shape: Sequence[int], pixel_mm: float | tuple[float, float]) -> FloatArray:
    """Radial frequency of each coefficient of `numpy.fft.rfft2`.

    Args:
        shape: image shape ``(h, w)``.
        pixel_mm: pixel size in mm, one number or ``(row, column)``.

    Returns:
        float32 ``[h, w // 2 + 1]`` in lp/cm.
    """
    dy, dx = (pixel_mm, pixel_mm) if isinstance(pixel_mm, (int, float)) else pixel_mm
    fy = np.fft.fftfreq(shape[0], dy / 10.0)[:, None]
    fx = np.fft.rfftfreq(shape[1], dx / 10.0)[None, :]
    return np.asarray(np.hypot(fy, fx), np.float32)


@dataclass(frozen=True)
class Kernel:
    """Amplitude of a reconstruction kernel relative to the ramp filter.

    A(f) = (1 + boost f^2) / (1 + (f / f50)^power), f in lp/cm. Fits of measured kernels: a soft body
    kernel has f50 4.36, power 3.85; a sharp one f50 infinite, boost 0.009.

    Attributes:
        f50: frequency in lp/cm at which the low-pass part falls to one half; infinite for none.
        power: steepness of the low-pass part.
        boost: high-frequency boost in cm^2.
    """

    f50: float = 4.36
    power: float = 3.85
    boost: float = 0.0

    def response(self, f: FloatArray) -> FloatArray:
        """Amplitude at frequencies `f` in lp/cm."""
        return np.asarray(amplitude(f, self.f50, self.power, self.boost), np.float32)


def amplitude(f: Any, f50: Any, power: Any, boost: Any) -> Any:
    """A(f) of `Kernel`, of NumPy's arrays or those of JAX."""
    return (1.0 + boost * f**2) * (1.0 / (1.0 + (f / f50) ** power))


@dataclass(frozen=True)
class Family:
    """Kernels whose parameters are uniform within these bounds; see `Kernel`."""

    f50: tuple[float, float]
    power: tuple[float, float]
    boost: tuple[float, float] = (0.0, 0.0)


SOFT, SHARP = Family((3.5, 6.0), (3.0, 6.0)), Family((7.0, 12.0), (4.0, 8.0), (0.0, 0.02))
"""Kernels of the training: soft to medium ones, and ones with a sharpening boost."""

SHARP_SHARE = 0.25


def named_kernel(name: str | float) -> Kernel:
    """A kernel by its name, ``soft`` or ``sharp`` (fits of measured ones), or by its f50 in lp/cm."""
    if isinstance(name, str):
        return {"soft": Kernel(), "sharp": Kernel(f50=float("inf"), boost=0.009)}[name]
    return Kernel(f50=name)


def draw_kernel(rng: np.random.Generator) -> Kernel:
    """A kernel of the training: `SOFT`, or at times `SHARP`."""
    if rng.random() < SHARP_SHARE:
        f50, power = float(rng.uniform(*SHARP.f50)), float(rng.uniform(*SHARP.power))
        return Kernel(f50, power, boost=float(rng.uniform(*SHARP.boost)))
    return Kernel(f50=float(rng.uniform(*SOFT.f50)), power=float(rng.uniform(*SOFT.power)))


def filter_image(image: FloatArray, response: FloatArray) -> FloatArray:
    """Applies a frequency response ``[h, w // 2 + 1]`` to images ``[..., h, w]`` (periodic)."""
    from scipy import fft

    shape = image.shape[-2:]
    return np.asarray(fft.irfft2(fft.rfft2(image) * response, s=shape), np.float32)


def hann_patches(image: FloatArray, mask: NDArray[np.bool_] | None = None, size: int = 64) -> FloatArray:
    """Patches at half overlap whose pixels all lie in `mask`.

    Returns:
        float32 ``[n, size, size]``; n may be zero.
    """
    h, w = image.shape
    step = size // 2
    patches = [
        image[y : y + size, x : x + size]
        for y in range(0, h - size + 1, step)
        for x in range(0, w - size + 1, step)
        if mask is None or mask[y : y + size, x : x + size].all()
    ]
    return np.stack(patches).astype(np.float32) if patches else np.zeros((0, size, size), np.float32)


@dataclass(frozen=True)
class Spectrum:
    """Radial noise power spectrum.

    Attributes:
        f: bin centres in lp/cm, ascending.
        power: noise power in each bin (unit^2 mm^2).
    """

    f: FloatArray
    power: FloatArray

    @property
    def mean_frequency(self) -> float:
        """Mean frequency in lp/cm of the radial profile, sum S f^2 / sum S f.

        The profile is weighted by f because a ring of the plane holds that much more noise.
        """
        weight = self.power * self.f
        return float((weight * self.f).sum() / max(float(weight.sum()), 1e-30))

    def __call__(self, f: FloatArray) -> FloatArray:
        """Power at frequencies `f`, linear between bins, constant outside."""
        return np.interp(f, self.f, self.power).astype(np.float32)


def mean_side(pixel_mm: float | tuple[float, float]) -> float:
    """Geometric mean of the sides of a pixel, given as one number or ``(row, column)``."""
    dy, dx = (pixel_mm, pixel_mm) if isinstance(pixel_mm, (int, float)) else pixel_mm
    return dy if dy == dx else float(np.sqrt(dy * dx))


def noise_power_spectrum(
    patches: FloatArray, pixel_mm: float | tuple[float, float], bins: int = 32
) -> Spectrum:
    """Radial NPS of noise patches (ICRU 87): Hann window, mean removed, averaged over patches and angles.

    Args:
        patches: ``[n, p, p]`` noise, real-world unit.
        pixel_mm: pixel size in mm, one number or ``(row, column)``.
        bins: number of radial bins up to the Nyquist frequency, that of the geometric mean of the sides.
    """
    side = mean_side(pixel_mm)
    size = patches.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)[None, :]
    total_power = np.zeros((size, size // 2 + 1))
    for some in np.array_split(patches, len(patches) // PATCHES + 1):
        centred = (some - some.mean((-2, -1), keepdims=True)) * window
        total_power += (np.abs(np.fft.rfft2(centred)) ** 2).sum(0)
    mean = side**2 / (window**2).sum() * total_power / len(patches)
    f = radial_frequency((size, size), pixel_mm)
    # A coefficient of the half plane stands for two of the whole plane, except on its edges.
    twice = np.full(f.shape, 2.0)
    twice[:, 0] = 1.0
    if size % 2 == 0:
        twice[:, -1] = 1.0
    edges = np.linspace(0.0, 5.0 / side, bins + 1)
    which = np.digitize(f, edges) - 1
    inside = (which >= 0) & (which < bins) & (f > 0)
    total = np.bincount(which[inside], (mean * twice)[inside], bins)
    centre = np.bincount(which[inside], (f * twice)[inside], bins)
    count = np.bincount(which[inside], twice[inside], bins)
    used = count > 0
    return Spectrum(
        (centre[used] / count[used]).astype(np.float32), (total[used] / count[used]).astype(np.float32)
    )


def synthesise(
    shape: tuple[int, int],
    amplitude: FloatArray,
    rng: np.random.Generator,
    sd_map: FloatArray | None = None,
) -> FloatArray:
    """Matched noise: stationary noise of a given spectrum times a local standard-deviation map.

    Args:
        shape: ``(h, w)``.
        amplitude: square root of the noise power on the rfft2 grid, ``[h, w // 2 + 1]``; its scale
            does not matter.
        rng: source of randomness.
        sd_map: local SD ``[h, w]``; None for unit SD everywhere.

    Returns:
        float32 ``[h, w]``, SD 1 (before the map).
    """
    from scipy import fft

    white = rng.standard_normal(shape, dtype=np.float32)
    noise = np.asarray(fft.irfft2(fft.rfft2(white) * amplitude, s=shape), np.float32)
    expected = np.sqrt(_plane_mean(np.square(amplitude, dtype=np.float64), shape[1]))
    noise /= np.float32(max(expected, 1e-30))
    return noise if sd_map is None else noise * sd_map


def _plane_mean(power: NDArray[np.float64], width: int) -> float:
    """Mean over the whole Fourier plane of a quantity given on its rfft2 half."""
    doubled = power[:, 1 : (width + 1) // 2].sum()
    single = power[:, 0].sum() + (power[:, -1].sum() if width % 2 == 0 else 0.0)
    return float((2.0 * doubled + single) / (power.shape[0] * width))
