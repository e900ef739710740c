"""Pictures, samples and rows whose truth is known."""

from __future__ import annotations

import numpy as np
from quality.rows import Row
from scipy import ndimage

from medidiff.training.patches import SimulatedSlice


def phantom(size: int = 64, scale: float = 100.0) -> np.ndarray:
    """Ellipses on a slope, float32 ``[size, size]``."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    image = 0.3 * x + 0.4
    image[(x / 0.6) ** 2 + (y / 0.8) ** 2 < 1] += 1.0
    image[(x - 0.2) ** 2 + (y + 0.2) ** 2 < 0.06] -= 0.5
    return (scale * image).astype(np.float32)


class SmoothSource:
    """Smooth random pictures under white noise of SD 0.3: a network has only to learn to average."""

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        shape = (40, 40)
        smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 5.0, mode="wrap")
        x = (0.5 * smooth / smooth.std()).astype(np.float32)
        planes = x + np.float32(0.3) * rng.standard_normal((3, *shape)).astype(np.float32)
        ones = np.ones(shape, np.float32)
        return SimulatedSlice(
            state=planes[1],
            previous=planes[0],
            following=planes[2],
            target=x,
            sigma=0.3,
            neighbour_sigma=0.3,
            relative_sd=ones,
            excess=0.0 * ones,
            weight=ones,
            worth=np.ones(shape, bool),
            texture=3.0,
            pixel_mm=0.7,
            modality="ct",
        )


def rows_of(
    method: str,
    psnr: float,
    kind: str = "noisy reference",
    levels: tuple[str, ...] = ("10%", "25%", "50%"),
    patients: int = 3,
    **figures: float,
) -> list[Row]:
    """Two slices of each patient at each level; slices and patients differ, methods by a constant."""
    return [
        Row(
            f"{kind} {p} {k} {level}",
            "scan",
            f"p{p}",
            level,
            kind,
            method,
            "told",
            {"psnr": psnr + p + 0.1 * k, **figures},
            0.1 * (k + 1),
        )
        for level in levels
        for p in range(patients)
        for k in range(2)
    ]
