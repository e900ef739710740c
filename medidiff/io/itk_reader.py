"""SimpleITK on one file: silent, its format chosen by content, and unpacked where the file is packed."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .formats import head_of, is_packed, open_image
from .streams import PIECE


@contextmanager
def quiet() -> Iterator[Any]:
    """SimpleITK without its warnings on stderr."""
    import SimpleITK

    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield SimpleITK
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


@contextmanager
def open_reader(path: Path) -> Iterator[Any]:
    """A SimpleITK reader for a file; one that is packed lies unpacked in a temporary folder meanwhile.

    Raises:
        OSError: the file cannot be unpacked.
    """
    extension = extension_of(path)
    with quiet() as sitk, tempfile.TemporaryDirectory(prefix="medidiff-") as folder:
        if path.is_file() and not is_packed(path):
            place = path
        else:
            place = Path(folder, f"image{extension}")
            with open_image(path) as packed, place.open("wb") as file:
                shutil.copyfileobj(packed, file, PIECE)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(place))
        reader.SetImageIO("NrrdImageIO" if extension == ".nrrd" else "MetaImageIO")
        yield reader


def extension_of(path: Path) -> str:
    """The extension for the format of a file, by its content."""
    return ".nrrd" if head_of(path, 4) == b"NRRD" else ".mha"


def image_bytes(reader: Any) -> int:
    """Bytes of the voxels of a scalar image whose header a reader has read."""
    import SimpleITK

    size = SimpleITK.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent()
    return int(math.prod(reader.GetSize()) * size)
