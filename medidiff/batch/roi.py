"""ROI: bounds along the axes of a file as bounds of the volume that is read from it."""

from __future__ import annotations

from medidiff.batch.request import Bounds
from medidiff.denoise import Roi
from medidiff.errors import RefusedError
from medidiff.io import SeriesItem
from medidiff.io.grid import axes


def bounds_of(item: SeriesItem, roi: Bounds) -> Roi:
    """The bounds along the array's axes ``(z, y, x)``.

    Viewers count voxels along the axes of the file (i, j, k), whichever of them the slices are stacked along;
    for DICOM these are column, row and slice.

    Args:
        item: the scan.
        roi: ``i0, i1, j0, j1, k0, k1``, half open.

    Raises:
        RefusedError: they reach beyond the scan, or the file holds several volumes.
    """
    slices = 2 if item.kind == "dicom" else item.headers.slices
    z, y, x = axes(slices)
    if item.volumes > 1:
        raise RefusedError(
            f"holds {item.volumes} volumes, and a region (--roi) is one of a single volume", where=item.path,
            code="USAGE",
        )  # fmt: skip
    size = dict(zip((z, y, x), item.shape, strict=True))
    pairs = [(roi[2 * axis], roi[2 * axis + 1]) for axis in range(3)]
    if not all(0 <= low < high <= size[axis] for axis, (low, high) in enumerate(pairs)):
        raise RefusedError(
            f"has {size[0]} x {size[1]} x {size[2]} voxels, and the region (--roi) is not inside",
            where=item.path, received=",".join(map(str, roi)), code="USAGE",
        )  # fmt: skip
    return pairs[z], pairs[y], pairs[x]
