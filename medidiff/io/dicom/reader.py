"""Reads the slices of a stack into a `Volume`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ... import scratch
from ...errors import PixelError
from ...volume import Volume
from ..items import SeriesItem
from . import pixels
from .damage import parsing
from .decoding import decode_frames
from .elements import TEXT
from .encapsulated import mark_lossy
from .file import open_dicom, parse
from .functional_groups import frame_groups
from .geometry import Stack
from .padding import padding_mask, padding_range
from .remarks import HOUNSFIELD, rescale_type
from .slice_header import SliceHeader, lenient

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset


@dataclass(frozen=True)
class DicomSource:
    """What the reader and the writer need of a stack: headers in slice order, no pixels.

    Attributes:
        stack: sorted slices with their geometry.
        numbers: Series Number of the derived series by suffix, ``"denoised"`` and the maps.
        namesake: tells apart patients who share the UIDs of a study and a series, from 0.
    """

    stack: Stack
    numbers: Mapping[str, int]
    namesake: int = 0


DESCRIBING = (
    "Modality", "Units", "RescaleType", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "HighBit", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
"""Elements that discovery may not have looked at, and that reading needs."""


def read_dataset(header: SliceHeader) -> FileDataset:
    """Reads a whole file again and makes sure that it is still the one that was discovered.

    Raises:
        PixelError: unreadable, or another image by now.
    """
    try:
        with open_dicom(header.path) as file:
            dataset = parse(file)
    except Exception as error:
        raise PixelError(
            "cannot be read", where=header.path, received=" ".join(str(error).split())[:200],
            hint="The file may be truncated; fetch it again.",
        ) from error  # fmt: skip
    if "SOPInstanceUID" not in dataset:  # pydicom drops everything when the last element is cut
        raise PixelError("ends early", where=header.path, hint="Fetch it again.")
    if str(dataset.SOPInstanceUID).strip() != header.uid:
        raise PixelError("has changed since it was discovered", where=header.path)
    for keyword in DESCRIBING:
        try:
            dataset.get(keyword)
        except Exception as error:  # a value that contradicts its VR raises almost anything, and may quote it
            raise PixelError(
                f"the element {keyword} cannot be parsed", where=header.path, received=type(error).__name__
            ) from error
    return dataset


WORD = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word in the VRs that pydicom leaves as raw bytes (PS3.5 6.2)."""


def to_little_endian(dataset: Dataset) -> None:
    """Swaps the words of raw elements of a big-endian data set: overlays, LUTs; pixel data stays."""
    for tag in list(dataset.keys()):
        if dataset.get_item(tag).VR in TEXT:  # stays as it is, undecoded
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            for part in element.value:
                to_little_endian(part)
        elif element.VR in WORD and element.tag != 0x7FE00010 and isinstance(element.value, bytes):
            words = np.frombuffer(element.value, f">u{WORD[element.VR]}")
            element.value = words.astype(f"<u{WORD[element.VR]}").tobytes()


@dataclass(frozen=True)
class StoredSlice:
    """A slice as it is stored.

    Attributes:
        index: place in its stack.
        dataset: the image that holds it, with pixel data.
        scale: the data set that holds its Rescale Slope and Intercept: the image, or a functional group.
        values: stored values ``[y, x]``, from the bits that are stored.
        words: the same with whatever the unused bits above them hold.
        padding: inclusive range of values that mean "no image here", None for none.
    """

    index: int
    dataset: Dataset
    scale: Dataset
    values: pixels.IntArray
    words: pixels.IntArray
    padding: tuple[int, int] | None

    @property
    def outside(self) -> NDArray[np.bool_]:
        """True for padding, which scanners also write into unused bits: 63536 in an image of 12 bits."""
        mask = padding_mask(self.values, self.padding)
        return mask if self.words is self.values else mask | padding_mask(self.words, self.padding)


def stored_slices(stack: Stack) -> Iterator[StoredSlice]:
    """Reads the slices of a stack file by file: each is read once, and only what is needed is decoded.

    Args:
        stack: from discovery. A classic series comes in slice order, a multi-frame image frame by frame.

    Raises:
        PixelError: unreadable or undecodable, or not the file that was discovered.
    """
    places: dict[Path, list[int]] = defaultdict(list)
    for k, header in enumerate(stack.slices):
        places[header.path].append(k)
    for path, indices in places.items():
        indices.sort(key=lambda k: stack.slices[k].frame_number)
        slices = [stack.slices[k] for k in indices]
        dataset = read_dataset(slices[0])
        with parsing(path):
            scales = _scales(dataset, slices)
            padding = padding_range(dataset)
            mark_lossy(dataset)
        frames = decode_frames(dataset, path, [s.frame_number or 1 for s in slices])
        for k, header, scale, frame in zip(indices, slices, scales, frames, strict=True):
            if frame.values.shape != (header.rows, header.columns):
                raise PixelError("has changed since it was discovered", where=path)
            yield StoredSlice(k, dataset, scale, frame.values, frame.words, padding)


def _scales(dataset: Dataset, slices: Sequence[SliceHeader]) -> list[Dataset]:
    if not slices[0].frame_number:
        return [dataset]
    groups = frame_groups(dataset)
    if len(groups) < slices[-1].frame_number:
        raise PixelError("has changed since it was discovered", where=slices[0].path)
    return [groups[s.frame_number - 1].group("PixelValueTransformationSequence") for s in slices]


def read_series(item: SeriesItem) -> Volume:
    """Reads a DICOM stack; every slice is rescaled with its own slope and intercept (C.11.1).

    Args:
        item: from `discover`, kind ``"dicom"``.

    Returns:
        the volume in slice order; padding pixels hold their rescaled stored value and are masked.
    """
    stack: Stack = item.headers.stack
    array = scratch.zeros(item.shape)
    padding = np.zeros(item.shape, bool)
    unit = "a.u."
    with lenient():
        for part in stored_slices(stack):
            with parsing(stack.slices[part.index].path):
                pair = pixels.rescale_pair(part.scale) or (1.0, 0.0)
                array[part.index] = pixels.to_real(part.values, *pair)
                scratch.release(array)
                if (outside := part.outside).any():
                    # Zeros that nobody wrote take no memory.
                    padding[part.index] = outside
                unit = _unit(part.dataset, part.scale, item.modality, unit)
    return Volume(
        array=array,
        affine=stack.affine,
        modality=item.modality,
        unit=unit,
        padding=padding if padding.any() else None,
        adjacent=stack.adjacent,
        source=item,
    )


def _unit(dataset: Dataset, scale: Dataset, modality: str, default: str) -> str:
    """HU for CT unless Rescale Type says otherwise (C.11.1.1.2), Bq/ml for PET in BQML (C.8.9.1.1.3)."""
    if modality == "CT" and rescale_type(scale) in HOUNSFIELD:
        return "HU"
    if modality == "PT" and "BQML" in (dataset.get("Units"), *(_kept_units(dataset))):
        return "Bq/ml"
    return default


def _kept_units(dataset: Dataset) -> list[object]:
    """Units (0054,1001) where a legacy conversion has put them."""
    return [groups.converted("Units") for groups in frame_groups(dataset)[:1]]
