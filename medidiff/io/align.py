"""Align: values on a grid as values on the same grid whose axes run otherwise.

A viewer may keep a DICOM series with its slices the other way round. Nothing is ever resampled.
"""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError
from ..volume import FloatArray, Volume

TOLERANCE = 0.1
"""Voxels that a corner may lie away from where it should."""


def aligned(values: Volume, target: Volume) -> FloatArray:
    """The values ``[z, y, x]`` in the order of the voxels of another volume.

    Args:
        values: a volume of the same voxels.
        target: gives the order of the axes and their directions.

    Raises:
        GeometryError: the two do not have the same voxels.
    """
    to_target = np.linalg.inv(target.affine) @ values.affine  # voxel (x, y, z) to voxel (x, y, z)
    turn = np.rint(to_target[:3, :3])
    size, wanted = np.array(values.array.shape[::-1]), np.array(target.array.shape[::-1])
    if not (np.abs(turn).sum(0) == 1).all() or not (np.abs(turn).sum(1) == 1).all():
        raise _other_grid("its axes have other directions or its voxels another size")
    if ((np.abs(turn) @ size) != wanted).any():
        raise _other_grid(f"it has {' x '.join(map(str, size))} voxels")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij"), float).reshape(3, -1)
    there = to_target[:3, :3] @ corners + to_target[:3, 3:]
    order = [int(np.abs(row).argmax()) for row in turn]
    signs = [int(row[axis]) for row, axis in zip(turn, order, strict=True)]
    start = np.array([0.0 if sign > 0 else n - 1.0 for sign, n in zip(signs, wanted, strict=True)])
    away = np.abs(there - (turn @ corners + start[:, None])).max()
    if away > TOLERANCE:
        raise _other_grid(f"it lies up to {away:.2g} voxels away")
    array = values.array.T.transpose(order)  # [x, y, z]
    flipped = array[tuple(slice(None, None, sign) for sign in signs)]
    return np.ascontiguousarray(flipped.T)


def _other_grid(why: str) -> GeometryError:
    return GeometryError(
        f"The values do not lie on the voxels of their source: {why}",
        hint="Give the values as they were computed, neither resampled nor moved.",
    )
