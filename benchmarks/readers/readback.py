"""What a tool has written, read back by pydicom and nibabel alone, so that no reader judges itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Volume = tuple[np.ndarray, list[np.ndarray], str]
"""Values [x, y, z], one affine or one for each z, a label."""

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS to LPS."""


def planes_of(ds: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values [row, column] and affine of every frame of a classic or enhanced image."""
    from pydicom.pixels.utils import pixel_array

    stored = pixel_array(ds, raw=True)
    frames = stored if stored.ndim == 3 else stored[None]
    groups = ds.get("PerFrameFunctionalGroupsSequence") or [None] * len(frames)
    planes = []
    for frame, group in zip(frames, groups, strict=True):
        places = [ds]
        if group is not None:
            places = [s[0] for g in (group, ds.SharedFunctionalGroupsSequence[0]) for s in _items(g)] + [ds]
        found = {e.keyword: e.value for place in reversed(places) for e in place if e.VR != "SQ"}
        cosines, spacing = np.array(found["ImageOrientationPatient"], float), found["PixelSpacing"]
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = cosines[:3] * float(spacing[1]), cosines[3:] * float(spacing[0])
        affine[:3, 2] = np.cross(cosines[:3], cosines[3:])
        affine[:3, 3] = np.array(found["ImagePositionPatient"], float)
        slope, intercept = found.get("RescaleSlope"), found.get("RescaleIntercept")
        values = frame * float(1 if slope is None else slope) + float(intercept or 0)
        planes.append((values, affine))
    return planes


def _items(group: Any) -> list[Any]:
    return [e.value for e in group if e.VR == "SQ" and e.value]


def nifti_volumes(path: Path) -> Iterator[Volume]:
    """The 3-D volumes of a NIfTI file."""
    import nibabel

    image: Any = nibabel.load(path)
    data = np.asanyarray(image.dataobj)
    if data.dtype.names:
        data = np.stack([data[n] for n in "RGB"], axis=-1)[:, :, :, None]
    data = data.reshape(*data.shape[:3], -1) if data.dtype.names is None and data.ndim < 5 else data
    volumes = [data[:, :, :, 0]] if data.ndim == 5 else [data[..., t] for t in range(data.shape[3])]
    for values in volumes:
        yield values, [FLIP @ image.affine], path.name.removesuffix(".nii")
