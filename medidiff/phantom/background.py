"""Clustered lumpy background: random texture that looks like tissue, with a truth that is known.

Bochud, Abbey and Eckstein 1999, Opt Express 4:33. Clusters lie at random; each holds blobs of one
orientation, scattered about its middle. Their parameters made mammograms of 256 pixels, taken over pixel by
pixel.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray

CLUSTERS_PER_PX, BLOBS = 150.0 / 256.0**2, 20.0
"""Mean number of clusters, and of blobs in a cluster (both Poisson)."""

LENGTH_PX, WIDTH_PX = 5.0, 2.0
DECAY, POWER = 2.1, 0.5
SPREAD_PX = 12.0
"""A blob is exp(-2.1 (r / L)^0.5), L the radius of its 5 x 2 ellipse; SD of blobs about their cluster."""

ORIENTATIONS = 16
CONTINUITY = 0.9
"""Correlation of the background of the neighbours of a slice with its own."""


def clustered_lumps(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """One background of mean 0 and SD 1 over many draws.

    The ends of the image are joined, so that no place differs from another.

    Args:
        shape: ``(h, w)``.
        rng: source of randomness.

    Returns:
        float32 ``[h, w]``.
    """
    from scipy import fft

    h, w = shape
    blobs = np.zeros((ORIENTATIONS, h, w))
    for _ in range(rng.poisson(CLUSTERS_PER_PX * h * w)):
        middle = rng.uniform(0.0, (h, w))
        places = rng.normal(middle, SPREAD_PX, (rng.poisson(BLOBS), 2))
        y, x = np.rint(places).astype(np.intp).T
        np.add.at(blobs[rng.integers(ORIENTATIONS)], (y % h, x % w), 1.0)
    profiles = _profiles(shape)
    image = fft.irfft2((fft.rfft2(blobs) * profiles).sum(axis=0), s=shape)
    return np.asarray(image / _expected_sd(profiles, shape), np.float32)


@cache
def _profiles(shape: tuple[int, int]) -> NDArray[np.complex128]:
    """Transforms of the blob in each orientation, without their mean."""
    from scipy import fft

    blobs = np.stack([_blob(shape, np.pi * k / ORIENTATIONS) for k in range(ORIENTATIONS)])
    profiles: NDArray[np.complex128] = fft.rfft2(blobs)
    profiles[:, 0, 0] = 0.0
    return profiles


def _blob(shape: tuple[int, int], angle: float) -> NDArray[np.float64]:
    """One blob in the corner of a joined image, ``[h, w]``."""
    y, x = (np.fft.fftfreq(n, 1.0 / n) for n in shape)
    along = x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle)
    across = y[:, None] * np.cos(angle) - x[None, :] * np.sin(angle)
    r = np.hypot(along, across)
    # r / L(direction), L the radius of the ellipse in that direction
    ratio = np.hypot(along / LENGTH_PX, across / WIDTH_PX)
    return np.asarray(np.where(r > 0, np.exp(-DECAY * ratio**POWER), 1.0))


def _expected_sd(profiles: NDArray[np.complex128], shape: tuple[int, int]) -> float:
    """SD over draws: the spectrum of Poisson clusters of Poisson blobs (Bochud et al., eq. 7).

    The power of one place is (number of blobs) |B|^2 (1 + N |C|^2), C the transform of the scatter within a
    cluster: blobs of a cluster add up at frequencies that do not resolve it.
    """
    h, w = shape
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None, :]
    together = np.exp(-4.0 * (np.pi * SPREAD_PX) ** 2 * (fy**2 + fx**2))
    power = CLUSTERS_PER_PX * BLOBS * (1.0 + BLOBS * together) * np.mean(np.abs(profiles) ** 2, axis=0)
    twice = np.full(fx.shape[1], 2.0)
    twice[0] = 1.0
    if w % 2 == 0:
        twice[-1] = 1.0
    return float(np.sqrt((power * twice).sum() / (h * w)))
