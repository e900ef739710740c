"""The series that the cases change: slices in memory with their true values, and how they are saved."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

ROOT = Path(__file__).resolve().parents[2]
REAL = Path("io/theibsi__data_sets/ibsi_validation/dicom/STS_001/CT/image")
SYNTHETIC = ROOT / "sample_data" / "ct" / "dose25"
SLICES = 20

Array = NDArray[Any]


class NotBuiltError(Exception):
    """A case that needs a tool which is not installed."""


@dataclass
class Image:
    """One slice of a series, ready to be changed.

    Attributes:
        header: data set without pixels.
        stored: stored values ``[rows, columns]`` (RGB: ``[rows, columns, 3]``).
        file: name under the folder of the case; "" where another file carries it.
        stack: which stack it belongs to. None: not a slice of the scan (a localizer, a page); an answer may
            leave it out, but must not mix it in.
        syntax: transfer syntax to write.
        tolerance: error of a value that decoders of a lossy image may differ by.
        truth: real-world values; None: stored values with slope and intercept.
        finish: changes the data set once it holds its pixels.
        damage: changes the bytes of the written file.
    """

    header: Dataset
    stored: Array
    file: str
    stack: int | None = 0
    syntax: str = ExplicitVRLittleEndian
    tolerance: float = 0.0
    truth: Array | None = None
    finish: Callable[[Dataset], None] | None = None
    damage: Callable[[bytes], bytes] | None = None

    @property
    def values(self) -> Array:
        """Real-world values in float64."""
        if self.truth is not None:
            return np.asarray(self.truth, np.float64)
        slope, intercept = (
            float(self.header.get(k, d)) for k, d in (("RescaleSlope", 1), ("RescaleIntercept", 0))
        )
        return self.stored.astype(np.float64) * slope + intercept

    @property
    def affine(self) -> Array:
        """Column index, row index, 0, 1 to LPS mm (C.7.6.2.1.1); its third column is the normal."""
        matrix = np.eye(4)
        cosines = np.array(self.header.ImageOrientationPatient, float)
        matrix[:3, 0] = cosines[:3] * float(self.header.PixelSpacing[1])
        matrix[:3, 1] = cosines[3:] * float(self.header.PixelSpacing[0])
        matrix[:3, 2] = np.cross(cosines[:3], cosines[3:])
        matrix[:3, 3] = np.array(self.header.ImagePositionPatient, float)
        return matrix

    def move(self, position: Array) -> None:
        """Sets the position in mm."""
        self.header.ImagePositionPatient = [format_number_as_ds(float(v)) for v in position]
        self.header.SliceLocation = format_number_as_ds(float(position[2]))


def uid(*words: object) -> str:
    """A UID that depends on `words` alone."""
    return str(generate_uid(entropy_srcs=[str(w) for w in ("readers", *words)]))


def load(data: Path | None) -> tuple[list[Image], str]:
    """The regular series that all cases start from, and what it is.

    Args:
        data: folder of real scans, None for the synthetic series of the repository.

    Returns:
        slices from the first position up, signed 16 bit, slope 1, intercept 0.
    """
    folder = data / REAL if data else SYNTHETIC
    sources = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    sources.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    images = []
    for k, ds in enumerate(sources[:SLICES]):
        stored = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        header = Dataset()
        header.update({e.tag: e for e in ds if not e.tag.is_private and e.tag != 0x7FE00010})
        for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
            header.pop(keyword, None)
        header.SOPClassUID, header.InstanceNumber = CTImageStorage, k + 1
        header.AcquisitionDate, header.AcquisitionTime = header.StudyDate, header.StudyTime
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = "1", "0", "HU"
        bits(header, 16, signed=True)
        images.append(Image(header, stored.astype(np.int16), f"IM{k + 1:04d}.dcm"))
    name = (
        "CT of patient STS_001 of the IBSI validation set"
        if data
        else "synthetic CT of `sample_data/ct/dose25`"
    )
    rows, columns = images[0].stored.shape
    return images, f"{name}, {len(images)} slices of {columns} x {rows}, {step(images):.2f} mm apart"


def step(images: list[Image]) -> float:
    """mm between the first two slices."""
    return float(images[1].affine[2, 3] - images[0].affine[2, 3])


def bits(header: Dataset, stored: int, *, signed: bool) -> None:
    """Sets the pixel depth."""
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, stored, stored - 1
    header.PixelRepresentation = int(signed)


def copy(images: list[Image]) -> list[Image]:
    """Slices that can be changed without touching the others' headers."""
    return deepcopy(images)


def save(images: list[Image], folder: Path) -> None:
    """Writes every image of a case."""
    for image in images:
        if not image.file:
            continue
        path = folder / image.file
        path.parent.mkdir(parents=True, exist_ok=True)
        write(image, path)
        if image.damage is not None:
            path.write_bytes(image.damage(path.read_bytes()))


def write(image: Image, path: Path) -> None:
    """Writes one image in its transfer syntax."""
    ds = Dataset()
    ds.update(image.header)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        ds.SOPInstanceUID,
    )
    ds.file_meta.TransferSyntaxUID = UID(image.syntax)
    native = not UID(image.syntax).is_compressed or image.syntax.endswith(".1.99")  # deflated
    if image.stored.size:
        ds.Rows, ds.Columns = image.stored.shape[:2]
        big = image.syntax == ExplicitVRBigEndian
        ds.PixelData = image.stored.astype(image.stored.dtype.newbyteorder(">" if big else "<")).tobytes()
        ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
        if not native:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.compress(image.syntax, generate_instance_uid=False)
    if image.finish is not None:
        image.finish(ds)
    ds.save_as(
        path, enforce_file_format=True, implicit_vr=image.syntax == ImplicitVRLittleEndian,
        little_endian=image.syntax != ExplicitVRBigEndian,
    )  # fmt: skip
