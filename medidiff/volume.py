"""Volume: the one object that flows from the readers through the denoiser to the writers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Modality = Literal["CT", "MR", "PT", "OT"]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

HU_RANGE = (-1024.0, 3071.0)
"""HU that 12 stored bits hold with the usual Rescale Intercept of -1024."""

SOFT_TISSUE_HU = (-100.0, 150.0)
"""Where the smoothed image lies between these it is soft tissue; noise levels of CT are measured there."""

BODY_HU = -500.0
"""Where the smoothed image lies above this it is body, not lung, gas or the air around the patient."""

HU_NAMES = ("lung", "fat", "soft", "dense", "bone")
"""Kinds of tissue that HU tell apart; "lung" holds the air around the patient too."""

HU_EDGES = (-1024.0, -500.0, -200.0, 200.0, 600.0, 1900.0)
"""Edges of their bins, one more than kinds."""

CUBIC = 1.3
"""Largest over smallest voxel side up to which a volume counts as cubic."""


def is_cubic(spacing: tuple[float, float, float]) -> bool:
    """Whether voxels of these sides in mm are nearly cubes: slices along all axes are images of one kind."""
    return max(spacing) < CUBIC * min(spacing)


def spread(count: int, most: int) -> NDArray[np.intp]:
    """Indices of at most `most` of `count` slices, evenly apart from the first to the last, each once."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.intp))


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack of parallel slices in real-world values.

    Attributes:
        array: float32 ``[z, y, x]``, real-world values (rescale slope and intercept applied).
        affine: float64 ``[4, 4]``, maps voxel indices ``(x, y, z, 1)`` to LPS millimetres
            (PS3.3 C.7.6.2.1.1).
        modality: ``"CT"``, ``"MR"``, ``"PT"`` (PET) or ``"OT"`` (unknown).
        unit: unit of `array`: ``"HU"``, ``"a.u."`` or ``"Bq/ml"``.
        padding: bool ``[z, y, x]``, True where a pixel carries no image (padding, NaN, inf) and must
            come back untouched; None where there is none.
        adjacent: bool ``[z - 1]``, True where slices k and k + 1 are true neighbours, so that one may
            serve as context for the other (False across a gap or a duplicated position); None if all are.
        source: what the reader needs to give the writer (headers, paths); opaque to everything else.
    """

    array: FloatArray
    affine: NDArray[np.float64]
    modality: Modality = "OT"
    unit: str = "a.u."
    padding: BoolArray | None = None
    adjacent: BoolArray | None = None
    source: Any = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or self.array.dtype != np.float32:
            raise TypeError(
                f"array must be float32 [z, y, x]. Received: {self.array.dtype} {self.array.shape}"
            )
        if self.affine.shape != (4, 4):
            raise TypeError(f"affine must be [4, 4]. Received: {self.affine.shape}")
        if self.padding is not None and self.padding.shape != self.array.shape:
            raise TypeError(f"padding must be {self.array.shape}. Received: {self.padding.shape}")
        if self.adjacent is not None and self.adjacent.shape != (len(self.array) - 1,):
            raise TypeError(f"adjacent must be [z - 1]. Received: {self.adjacent.shape}")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along ``(z, y, x)``."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def pixel_mm(self) -> float:
        """In-plane pixel size in mm (geometric mean of row and column spacing)."""
        _, y, x = self.spacing
        return float(np.sqrt(y * x))

    def taken_as(self, modality: Modality) -> Volume:
        """The volume as one of another modality, with the unit that goes with it."""
        if self.modality == modality:
            return self
        return replace(self, modality=modality, unit="HU" if modality == "CT" else "a.u.")

    def with_array(self, array: FloatArray) -> Volume:
        """The same volume with other values; geometry, padding and source are shared."""
        return replace(self, array=np.ascontiguousarray(array, dtype=np.float32))
