"""Cases of enhanced multi-frame images: the slices as frames of one file."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from readers.pixels import slopes
from readers.scan import Image, bits, uid


def enhanced(images: list[Image]) -> list[Image]:
    """Enhanced multi-frame CT."""
    return _multi_frame(images, np.arange(len(images)))


def enhanced_shuffled(images: list[Image]) -> list[Image]:
    """Enhanced multi-frame CT, frames in another order than their positions."""
    return _multi_frame(images, np.random.default_rng(2).permutation(len(images)))


def enhanced_slopes(images: list[Image]) -> list[Image]:
    """Enhanced multi-frame CT, slope of its own for each frame."""
    return _multi_frame(slopes(images), np.arange(len(images)))


def _multi_frame(images: list[Image], order: np.ndarray) -> list[Image]:
    """One enhanced CT file with the slices as frames; the other images carry only the truth.

    Enough of PS3.3 A.38 for a reader: functional groups, dimensions, no more.
    """
    first = images[0].header
    header = Dataset()
    for keyword in (
        "SpecificCharacterSet", "PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime",
        "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "FrameOfReferenceUID", "Modality",
        "SeriesDate", "SeriesTime", "PatientPosition", "AcquisitionNumber", "Manufacturer",
        "ManufacturerModelName",
    ):  # fmt: skip
        if keyword in first:
            header[keyword] = first[keyword]
    header.SOPClassUID, header.SOPInstanceUID = EnhancedCTImageStorage, uid("enhanced")
    header.ImageType, header.InstanceNumber = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 1
    header.AcquisitionDateTime = f"{first.StudyDate}120000"
    header.ContentDate, header.ContentTime = first.StudyDate, "120000"
    header.PixelPresentation, header.VolumetricProperties = "MONOCHROME", "VOLUME"
    header.VolumeBasedCalculationTechnique, header.ContentQualification = "NONE", "RESEARCH"
    bits(header, 16, signed=True)
    header.NumberOfFrames = len(images)
    header.Rows, header.Columns = images[0].stored.shape
    organization = Dataset()
    organization.DimensionOrganizationUID = uid("dimension")
    header.DimensionOrganizationSequence = [organization]
    index = Dataset()
    index.DimensionOrganizationUID = uid("dimension")
    index.DimensionIndexPointer, index.FunctionalGroupPointer = (
        0x00209057,
        0x00209111,
    )  # In-Stack Position Number
    header.DimensionIndexSequence = [index]
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(first, "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_item(first, "ImageOrientationPatient")]
    kind = _item(header, "PixelPresentation", "VolumetricProperties", "VolumeBasedCalculationTechnique")
    kind.FrameType = header.ImageType
    shared.CTImageFrameTypeSequence = [kind]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [_frame(images[k], int(k)) for k in order]
    stored = np.concatenate([images[k].stored for k in order])
    for image in images:
        image.file = ""  # no file of its own
    rows = images[0].stored.shape[0]

    def one_frame_high(ds: Dataset) -> None:
        ds.Rows = rows  # not the rows of all frames below each other

    return [*images, Image(header, stored, "enhanced.dcm", stack=None, finish=one_frame_high)]


def _frame(image: Image, k: int) -> Dataset:
    group = Dataset()
    content = Dataset()
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", k + 1, [k + 1]
    content.FrameAcquisitionNumber = 1
    group.FrameContentSequence = [content]
    group.PlanePositionSequence = [_item(image.header, "ImagePositionPatient")]
    group.PixelValueTransformationSequence = [
        _item(image.header, "RescaleIntercept", "RescaleSlope", "RescaleType")
    ]
    return group


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        item[keyword] = source[keyword]
    return item


CASES = (enhanced, enhanced_shuffled, enhanced_slopes)
