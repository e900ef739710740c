"""CT low-dose simulation: noise is inserted in the projection domain (Yu et al. 2012).

Filtered back-projection is linear and the inserted noise additive, so two base images a slice, one of
quantum and one of electronic noise, give any dose, photon count and electronic variance; filters
commute with it, so a radial image filter then gives any kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import UsageError
from medidiff.noise import projector
from medidiff.noise.spectrum import Kernel, filter_image, radial_frequency
from medidiff.volume import BODY_HU, SOFT_TISSUE_HU, FloatArray

MU_WATER = 0.0195
"""Linear attenuation of water per mm at about 70 keV."""

MAX_LINE_INTEGRAL = 12.0
"""Longer paths are clipped here: no photon would be left (e^-12), and e^p must not overflow."""

FEWEST_PIXELS = 200
"""A mask of fewer pixels gives no SD worth scaling to."""


@dataclass(frozen=True)
class NoiseBases:
    """Ramp-filtered noise of one slice at one photon per ray.

    Attributes:
        quantum: float32 ``[k, h, w]`` HU, k independent realisations of the quantum part B_q.
        electronic: float32 ``[h, w]`` HU, the electronic part B_e.
        pixel_mm: pixel size.
    """

    quantum: FloatArray
    electronic: FloatArray
    pixel_mm: float


@dataclass(frozen=True)
class Scanner:
    """Parameters of the insertion.

    Attributes:
        photons: photons a ray at full dose, I0.
        electronic: electronic noise variance in photons squared, Ne.
        kernel: reconstruction kernel relative to the ramp.
        bow_tie: whether I0 falls towards the edge of the field as behind a bow-tie filter.
        views: projection angles over pi.
        scale: factor on the line integrals: above 1 the patient is larger.
    """

    photons: float = 2.0e5
    electronic: float = 10.0
    kernel: Kernel = Kernel()
    bow_tie: bool = False
    views: int = 540
    scale: float = 1.0


def bases(
    hu: FloatArray,
    pixel_mm: float,
    rng: np.random.Generator,
    *,
    realisations: int = 1,
    views: int = 540,
    bow_tie: bool = False,
    scale: float = 1.0,
    backend: projector.Backend = "auto",
) -> NoiseBases:
    """Simulates the noise bases of one slice.

    Args:
        hu: ``[h, w]`` HU; values below -1000 count as air.
        pixel_mm: pixel size in mm.
        rng: source of randomness.
        realisations: independent quantum realisations.
        views: projection angles over pi.
        bow_tie: fall of I0 towards the edge of the field, as behind a bow-tie filter for a 320 mm cylinder.
        scale: factor on the line integrals (patient size).
        backend: projector to use.

    Returns:
        Bases B_q = FBP of sqrt(e^p) N(0, 1) and B_e = FBP of e^p N(0, 1), in HU at I0 = 1.
    """
    p, crop = _line_integrals(hu, pixel_mm, scale, views, backend)
    p = np.clip(p, 0.0, MAX_LINE_INTEGRAL)
    if bow_tie:
        p = p + bow_tie_path(p.shape[1], pixel_mm)
    to_hu = np.float32(1000.0 / (MU_WATER * pixel_mm))
    size = max(hu.shape)

    def noise(sd: FloatArray) -> FloatArray:
        sinogram = sd * rng.standard_normal(p.shape, dtype=np.float32)
        return np.asarray(projector.back_project(sinogram, size, backend)[crop] * to_hu, np.float32)

    quantum = np.stack([noise(np.exp(0.5 * p)) for _ in range(realisations)])
    return NoiseBases(quantum, noise(np.exp(p)), float(pixel_mm))


def _line_integrals(
    hu: FloatArray, pixel_mm: float, scale: float, views: int, backend: projector.Backend
) -> tuple[FloatArray, tuple[slice, slice]]:
    """Line integrals of a slice centred in a square of air, and where the slice lies in that square."""
    h, w = hu.shape
    size = max(h, w)
    top, left = (size - h) // 2, (size - w) // 2
    crop = (slice(top, top + h), slice(left, left + w))
    square = np.full((size, size), -1000.0, np.float32)
    square[crop] = hu
    mu = np.maximum(0.0, (square + 1000.0) / 1000.0) * np.float32(MU_WATER)
    return projector.forward(mu, views, backend) * np.float32(pixel_mm * scale), crop


def bow_tie_path(count: int, pixel_mm: float) -> FloatArray:
    """Line integral of the bow-tie filter for a 320 mm cylinder, float32 ``[count]`` over detector bins."""
    u = (np.arange(count) - (count - 1) / 2.0) * pixel_mm
    through = 2.0 * np.sqrt(np.maximum(160.0**2 - u**2, 0.0))
    return np.asarray(0.8 * MU_WATER * np.maximum(0.0, 320.0 - through), np.float32)


def mix(bases: NoiseBases, theta: float) -> FloatArray:
    """A further realisation of the quantum base: cos(theta) B1 + sin(theta) B2 keeps the covariance."""
    if len(bases.quantum) < 2:
        return np.asarray(bases.quantum[0], np.float32)
    return np.asarray(np.cos(theta) * bases.quantum[0] + np.sin(theta) * bases.quantum[1], np.float32)


def combine(bases: NoiseBases, dose: float, scanner: Scanner, theta: float = 0.0) -> FloatArray:
    """Noise to add to a full-dose slice so that it looks taken at a fraction of the dose.

    n = sqrt((1-a)/(a I0)) B_q + sqrt(Ne (1-a^2))/(a I0) B_e, filtered by the kernel (Yu et al. 2012,
    eq. 10, split into its two terms).

    Args:
        bases: of this slice.
        dose: dose fraction a, 0 < a < 1.
        scanner: I0, Ne and kernel (views, bow-tie and size went into the bases).
        theta: angle of the mix of two realisations.

    Returns:
        float32 ``[h, w]`` HU.
    """
    if not 0.0 < dose < 1.0:
        raise UsageError("The dose must be a fraction between 0 and 1", received=dose)
    quantum = np.sqrt((1.0 - dose) / (dose * scanner.photons))
    electronic = np.sqrt(scanner.electronic * (1.0 - dose**2)) / (dose * scanner.photons)
    ramp = np.float32(quantum) * mix(bases, theta) + np.float32(electronic) * bases.electronic
    return filter_padded(ramp, bases.pixel_mm, scanner.kernel)


def filter_padded(noise: FloatArray, pixel_mm: float, kernel: Kernel, margin: int = 16) -> FloatArray:
    """Applies a kernel with a mirrored margin, so that opposite edges do not mix."""
    padded = np.pad(noise, margin, mode="reflect")
    response = kernel.response(radial_frequency(padded.shape, pixel_mm))
    return filter_image(padded, response)[margin:-margin, margin:-margin]


def soft_tissue(hu: FloatArray) -> NDArray[np.bool_]:
    """Mask of soft tissue, for what always needs one: the body, or all, where there is too little of it.

    `estimate_ct.soft_tissue` rather returns an empty mask, from which no level is measured.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(hu, 2.0)
    low, high = SOFT_TISSUE_HU
    mask = ndimage.binary_erosion((smooth > low) & (smooth < high), iterations=2)
    if mask.sum() < FEWEST_PIXELS:
        mask = smooth > BODY_HU
    if mask.sum() < FEWEST_PIXELS:
        mask = np.ones(hu.shape, bool)
    return np.asarray(mask, np.bool_)


def scale_to(noise: FloatArray, hu: FloatArray, sigma: float) -> FloatArray:
    """Scales noise ``[h, w]`` to an SD of `sigma` HU in the soft tissue of `hu`."""
    sd = float(noise[soft_tissue(hu)].std())
    return np.asarray(noise * np.float32(sigma / max(sd, 1e-12)), np.float32)


def acquire(
    hu: FloatArray, pixel_mm: float, photons: Sequence[float], scanner: Scanner, rng: np.random.Generator,
    count: int = 1, backend: projector.Backend = "auto",
) -> FloatArray:  # fmt: skip
    """Noise of exact acquisitions of a noise-free object: counts are drawn and the log is clipped.

    p = -ln(max(Poisson(I0 e^-p) + sqrt(Ne) N(0, 1), 1) / I0).

    Args:
        hu: ``[h, w]`` HU without noise.
        pixel_mm: pixel size in mm.
        photons: photons a ray I0 of one or more exposures; that of the scanner is not used.
        scanner: Ne, kernel, bow-tie, views and size.
        rng: source of randomness.
        count: independent acquisitions at each exposure.
        backend: projector to use.

    Returns:
        float32 ``[exposures, count, h, w]`` HU to add to `hu`.
    """
    p, crop = _line_integrals(hu, pixel_mm, scanner.scale, scanner.views, backend)
    path = bow_tie_path(p.shape[1], pixel_mm) if scanner.bow_tie else np.zeros(p.shape[1], np.float32)
    out = np.empty((len(photons), count, *hu.shape), np.float32)
    for i, exposure in enumerate(photons):
        counts = exposure * np.exp(-path.astype(np.float64))
        for k in range(count):
            detected = rng.poisson(counts * np.exp(-p)).astype(np.float64)
            detected += np.sqrt(scanner.electronic) * rng.standard_normal(p.shape)
            noisy = -np.log(np.maximum(detected, 1.0) / counts)
            error = projector.back_project((noisy - p).astype(np.float32), max(hu.shape), backend)
            error = error[crop] * np.float32(1000.0 / (MU_WATER * pixel_mm))
            out[i, k] = filter_padded(np.ascontiguousarray(error), pixel_mm, scanner.kernel)
    return out
