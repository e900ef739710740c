"""Reads the slices of a stack into a `Volume`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PixelError
from ..volume import Volume
from . import pixels
from .decoding import decode_frames
from .dicom_file import open_dicom
from .functional_groups import frame_groups
from .geometry import Stack
from .items import SeriesItem
from .slice_header import SliceHeader, lenient

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
        with open_dicom(header.path) as file:
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
    places: dict[Path, list[int]] = defaultdict(list)  # a multi-frame file is read once
    for k, header in enumerate(stack.slices):
        places[header.path].append(k)
    with lenient():
        for path, indices in places.items():
            slices = [stack.slices[k] for k in indices]
            dataset = read_dataset(slices[0])
            limits = pixels.padding_range(dataset)
            frames = decode_frames(dataset, path, [s.frame_number or 1 for s in slices])
            for k, scale, stored in zip(indices, scales(dataset, slices), frames, strict=True):
                if stored.shape != item.shape[1:]:
                    raise PixelError("has changed since it was discovered", where=path)
                array[k] = pixels.to_real(stored, *(pixels.rescale_pair(scale) or (1.0, 0.0)))
                padding[k] = pixels.padding_mask(stored, limits)
                unit = _unit(dataset, scale, unit)
    return Volume(
        array=array,
        affine=stack.affine,
        modality=item.modality,
        unit=unit,
        padding=padding if padding.any() else None,
        adjacent=stack.adjacent,
        source=item,
    )


def scales(dataset: Dataset, slices: Sequence[SliceHeader]) -> list[Dataset]:
    """What holds Rescale Slope and Intercept of each slice of an image: the image or a functional group.

    Raises:
        PixelError: the frames are not those that were discovered.
    """
    if not slices[0].frame_number:
        return [dataset]
    groups = frame_groups(dataset)
    if len(groups) < max(s.frame_number for s in slices):
        raise PixelError("has changed since it was discovered", where=slices[0].path)
    return [groups[s.frame_number - 1].group("PixelValueTransformationSequence") for s in slices]


def _unit(dataset: Dataset, scale: Dataset, default: str) -> str:
    """HU for CT unless Rescale Type says otherwise (C.11.1.1.2), Bq/ml for PET in BQML (C.8.9.1.1.3)."""
    modality = str(dataset.get("Modality"))
    if modality == "CT" and str(scale.get("RescaleType") or "HU").strip() in ("HU", "US"):
        return "HU"
    if modality == "PT" and "BQML" in (dataset.get("Units"), *(_kept_units(dataset))):
        return "Bq/ml"
    return default


def _kept_units(dataset: Dataset) -> list[object]:
    """Units (0054,1001) where a legacy conversion has put them."""
    return [groups.converted("Units") for groups in frame_groups(dataset)[:1]]
