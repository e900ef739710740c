"""Stacks: clean magnitude volumes as training slices, in three orientations where they are isotropic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.intensity import Intensity
from medidiff.training.manifest import Scan
from medidiff.training.scans import naming, read_scan
from medidiff.volume import FloatArray, is_cubic

BACKGROUND = 0.03
"""Share of the foreground p99 below which smoothed signal counts as background."""


@dataclass(frozen=True)
class Stack:
    """A volume in one orientation.

    Attributes:
        slices: float32 ``[z, y, x]``, in units of the foreground p99.
        sigma: its own noise SD in the same unit.
        pixel_mm: in-plane pixel size.
        label: of the scan.
    """

    slices: FloatArray
    sigma: float
    pixel_mm: float
    label: str


def load_stacks(scan: Scan, minimum: int) -> list[Stack]:
    """A scan as stacks: its own slices, and for isotropic volumes the two other orientations too."""
    return [
        stack
        for slices, spacing, sigma in volumes(scan)
        for stack in views(slices, spacing, sigma, scan.label, minimum)
    ]


def volumes(scan: Scan) -> Iterator[tuple[FloatArray, tuple[float, float, float], float]]:
    """Slices ``[z, y, x]`` in units of the foreground p99, spacing in mm and own noise SD of each volume."""
    for volume in read_scan(scan):
        with naming(scan):
            slices = Intensity.for_volume("mr", volume).to_model(volume.array)
        yield slices, volume.spacing, own_level(slices)


def views(
    slices: FloatArray, spacing: tuple[float, float, float], sigma: float, label: str, minimum: int
) -> list[Stack]:
    """The orientations of a volume that are large enough, each cut to the slices that show something."""
    stacks = []
    dz, dy, dx = spacing
    views = [(slices, (dy, dx))]
    if is_cubic(spacing):
        views += [(slices.transpose(1, 0, 2), (dz, dx)), (slices.transpose(2, 0, 1), (dz, dy))]
    for view, pixel in views:
        if min(view.shape[1:]) < minimum:
            continue
        lit = np.array([foreground(s).mean() > 0.08 for s in view])
        first, last = int(np.argmax(lit)), len(lit) - int(np.argmax(lit[::-1]))
        pixel_mm = float(np.sqrt(pixel[0] * pixel[1]))
        stacks.append(Stack(np.ascontiguousarray(view[first:last]), sigma, pixel_mm, label))
    return stacks


def own_level(slices: FloatArray) -> float:
    """Noise SD of a volume in the unit of its slices, median over slices; 0 where none can be measured."""
    from medidiff.noise.estimate_mr import tissue_noise
    from medidiff.noise.flatness import noise_share
    from medidiff.noise.texture import interpolation_factor

    some = slices[:: max(1, len(slices) // 12)]
    found = [t for t in map(tissue_noise, some) if t is not None]
    if not found:
        return 0.0
    return noise_share(found, interpolation_factor(some)) * float(np.median([t.sigma for t in found]))


def foreground(clean: FloatArray) -> NDArray[np.bool_]:
    """True where there is signal, ``[h, w]``."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(clean, 5) > BACKGROUND, np.bool_)
