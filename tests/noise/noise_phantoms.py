"""Synthetic scans of known noise, and real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from medidiff.noise.spectrum import Kernel, radial_frequency, synthesise
from medidiff.volume import Volume

BODY_KERNEL = Kernel(4.36, 3.85)
SHARP_KERNEL = Kernel(9.0, 6.0, 0.01)


def ct_body(shape: tuple[int, int] = (320, 320), seed: int = 0) -> np.ndarray:
    """HU: an elliptic body in air with organs, fat, bones and vessels of random size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    body = np.full(shape, -1000.0)
    body[(x / 0.9) ** 2 + (y / 0.75) ** 2 < 1] = -90
    body[(x / 0.82) ** 2 + (y / 0.66) ** 2 < 1] = 50
    for _ in range(40):
        cy, cx = rng.uniform(-0.45, 0.45, 2)
        ry, rx = rng.uniform(0.01, 0.12, 2)
        body[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = rng.choice([-80, 20, 90, 120, 400])
    return ndimage.gaussian_filter(body, 0.8).astype(np.float32)


def ct_noise(
    shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator, kernel: Kernel = BODY_KERNEL
) -> np.ndarray:
    """Noise of SD 1 with the spectrum of filtered back-projection."""
    f = radial_frequency(shape, pixel_mm)
    return synthesise(shape, np.sqrt(f + 0.05) * kernel.response(f), rng)


def mr_head(shape: tuple[int, int] = (256, 224), seed: int = 0) -> np.ndarray:
    """Magnitude with p99 near 1: skin, skull, folded grey matter, white matter, ventricles, air."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    r = np.hypot(x / 0.8, y / 0.9)
    folds = ndimage.gaussian_filter(rng.standard_normal(shape), 6.0)
    head = np.zeros(shape)
    head[r < 0.95] = 1.0
    head[r < 0.88] = 0.06
    head[r < 0.82] = 0.35
    head[(r < 0.72) & (folds / folds.std() > -0.9)] = 0.6
    head[np.hypot((x - 0.12) / 0.1, y / 0.35) < 1] = 0.15
    head[np.hypot((x + 0.12) / 0.1, y / 0.35) < 1] = 0.15
    return np.maximum(ndimage.gaussian_filter(head, 0.7), 0).astype(np.float32)


def volume(
    array: np.ndarray, modality: str, pixel_mm: float = 0.8, padding: np.ndarray | None = None
) -> Volume:
    stack = np.ascontiguousarray(array if array.ndim == 3 else array[None], dtype=np.float32)
    return Volume(
        stack,
        np.diag([pixel_mm, pixel_mm, 3.0, 1.0]),
        modality,  # type: ignore[arg-type]
        "HU" if modality == "CT" else "a.u.",
        padding,
    )


def ct_series(folder: Path, slices: int) -> Volume:
    """Evenly spread slices of a folder of DICOM slices that are named in z order."""
    import pydicom

    files = sorted(folder.glob("*.dcm"))
    chosen = [files[k] for k in np.unique(np.linspace(0, len(files) - 1, slices).astype(int))]
    sets = [pydicom.dcmread(f) for f in chosen]
    stack = [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in sets]
    return volume(np.stack(stack), "CT", float(sets[0].PixelSpacing[0]))


def mr_volume(path: Path, slices: int) -> Volume:
    """Evenly spread slices of the inner four fifths of a NIfTI volume, over their p99."""
    import nibabel

    array = np.asarray(nibabel.load(path).dataobj, dtype=np.float32).transpose(2, 1, 0)
    array = array[np.unique(np.linspace(len(array) * 0.1, len(array) * 0.9, slices).astype(int))]
    return volume(array / np.percentile(array[array > 0], 99), "MR")
