"""Volumes from files with one regular grid (NIfTI, NRRD, MetaImage): which axis is the slice axis.

A denoiser works slice by slice, so slices should be the planes in which the scan was taken. DICOM says so
itself; here an axis of one voxel tells, or the header, or else the coarsest axis.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..volume import FloatArray, Modality

COARSER = 1.2
"""A voxel size must exceed the other two by this factor for its axis to be the slice axis."""

MR_NAME = re.compile(
    r"(?<![a-z0-9])(t[12]w?|t2starw?|t2s|inplanet[12]|pdw?|pdt2|flair|mp2?rage|unit1|mpr|megre|mese|dwi|bold|sbref"
    r"|asl|m0scan|swi|tof|haste|mri?)(?![a-z0-9])"
)
CT_NAME = re.compile(r"(?<![a-z0-9])(ct|ldct|ndct|cbct)(?![a-z0-9])")
PET_NAME = re.compile(r"(?<![a-z0-9])(pet|pt)(?![a-z0-9])")
LABEL_NAME = re.compile(r"_(mask|dseg|probseg|label|seg)$")


def slice_axis(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], declared: int | None = None
) -> int:
    """The file axis (0, 1, 2) along which slices are stacked.

    The only axis of one voxel comes first, whatever its voxel size and the header: along any other axis
    the slices of a single slice would be lines.

    Args:
        spacing: voxel size in mm along the three file axes.
        shape: voxels along them.
        declared: axis that the header names.
    """
    if shape.count(1) == 1:
        return shape.index(1)
    if declared is not None:
        return declared
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > COARSER * spacing[order[1]] else 2


def axes(slices: int) -> tuple[int, int, int]:
    """File axes in the order ``(z, y, x)`` for a slice axis."""
    x, y = (a for a in range(3) if a != slices)
    return slices, y, x


def affine_for(file_affine: NDArray[np.float64], slices: int) -> NDArray[np.float64]:
    """The affine of a volume whose axes are permuted as `axes` says: columns x, y, z."""
    z, y, x = axes(slices)
    return np.asarray(file_affine[:, [x, y, z, 3]], np.float64)


def modality_from_name(path: Path) -> Modality:
    """The modality that a file name tells (BIDS suffixes and common words), ``"OT"`` where it does not."""
    stem = path.name.lower()
    if MR_NAME.search(stem.replace("_", "-")):
        return "MR"
    if CT_NAME.search(stem.replace("_", "-")):
        return "CT"
    return "PT" if PET_NAME.search(stem.replace("_", "-")) else "OT"


def looks_like_hounsfield(array: FloatArray) -> bool:
    """True for values that only CT has: at least 2 % near air (-1000 HU), and 5 % near tissue and water."""
    air = np.count_nonzero((array >= -1050) & (array <= -900))
    tissue = np.count_nonzero((array >= -200) & (array <= 200))
    return bool(air >= 0.02 * array.size and tissue >= 0.05 * array.size and array.max() < 40000)


def without_gaps(array: FloatArray) -> tuple[FloatArray, NDArray[np.bool_] | None]:
    """Replaces NaN and inf by the smallest finite value, by 0 where all are above, and marks them as padding.

    Args:
        array: ``[z, y, x]``, changed in place.

    Returns:
        the array and its padding mask, None where all is finite.
    """
    finite = np.isfinite(array)
    if finite.all():
        return array, None
    array[~finite] = array.min(initial=0.0, where=finite)  # beyond a mask MR has no signal
    return array, ~finite
