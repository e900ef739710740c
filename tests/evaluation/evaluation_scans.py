"""Scans made by formula for the tests of no-reference measures."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medidiff.noise.spectrum import Kernel, radial_frequency, synthesise

PIXEL_MM = 0.75


def ct_noise(shape: tuple[int, int], rng: np.random.Generator, sd: float = 1.0) -> np.ndarray:
    """Noise with the spectrum of a body kernel."""
    f = radial_frequency(shape, PIXEL_MM)
    return sd * synthesise(shape, np.sqrt(f) * Kernel().response(f), rng)


def anatomy(shape: tuple[int, int]) -> np.ndarray:
    """A trunk with organs, a lung, a spine and a vessel, edges one pixel soft, HU."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    image = np.full(shape, -1000.0)
    for (cy, cx), (ry, rx), hu in (
        ((0, 0), (0.8, 0.92), -80.0),
        ((0, 0), (0.72, 0.85), 40.0),
        ((-0.1, -0.35), (0.45, 0.4), 90.0),
        ((-0.2, 0.45), (0.3, 0.28), -850.0),
        ((0.5, 0.0), (0.15, 0.12), 500.0),
        ((0.15, 0.15), (0.06, 0.05), 180.0),
    ):
        image[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = hu
    return np.asarray(ndimage.gaussian_filter(image, 1.0), np.float32)
