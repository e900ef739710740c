"""What a DICOM file holds, by pydicom and arithmetic of our own: the independent reader of the kit."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

Known = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
"""(SOP Instance UID, frame) to real-world values ``[y, x]`` in float64 and Image Position."""


def load(path: Path) -> Dataset:
    """A data set, unpacked where it is gzip; without preamble where that is missing."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return pydicom.dcmread(BytesIO(data), force=data[128:132] != b"DICM")


def real_values(path: Path) -> Known:
    """Values and places of every frame of an image."""
    ds = load(path)
    stored = stored_values(ds)
    if "PerFrameFunctionalGroupsSequence" not in ds:
        scale = (float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0)))
        return {
            (str(ds.SOPInstanceUID), 1): (stored * scale[0] + scale[1], _numbers(ds.ImagePositionPatient))
        }
    found: Known = {}
    for k, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        groups = [frame, ds.SharedFunctionalGroupsSequence[0]]
        place = _first(groups, "PlanePositionSequence").ImagePositionPatient
        scale = _first(groups, "PixelValueTransformationSequence")
        a, b = (float(scale.get("RescaleSlope", 1)), float(scale.get("RescaleIntercept", 0)))
        found[str(ds.SOPInstanceUID), k + 1] = (stored[k] * a + b, _numbers(place))
    return found


def stored_values(ds: Dataset) -> np.ndarray:
    """Stored values in float64: the bits from HighBit down, with their sign (PS3.5 8.1.1), or as decoded."""
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        return ds.pixel_array.astype(np.float64)
    order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
    count = int(ds.get("NumberOfFrames") or 1)
    shape = (
        (ds.Rows, ds.Columns) if count == 1 and "NumberOfFrames" not in ds else (count, ds.Rows, ds.Columns)
    )
    size = ds.BitsAllocated // 8
    raw = np.frombuffer(ds.PixelData[: count * ds.Rows * ds.Columns * size], f"{order}u{size}").astype(
        np.int64
    )
    values = raw >> (ds.HighBit + 1 - ds.BitsStored) & (1 << ds.BitsStored) - 1
    if ds.PixelRepresentation:
        values -= (values >> ds.BitsStored - 1) << ds.BitsStored
    return values.reshape(shape).astype(np.float64)


def _numbers(values: Iterable[object]) -> np.ndarray:
    return np.array([float(str(v)) for v in values])


def _first(groups: Iterable[Dataset], keyword: str) -> Dataset:
    return next((g[keyword].value[0] for g in groups if keyword in g), Dataset())


def by_source(sources: Iterable[Path], derived: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Every source with the image that was derived from it, by Source Image Sequence; each has one."""
    known = {str(load(path).SOPInstanceUID): path for path in sources}
    for path in derived:
        ds = load(path)
        if "SourceImageSequence" in ds:
            first = ds.SourceImageSequence[0]
        else:
            frame = ds.PerFrameFunctionalGroupsSequence[0]
            first = frame.DerivationImageSequence[0].SourceImageSequence[0]
        yield known.pop(str(first.ReferencedSOPInstanceUID)), path
    assert not known, f"nothing was derived from {sorted(known.values())}"


def same_image(source: Path, derived: Path) -> None:
    """Values and geometry agree frame by frame; so does what both images are shown with."""
    old, new = real_values(source), real_values(derived)
    assert len(old) == len(new)
    for (a, place_a), (b, place_b) in zip(old.values(), new.values(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(place_a, place_b)
    a, b = (load(path) for path in (source, derived))
    for keyword in (
        "ImageOrientationPatient", "PixelSpacing", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "WindowCenter", "WindowWidth", "BitsStored", "PixelRepresentation", "PhotometricInterpretation",
        "RescaleSlope", "RescaleIntercept", "FrameOfReferenceUID", "PatientName", "StudyInstanceUID",
    ):  # fmt: skip
        assert a.get(keyword) == b.get(keyword), keyword
    assert a.SOPClassUID == b.SOPClassUID
    assert a.SOPInstanceUID != b.SOPInstanceUID == b.file_meta.MediaStorageSOPInstanceUID
