"""Region: a ROI of the scene as voxel bounds of a volume. Needs slicer, vtk and numpy."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import slicer
import vtk

from .command import Bounds

COARSER = 1.2
"""As in medidiff: the axis whose voxels are larger than the others' by this factor is that of the slices."""

EDGE = 1e-6


def bounds_of_roi(roi: Any, volume: Any) -> Bounds:
    """The voxels that a ROI touches: the smallest box along the volume's axes that holds all of it.

    Args:
        roi: vtkMRMLMarkupsROINode, turned and transformed or not.
        volume: under a linear transform, or none.

    Raises:
        ValueError: the ROI is not placed, or lies outside of the volume.
    """
    if not roi.IsA("vtkMRMLMarkupsROINode") or roi.GetNumberOfControlPoints() < 1:
        raise ValueError(f"The region '{roi.GetName()}' is not placed yet.")
    half = [0.5 * abs(s) for s in roi.GetSize()]
    to_world = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    corners = np.array(
        [[*(s * h for s, h in zip(signs, half, strict=True)), 1.0] for signs in product((-1, 1), repeat=3)]
    )
    ijk = _world_to_ijk(volume) @ to_world @ corners.T
    found = []
    for axis, n in enumerate(volume.GetImageData().GetDimensions()):
        # A voxel reaches half its size to either side of its centre.
        low = max(0, math.floor(ijk[axis].min() + 0.5 + EDGE))
        high = min(n, math.ceil(ijk[axis].max() + 0.5 - EDGE))
        if low >= high:
            raise ValueError(f"The region '{roi.GetName()}' lies outside of '{volume.GetName()}'.")
        found += [low, high]
    return tuple(found)  # type: ignore[return-value]


def bounds_of_slice(volume: Any, point: tuple[float, float, float] | None) -> Bounds:
    """The voxels of one slice of the acquisition: the one nearest to a point.

    Args:
        volume: the volume.
        point: RAS in the world; None for the middle slice.
    """
    size = volume.GetImageData().GetDimensions()
    axis = slice_axis(volume.GetSpacing(), size)
    index = size[axis] // 2
    if point is not None:
        place = float((_world_to_ijk(volume) @ np.array([*point, 1.0]))[axis])
        index = min(max(round(place), 0), size[axis] - 1)
    found = [0, size[0], 0, size[1], 0, size[2]]
    found[2 * axis], found[2 * axis + 1] = index, index + 1
    return tuple(found)  # type: ignore[return-value]


def slice_axis(spacing: tuple[float, float, float], size: tuple[int, int, int]) -> int:
    """The axis along which medidiff stacks slices: the only one of one voxel, the coarsest, or the last."""
    if tuple(size).count(1) == 1:
        return tuple(size).index(1)
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > COARSER * spacing[order[1]] else 2


def _world_to_ijk(volume: Any) -> np.ndarray:
    """World RAS to voxel indices, through the volume's parent transform."""
    ijk = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(ijk)
    local = vtk.vtkMatrix4x4()
    transform = volume.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformFromWorld(local)
    return slicer.util.arrayFromVTKMatrix(ijk) @ slicer.util.arrayFromVTKMatrix(local)
