"""NRRD and MetaImage files as SimpleITK writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

DIRECTION = (0, 1, 0, 0, 0, 1, 1, 0, 0)


def save(path: Path, values: np.ndarray, *, packed: bool = False, vector: bool = False) -> None:
    """Writes ``[z, y, x]`` on a turned grid, with a field of its own."""
    image = sitk.GetImageFromArray(values, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing((0.5, 0.6, 3.0))
        image.SetOrigin((1.25, -2.5, 3.75))
        image.SetDirection(DIRECTION)
    image.SetMetaData("mykey", "my value")
    sitk.WriteImage(image, str(path), packed)
