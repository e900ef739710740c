"""Noise inserted into whole volumes: what `medidiff simulate` does, as functions of a volume and a seed.

Slice k draws from the generator of ``[seed, k]`` alone, so that a part of a scan gets the same noise as the
whole, in any order. Two scans with one seed therefore get the same noise: give each its own, or a tuple of
numbers that tells them apart, as `medidiff simulate` does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import CancelledError, UsageError
from medidiff.noise import ct, mr
from medidiff.volume import HU_RANGE, Volume

SHAPE_DOSE = 0.25
"""Dose whose mix of quantum and electronic noise is inserted where the user gives an SD instead of a dose."""

Progress = Callable[[int, int], None]

Seed = int | tuple[int, ...]
"""One number from 0, or several that count together."""


def dose_sigma(full_sigma: float, dose: float) -> float:
    """SD to add so that a scan of SD `full_sigma` looks taken at a fraction of its dose.

    Noise variance is inversely proportional to dose, so sigma_full^2 / a = sigma_full^2 + sigma_added^2.

    Args:
        full_sigma: noise SD of the scan.
        dose: fraction a, 0 < a < 1.
    """
    if not 0.0 < dose < 1.0:
        raise UsageError("The dose must be a fraction between 0 and 1", received=dose)
    return float(full_sigma * np.sqrt((1.0 - dose) / dose))


def insert_ct(
    volume: Volume,
    sigma: float,
    seed: Seed,
    *,
    dose: float = SHAPE_DOSE,
    scanner: ct.Scanner | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Volume:
    """Adds CT noise of a given SD, shaped in the projection domain (Yu et al. 2012).

    Streaks and the rise towards the centre come from the patient's own attenuation. The SD in soft tissue is
    `sigma` in every slice, as behind a tube current modulation that does its work.

    Args:
        volume: CT in HU, ``[z, y, x]``.
        sigma: SD to add in soft tissue, HU.
        seed: of all random numbers; the same for two scans gives both the same noise.
        dose: dose fraction, for the share of electronic noise.
        scanner: photons, electronic noise, kernel, views.
        progress: called with slices done and slices in all.
        cancelled: asked before each slice.

    Returns:
        the noisy volume; padding and values outside -1024 to 3071 HU are untouched.

    Raises:
        UsageError: a negative SD, or a dose that is no fraction.
        CancelledError: `cancelled` said so.
    """
    scanner = scanner or ct.Scanner()
    _check_sigma(sigma)
    out = volume.array.copy()
    for k, image in enumerate(volume.array):
        _check_cancelled(cancelled)
        rng = np.random.default_rng([*_numbers(seed), k])
        hu = np.clip(np.nan_to_num(image, nan=-1000.0), *HU_RANGE).astype(np.float32)
        bases = ct.bases(
            hu, volume.pixel_mm, rng, views=scanner.views, bow_tie=scanner.bow_tie, scale=scanner.scale
        )
        noise = ct.scale_to(ct.combine(bases, dose, scanner), hu, sigma)
        # Outside, values are no attenuation (padding, implants off scale): no noise there.
        inside = (image >= HU_RANGE[0]) & (image <= HU_RANGE[1]) & _lit(volume, k)
        out[k] = np.where(inside, image + noise, image)
        if progress:
            progress(k + 1, len(out))
    return volume.with_array(out)


def insert_mr(
    volume: Volume,
    params: mr.MRNoise,
    seed: Seed,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Volume:
    """Adds magnitude MR noise: Rician with one coil, non-central chi with more.

    With a g-map, which belongs to the whole scan, all slices share one generator instead of one each.

    Args:
        volume: magnitudes ``[z, y, x]``; negative values count as 0.
        params: noise, its SD in the volume's unit.
        seed: of all random numbers; the same for two scans gives both the same noise.
        progress: called with slices done and slices in all.
        cancelled: asked before each slice.

    Returns:
        the noisy volume; padding is untouched.

    Raises:
        CancelledError: `cancelled` said so.
    """
    clean = np.maximum(np.nan_to_num(volume.array), 0.0).astype(np.float32)
    out = np.empty_like(clean)
    shared = params.g_strength > 0
    for k in range(len(clean)):
        _check_cancelled(cancelled)
        if shared and k == 0:
            out = mr.simulate(clean, params, np.random.default_rng(seed))[0]
        elif not shared:
            out[k] = mr.simulate(clean[k], params, np.random.default_rng([*_numbers(seed), k]))[0]
        out[k] = np.where(_lit(volume, k), out[k], volume.array[k])
        if progress:
            progress(k + 1, len(out))
    return volume.with_array(out)


def _numbers(seed: Seed) -> tuple[int, ...]:
    """The numbers of a seed."""
    return (seed,) if isinstance(seed, int) else seed


def _lit(volume: Volume, k: int) -> NDArray[np.bool_] | np.bool_:
    """Where slice k carries image."""
    return np.bool_(True) if volume.padding is None else ~volume.padding[k]


def _check_sigma(sigma: float) -> None:
    if not (np.isfinite(sigma) and sigma >= 0):
        raise UsageError("The SD of the noise must be 0 or more", received=sigma)


def _check_cancelled(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("Cancelled; nothing was written")
