"""Reads the slices of a stack into a `Volume`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PixelError
from ..volume import Volume
from . import pixels
from .dicom_header import SliceHeader, lenient
from .formats import open_image
from .geometry import Stack
from .items import SeriesItem

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset


@dataclass(frozen=True)
class DicomSource:
    """What the reader and the writer need of a stack: headers in slice order, no pixels.

    Attributes:
        stack: sorted slices with their geometry.
        study_numbers: Series Numbers that the study already has.
    """

    stack: Stack
    study_numbers: frozenset[int]


def read_dataset(header: SliceHeader) -> FileDataset:
    """Reads a whole file again and makes sure that it is still the one that was discovered.

    Raises:
        PixelError: unreadable, or another image by now.
    """
    import pydicom

    try:
        with open_image(header.path) as file:
            dataset = pydicom.dcmread(file)
    except Exception as error:
        raise PixelError(
            "cannot be read", where=header.path, received=" ".join(str(error).split())[:200],
            hint="The file may be truncated; fetch it again.",
        ) from error  # fmt: skip
    if "SOPInstanceUID" not in dataset:  # pydicom drops everything when the last element is cut
        raise PixelError("ends early", where=header.path, hint="Fetch it again.")
    if str(dataset.SOPInstanceUID).strip() != header.uid:
        raise PixelError("has changed since it was discovered", where=header.path)
    return dataset


WORD = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word in the VRs that pydicom leaves as raw bytes (PS3.5 6.2)."""


def to_little_endian(dataset: Dataset) -> None:
    """Swaps the words of raw elements of a big-endian data set: overlays, LUTs; pixel data stays."""
    for element in dataset:
        if element.VR == "SQ":
            for part in element.value:
                to_little_endian(part)
        elif element.VR in WORD and element.tag != 0x7FE00010 and isinstance(element.value, bytes):
            words = np.frombuffer(element.value, f">u{WORD[element.VR]}")
            element.value = words.astype(f"<u{WORD[element.VR]}").tobytes()


def read_series(item: SeriesItem) -> Volume:
    """Reads a DICOM stack; every slice is rescaled with its own slope and intercept (C.11.1).

    Args:
        item: from `discover`, kind ``"dicom"``.

    Returns:
        the volume in slice order; padding pixels hold their rescaled stored value and are masked.
    """
    stack: Stack = item.headers.stack
    array = np.empty(item.shape, np.float32)
    padding = np.zeros(item.shape, bool)
    unit = "a.u."
    with lenient():
        for k, header in enumerate(stack.slices):
            dataset = read_dataset(header)
            stored = pixels.decode(dataset, header.path)
            if stored.shape != item.shape[1:]:
                raise PixelError("has changed since it was discovered", where=header.path)
            array[k] = pixels.to_real(stored, *(pixels.rescale_pair(dataset) or (1.0, 0.0)))
            padding[k] = pixels.padding_mask(stored, pixels.padding_range(dataset))
            unit = _unit(dataset, unit)
    return Volume(
        array=array,
        affine=stack.affine,
        modality=item.modality,
        unit=unit,
        padding=padding if padding.any() else None,
        adjacent=stack.adjacent,
        source=item,
    )


def _unit(dataset: FileDataset, default: str) -> str:
    """HU for CT unless Rescale Type says otherwise (C.11.1.1.2), Bq/ml for PET in BQML (C.8.9.1.1.3)."""
    modality = str(dataset.get("Modality"))
    if modality == "CT" and str(dataset.get("RescaleType") or "HU").strip() in ("HU", "US"):
        return "HU"
    if modality == "PT" and str(dataset.get("Units") or "") == "BQML":
        return "Bq/ml"
    return default
