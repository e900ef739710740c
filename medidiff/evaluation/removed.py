"""Removed-noise ratio: how much of the noise a result took away, against a reference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medidiff.evaluation.compare import check_same_grid
from medidiff.evaluation.region import Region
from medidiff.volume import Volume

SOFT_HU = (-200.0, 200.0)


@dataclass(frozen=True)
class RemovedNoise:
    """SD(scan - result) over SD(scan - reference).

    With a noise-free reference a perfect result has 1, a posterior mean less. Where the reference is noisy
    itself and the scan has a times its dose, the best estimate of that reference has sqrt(1 - a), and a
    perfect clean image 1 / sqrt(1 - a).

    Attributes:
        ratio: None where scan and reference are the same, or no pixel counts.
        pixels: pixels that it is from.
        text: which pixels those are.
    """

    ratio: float | None
    pixels: int
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def removed_noise(
    reference: Volume, scan: Volume, result: Volume, region: Region | None = None
) -> RemovedNoise:
    """The ratio over all slices: in soft tissue for CT (-200 < reference < 200 HU), everywhere for the rest.

    Args:
        reference: the clean or full-dose scan.
        scan: the noisy scan on the same grid.
        result: what was made of it.
        region: pixels that count; None for all. Padding never does.

    Raises:
        GeometryError: the volumes do not lie on the same grid.
    """
    volumes = reference, scan, result
    for other in volumes[1:]:
        check_same_grid(reference, other)
    sums, pixels = np.zeros(4), 0
    for z, truth in enumerate(reference.array):
        inside = np.isfinite(truth) & np.isfinite(scan.array[z]) & np.isfinite(result.array[z])
        for volume in volumes:
            if volume.padding is not None:
                inside &= ~volume.padding[z]
        if region is not None:
            inside &= region.inside[z]
        if reference.unit == "HU":
            inside &= (truth > SOFT_HU[0]) & (truth < SOFT_HU[1])
        y = scan.array[z][inside].astype(np.float64)
        removed, noise = y - result.array[z][inside], y - truth[inside]
        sums += [removed.sum(), (removed**2).sum(), noise.sum(), (noise**2).sum()]
        pixels += y.size
    hu = f"{SOFT_HU[0]:g} to {SOFT_HU[1]:g} HU of the reference"
    where = hu if reference.unit == "HU" else "all pixels"
    if region is not None:
        where += f", {region.text}"
    if not pixels:
        return RemovedNoise(None, 0, where)
    mean = sums / pixels
    removed_sd, noise_sd = (float(np.sqrt(max(mean[k + 1] - mean[k] ** 2, 0.0))) for k in (0, 2))
    return RemovedNoise(removed_sd / noise_sd if noise_sd > 0 else None, pixels, where)
