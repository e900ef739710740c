"""References: cached CT slices as training targets, with the level and the kernel of their own noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.noise import ct
from medidiff.noise.spectrum import Kernel, hann_patches, noise_power_spectrum
from medidiff.training import ct_cache
from medidiff.training.config import TrainConfig
from medidiff.volume import FloatArray

MAX_TARGET_SD = 32.0
"""HU; noisier slices are no targets."""

BINNED = 0.4
"""Noise of a mean of three slices binned two by two, over that of one: 1/sqrt(3) times 0.7 for its colour."""

OWN_GRID = np.linspace(0.0, 14.0, 57).astype(np.float32)
"""Frequencies in lp/cm of the measured kernels."""


@dataclass(frozen=True)
class Reference:
    """A cached slice as a training target.

    Attributes:
        item: pixels and noise bases.
        sigma: its own noise SD, HU.
        own: its kernel relative to the ramp, amplitude on `OWN_GRID`.
        soft: mask for the noise level.
        weight: loss weight.
        worth: where there is a body.
    """

    item: ct_cache.Item
    sigma: float
    own: FloatArray
    soft: NDArray[np.bool_]
    weight: FloatArray
    worth: NDArray[np.bool_]


def cached_references(config: TrainConfig, role: str) -> list[Reference]:
    """The slices of the cache of a role, with their measured levels and kernels."""
    items = [ct_cache.load(p) for p in ct_cache.paths(config, role)]
    kernels, levels = measured_kernels(items), measured_levels(items)
    weight = config.optimiser.soft_weight
    return [
        reference_of(item, levels[item.scan, item.clean][k], kernels[item.scan], weight)
        for item, k in zip(items, _rank(items), strict=True)
    ]


def reference_of(item: ct_cache.Item, sigma: float, own: FloatArray, soft_weight: float) -> Reference:
    """A cached slice with what follows from it: masks and loss weights.

    Args:
        item: the slice.
        sigma: its own noise SD, HU.
        own: amplitude of its kernel on `OWN_GRID`.
        soft_weight: loss weight of soft tissue.
    """
    from scipy import ndimage

    hu = item.hu[1].astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, 2.0)
    weight = np.where((smooth > -200.0) & (smooth < 200.0), soft_weight, 1.0).astype(np.float32)
    return Reference(item, sigma, own, ct.soft_tissue(hu), weight, smooth > -900.0)


def _rank(items: list[ct_cache.Item]) -> list[int]:
    """Place of each item among those of its scan and pool."""
    seen: dict[tuple[str, bool], int] = {}
    ranks = []
    for item in items:
        key = (item.scan, item.clean)
        ranks.append(seen.get(key, 0))
        seen[key] = ranks[-1] + 1
    return ranks


def measured_levels(items: list[ct_cache.Item]) -> dict[tuple[str, bool], list[float]]:
    """Noise SD in HU of each item, by scan and pool, steadied by its neighbours in the scan.

    The global noise level of one slice scatters; the dose changes slowly along a scan, so that a running
    median of five is used. Slices without enough soft tissue take the median of their scan. Binned slab
    means have too little flat tissue to measure; they carry `BINNED` of the level of their scan.
    """
    from scipy import ndimage

    from medidiff.noise.estimate_ct import global_noise_level

    raw: dict[tuple[str, bool], list[float]] = {}
    for item in [i for i in items if not i.clean]:
        sigma, _ = global_noise_level(item.hu[1].astype(np.float32))
        raw.setdefault((item.scan, False), []).append(sigma)
    levels = {}
    for key, values in raw.items():
        found = np.asarray(values)
        middle = float(np.nanmedian(found)) if np.isfinite(found).any() else MAX_TARGET_SD + 1.0
        found = np.where(np.isfinite(found), found, middle)
        if len(found) > 1:  # of a single value scipy's filter makes 0
            found = ndimage.median_filter(found, 5, mode="nearest")
        levels[key] = [float(v) for v in found]
    for item in [i for i in items if i.clean]:
        parent = float(np.median(levels[item.scan, False]))
        levels.setdefault((item.scan, True), []).append(BINNED * parent)
    return levels


def measured_kernels(items: list[ct_cache.Item], size: int = 32) -> dict[str, FloatArray]:
    """Kernel of each scan relative to the ramp, from the noise in its flat soft tissue.

    The NPS of flat patches over that of the ramp-filtered bases in the same places is A^2. Below
    1.2 lp/cm anatomy leaks into the patches, so A is held constant there; where too few flat patches
    exist, a typical body kernel stands in.

    Returns:
        For each scan label, amplitude on `OWN_GRID`, 1 at low frequency.
    """
    from scipy import ndimage

    tables: dict[str, FloatArray] = {}
    for label in sorted({i.scan for i in items}):
        image, ramp, pixel_mm = [], [], 0.7
        for item in [i for i in items if i.scan == label and not i.clean]:
            hu = item.hu[1].astype(np.float32)
            pixel_mm = item.pixel_mm
            mean = ndimage.uniform_filter(hu, 9)
            local = np.sqrt(np.maximum(ndimage.uniform_filter(hu * hu, 9) - mean * mean, 0.0))
            mask = ct.soft_tissue(hu)
            if mask.sum() < 200:
                continue
            flat = mask & (local < 1.5 * np.percentile(local[mask], 20))
            flat = ndimage.binary_dilation(ndimage.binary_erosion(flat), iterations=3)
            high = hu - ndimage.gaussian_filter(hu, 6.0)
            image.append(hann_patches(high, flat, size))
            ramp.append(hann_patches(item.bases[0].astype(np.float32), flat, size))
        count = sum(map(len, image))
        response = Kernel().response(OWN_GRID)
        if count >= 8:
            measured = noise_power_spectrum(np.concatenate(image), pixel_mm, 16)
            base = noise_power_spectrum(np.concatenate(ramp), pixel_mm, 16)
            amplitude = np.sqrt(measured.power / np.maximum(base.power, 1e-12))
            amplitude = ndimage.gaussian_filter1d(amplitude, 0.7)
            level = float(np.interp(1.2, measured.f, amplitude))
            response = np.interp(OWN_GRID, measured.f, amplitude / max(level, 1e-9)).astype(np.float32)
            response[OWN_GRID < 1.2] = 1.0
            response = np.clip(response, 0.01, 3.0)
        tables[label] = response.astype(np.float32)
    return tables
