"""Small scans for the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom import Dataset

SMALL, LARGE = (64, 64), (128, 128)
ROWS = np.where(np.arange(LARGE[0]) % 2, 1, -1)[None, :, None] * np.ones((3, *LARGE), np.int16)
"""+1 and -1 row by row: noise whose RMSE is its amplitude."""


def body(slices: int = 4, shape: tuple[int, int] = SMALL, sd: float = 20.0, seed: int = 3) -> np.ndarray:
    """HU of a disc of soft tissue in air with white noise, int16 ``[z, y, x]``."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < 0.42 * min(shape)
    clean = np.where(inside, 40.0, -1000.0)
    noisy = clean + sd * inside * rng.standard_normal((slices, *shape))
    return np.rint(noisy).astype(np.int16)


def ct_series(folder: Path, slices: int = 4, shape: tuple[int, int] = SMALL, **knobs: object) -> Path:
    """A small CT series; gives its folder."""
    from dicom_series import make_series

    stored = knobs.pop("stored", None)
    make_series(folder, stored=body(slices, shape) if stored is None else stored, slices=slices, **knobs)
    return folder


def patients(folder: Path, amplitude: int, which: Iterable[int] = range(3), name: str = "a") -> Path:
    """One CT series of three slices for each of some patients: noise of (k + 1) times the amplitude."""
    for k in which:

        def change(ds: Dataset, _: int, k: int = k) -> None:
            ds.PatientID, ds.PatientName = f"P{k}", f"Doe^J{k}"

        stored = body(3, LARGE, sd=0.0) + amplitude * (k + 1) * ROWS.astype(np.int16)
        ct_series(folder / str(k), slices=3, stored=stored, series=f"{name}{k}", change=change)
    return folder


def halved(folder: Path) -> tuple[Path, Path, Path]:
    """A clean CT series, a noisy one, and one with half the noise."""
    clean, noisy = body(3, LARGE, sd=0.0), body(3, LARGE, sd=20.0)
    half = np.rint((clean + noisy) / 2).astype(np.int16)
    return tuple(  # type: ignore[return-value]
        ct_series(folder / name, slices=3, stored=a) for name, a in (("c", clean), ("n", noisy), ("h", half))
    )


def mr_nifti(
    path: Path, shape: tuple[int, int, int] = (48, 40, 3), seed: int = 5, apart: float = 3.0
) -> Path:
    """A small float32 MR volume with Rician noise; gives its path."""
    import nibabel as nib

    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    clean = np.where(np.hypot(y - shape[0] / 2, x - shape[1] / 2) < 0.4 * min(shape[:2]), 500.0, 0.0)[
        ..., None
    ]
    real, other = 20.0 * rng.standard_normal((2, *shape))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(
        np.hypot(clean + real, other).astype(np.float32), np.diag([-1.0, -1.0, apart, 1.0])
    )
    nib.save(image, path)
    return path


def tree(folder: Path) -> list[str]:
    """Every file and folder below a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) if folder.exists() else []
