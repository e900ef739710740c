"""Region: a ROI of the scene as voxel bounds of a volume. Needs slicer, vtk and numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import slicer
import vtk

from .command import Bounds

COARSER = 1.2
"""As in medidiff: the axis whose voxels are larger than the others' by this factor is that of the slices."""

EDGE = 1e-6


@dataclass(frozen=True)
class Place:
    """A plane in the world: a point of it in RAS, and its normal."""

    point: tuple[float, ...]
    normal: tuple[float, ...]


FINENESS = 9
"""Points along each edge of a ROI that are taken into the volume: a bent transform bulges between corners."""


def fit(roi: Any, volume: Any) -> None:
    """Lays a ROI that is not placed yet around a volume, for the user to shrink; others stay as they are."""
    if roi.GetNumberOfControlPoints() > 0 or volume.GetImageData() is None:
        return
    found = [0.0] * 6
    volume.GetRASBounds(found)
    low, high = np.array(found[::2]), np.array(found[1::2])
    roi.SetCenter(*(0.5 * (low + high)))
    roi.SetSize(*(high - low))
    if roi.GetDisplayNode() is None:
        roi.CreateDefaultDisplayNodes()


def bounds_of_roi(roi: Any, volume: Any) -> Bounds:
    """The voxels that a ROI touches: the smallest box along the volume's axes that holds all of it.

    Args:
        roi: vtkMRMLMarkupsROINode, turned and transformed or not.
        volume: under any transform, or none.

    Raises:
        ValueError: the ROI is not placed, or lies outside of the volume.
    """
    if not roi.IsA("vtkMRMLMarkupsROINode") or roi.GetNumberOfControlPoints() < 1:
        raise ValueError(f"The region '{roi.GetName()}' is not placed yet.")
    box = np.array(list(product(np.linspace(-0.5, 0.5, FINENESS), repeat=3))) * np.abs(roi.GetSize())
    to_world = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    ijk = _ijk(volume, box @ to_world[:3, :3].T + to_world[:3, 3])
    found = []
    for axis, n in enumerate(volume.GetImageData().GetDimensions()):
        # A voxel reaches half its size to either side of its centre.
        low = max(0, math.floor(ijk[:, axis].min() + 0.5 + EDGE))
        high = min(n, math.ceil(ijk[:, axis].max() + 0.5 - EDGE))
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
        place = float(_ijk(volume, np.array([point]))[0, axis])
        index = min(max(round(place), 0), size[axis] - 1)
    found = [0, size[0], 0, size[1], 0, size[2]]
    found[2 * axis], found[2 * axis + 1] = index, index + 1
    return tuple(found)  # type: ignore[return-value]


def place_of_slice(volume: Any, bounds: Bounds) -> Place:
    """Where a slice lies that `bounds_of_slice` has found."""
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    middle = 0.5 * (low + high - 1)
    axis = slice_axis(volume.GetSpacing(), volume.GetImageData().GetDimensions())
    beside = [middle + np.eye(3)[(axis + step) % 3] for step in (1, 2)]
    point, one, other = _world(volume, np.array([middle, *beside]))
    normal = np.cross(one - point, other - point)
    return Place(tuple(point.tolist()), tuple((normal / np.linalg.norm(normal)).tolist()))


def slice_axis(spacing: tuple[float, float, float], size: tuple[int, int, int]) -> int:
    """The axis along which medidiff stacks slices: the only one of one voxel, the coarsest, or the last."""
    if tuple(size).count(1) == 1:
        return tuple(size).index(1)
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > COARSER * spacing[order[1]] else 2


def _ijk(volume: Any, points: np.ndarray) -> np.ndarray:
    """World RAS points ``[n, 3]`` as voxel indices, through the volume's parent transform.

    The transform may be bent: Slicer loads a CT with a tilted gantry or uneven slices under a grid transform.
    """
    to_local = vtk.vtkGeneralTransform()
    parent = volume.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, parent, to_local)
    local = np.array([to_local.TransformPoint(point) for point in points.tolist()])
    found = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(found)
    to_ijk = slicer.util.arrayFromVTKMatrix(found)
    return local @ to_ijk[:3, :3].T + to_ijk[:3, 3]


def _world(volume: Any, points: np.ndarray) -> np.ndarray:
    """Voxel indices ``[n, 3]`` as world RAS points, through the volume's parent transform."""
    to_ras, to_world = vtk.vtkMatrix4x4(), vtk.vtkGeneralTransform()
    volume.GetIJKToRASMatrix(to_ras)
    matrix = slicer.util.arrayFromVTKMatrix(to_ras)
    parent = volume.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(parent, None, to_world)
    local = points @ matrix[:3, :3].T + matrix[:3, 3]
    return np.array([to_world.TransformPoint(point) for point in local.tolist()])
