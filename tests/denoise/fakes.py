"""Engines with a closed form, and volumes for them."""

from __future__ import annotations

import numpy as np
from networks import tiny_bundle
from scipy import ndimage

from medidiff.models import Bundle, UNetConfig
from medidiff.models.processes import PROCESSES
from medidiff.volume import Volume

SIGMA_DATA = 0.9
SIGMA = 50.0
"""HU; 0.1 in network units."""


class PixelWiener:
    """F = 0, so that D = c_skip(t) x with variance c_out(t)^2 exp(h): exact for white Gaussian pictures.

    Attributes:
        calls: planes and condition of every call.
    """

    name, device, precision = "fake", "none", "float32"

    def __init__(self, h: float = 0.0) -> None:
        self.h = h
        self.calls: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        self.calls.append((planes.copy(), condition.copy()))
        out = np.zeros((len(planes), 2, *planes.shape[2:]), np.float32)
        out[:, 1] = self.h
        return out


class Averaging(PixelWiener):
    """Adds to F the local mean of the state and of its context, so that neighbours matter."""

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        out = super().__call__(planes, condition)
        out[:, 0] = 0.1 * ndimage.uniform_filter(planes[:, :3].mean(1), (0, 3, 3))
        return out


class Posterior(PixelWiener):
    """E[x | state, scan] and its variance for white Gaussian pictures, from five planes; exact."""

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        out = super().__call__(planes, condition)
        t = float(np.exp(4.0 * condition[0, -2]))
        t_y = SIGMA / 500
        x = planes[:, 0] * np.hypot(t, SIGMA_DATA)
        y = planes[:, 4] * np.hypot(t_y, SIGMA_DATA)
        v = 1.0 / (t**-2 + t_y**-2 + SIGMA_DATA**-2)
        out[:, 0] = (v * (x / t**2 + y / t_y**2) - c_skip(t) * x) / c_out(t)
        out[:, 1] = np.log(v / c_out(t) ** 2)
        return out


def bundle(modality: str = "ct", **changes: object) -> Bundle:
    """A bundle whose network nobody runs."""
    kind = PROCESSES[str(changes.get("process", "matched"))]
    config = UNetConfig((4, 6), 1, unshuffle=1, embedding=8, planes=kind.planes, condition=kind.condition)
    fields = {"modality": modality, "sigma_data": SIGMA_DATA, "uncertainty": (), **changes}
    return tiny_bundle(config, **fields)


def ct_volume(shape: tuple[int, int, int] = (4, 48, 56), seed: int = 0, **changes: object) -> Volume:
    """Soft tissue with white noise of `SIGMA` HU, 0.8 mm pixels."""
    rng = np.random.default_rng(seed)
    array = 40 + SIGMA * rng.standard_normal(shape)
    array[:, :6] -= 600
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    fields: dict[str, object] = {"modality": "CT", "unit": "HU"}
    return Volume(array.astype(np.float32), affine, **{**fields, **changes})  # type: ignore[arg-type]


def c_skip(t: float) -> float:
    return SIGMA_DATA**2 / (t**2 + SIGMA_DATA**2)


def c_out(t: float) -> float:
    return t * SIGMA_DATA / float(np.hypot(t, SIGMA_DATA))


def z(hu: np.ndarray) -> np.ndarray:
    return (hu + 500) / 500


def hu(z: np.ndarray) -> np.ndarray:
    return 500 * z - 500
