"""CT cache items made of known noise, and a cache folder of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import fft, ndimage

from medidiff.noise.spectrum import Kernel, radial_frequency
from medidiff.training import ct_cache
from medidiff.training.config import TrainConfig

PIXEL_MM = 0.7


def ramp_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Periodic noise of SD 1 with the NPS of the ramp filter (proportional to f)."""
    return coloured(np.sqrt(radial_frequency(shape, PIXEL_MM)), shape, rng)


def coloured(amplitude: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Periodic Gaussian noise with an amplitude per frequency, SD 1 in the mean."""
    noise = fft.irfft2(fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
    plane = fft.irfft2(amplitude**2 + 0j, s=shape)[0, 0]
    return np.asarray(noise / np.sqrt(plane), np.float32)


def item(
    hu: np.ndarray, rng: np.random.Generator, *, clean: bool = False, scan: str = "toy", present: bool = True
) -> ct_cache.Item:
    """A slice ``[h, w]`` (repeated as its own neighbours) with fresh ramp noise as bases."""
    three = np.stack([hu] * 3) if hu.ndim == 2 else hu
    shape = three.shape[1:]
    return ct_cache.Item(
        hu=np.rint(three).astype(np.int16),
        present=np.array([present, True, present]),
        bases=np.stack([ramp_noise(shape, rng) for _ in range(3)]).astype(np.float16),
        electronic_ratio=0.01,
        relative_sd=np.ones(shape, np.float16),
        pixel_mm=PIXEL_MM,
        clean=clean,
        scan=scan,
    )


def body(shape: tuple[int, int]) -> np.ndarray:
    """An ellipse of soft tissue with a few organs, in air, HU."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    r = np.hypot(y[:, None] / 0.9, x[None, :] / 0.95)
    hu = np.where(r < 1, 40.0, -1000.0)
    hu[np.hypot(y[:, None] + 0.2, x[None, :] - 0.4) < 0.2] = 90.0
    return ndimage.gaussian_filter(hu, 0.7)


def fill_cache(config: TrainConfig, role: str = "train", count: int = 4, sigma: float = 12.0) -> Path:
    """A cache of slices with soft-kernel noise of a known SD, the last one clean."""
    rng = np.random.default_rng(1)
    target = ct_cache.folder(config) / role
    target.mkdir(parents=True)
    shape = (96, 112)
    amplitude = np.sqrt(radial_frequency(shape, PIXEL_MM)) * Kernel().response(
        radial_frequency(shape, PIXEL_MM)
    )
    for k in range(count):
        clean = k == count - 1
        hu = body(shape) + (0.0 if clean else sigma) * coloured(amplitude, shape, rng)
        made = item(hu, rng, clean=clean)
        np.savez(target / f"toy_{k}.npz", **vars(made))
    return target
