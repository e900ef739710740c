"""Cases of geometry and grouping: which slices belong together, and where they lie."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from readers.scan import Image, copy, step, uid


def regular(images: list[Image]) -> list[Image]:
    """Regular series."""
    return images


def one_slice(images: list[Image]) -> list[Image]:
    """One slice."""
    return images[:1]


def slice_missing(images: list[Image]) -> list[Image]:
    """One slice missing."""
    del images[len(images) // 2]
    return images


def spacing_changes(images: list[Image]) -> list[Image]:
    """Slice spacing doubles half-way."""
    middle, mm = len(images) // 2, step(images)
    for k, image in enumerate(images):
        image.move(images[0].affine[:3, 3] + [0, 0, mm * (k + max(k - middle, 0))])
    return images


def tilt(images: list[Image]) -> list[Image]:
    """Gantry tilt of 15 degrees."""
    for image in images:
        c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
        image.header.ImageOrientationPatient = [1, 0, 0, 0, round(c, 8), round(-s, 8)]
        image.header.GantryDetectorTilt = 15
    return images


def oblique(images: list[Image]) -> list[Image]:
    """Sagittal slices, pixels of 0.7 x 1.1 mm."""
    mm = step(images)
    for k, image in enumerate(images):
        image.header.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        image.header.PixelSpacing = [0.7, 1.1]
        image.move(np.array([-k * mm, -40.0, 90.0]))
    return images


def localizer(images: list[Image]) -> list[Image]:
    """Localizer in the series."""
    (scout,) = copy(images[:1])
    scout.header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.header.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    scout.header.SOPInstanceUID = uid("scout")
    scout.move(images[0].affine[:3, 3] + [0, 50, 300])
    scout.file, scout.stack = "IM0000.dcm", None
    scout.stored = np.ascontiguousarray(scout.stored[::-1]) + np.int16(20)
    return [scout, *images]


def _second(images: list[Image], word: str) -> list[Image]:
    """Other images at the same positions: values 50 higher."""
    others = copy(images)
    for image in others:
        image.header.SOPInstanceUID = uid(word, image.header.SOPInstanceUID)
        image.file = f"{word}_{image.file}"
        image.stored = image.stored + np.int16(50)
    return others


def position_twice(images: list[Image]) -> list[Image]:
    """Two different images at one position."""
    return images + _second(images[len(images) // 2 :][:1], "again")


def same_image_twice(images: list[Image]) -> list[Image]:
    """The same file twice."""
    (twin,) = copy(images[3:4])
    twin.file, twin.stack = f"copy_{twin.file}", None
    return [*images, twin]


def shuffled(images: list[Image]) -> list[Image]:
    """Instance numbers and file names shuffled, no extension."""
    order = np.random.default_rng(1).permutation(len(images))
    for image, k in zip(images, order, strict=True):
        image.file, image.header.InstanceNumber = f"{(k * 7919) % 10007:05d}", int(k) + 1
    return images


def pixel_spacing_changes(images: list[Image]) -> list[Image]:
    """Pixel spacing changes half-way."""
    for image in images[len(images) // 2 :]:
        image.header.PixelSpacing = [float(v) * 0.9 for v in image.header.PixelSpacing]
        image.stack = 1
    return images


def matrix_changes(images: list[Image]) -> list[Image]:
    """Matrix size changes half-way."""
    for image in images[len(images) // 2 :]:
        image.stored = np.ascontiguousarray(image.stored[:-16, :-8])
        image.stack = 1
    return images


def two_acquisitions(images: list[Image]) -> list[Image]:
    """Two acquisition numbers, positions go on."""
    for image in images[len(images) // 2 :]:
        image.header.AcquisitionNumber = 2
    return images


def _turn(images: list[Image], angle: float) -> None:
    for image in images:
        image.header.ImageOrientationPatient = [
            *(f"{v:.12f}" for v in (np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0))
        ]


def orientation_1e8(images: list[Image]) -> list[Image]:
    """Orientation of every second slice differs by 1e-8."""
    _turn(images[1::2], 1e-8)
    return images


def orientation_1e2(images: list[Image]) -> list[Image]:
    """Orientation of the second half differs by 1e-2."""
    second = images[len(images) // 2 :]
    _turn(second, 1e-2)
    for image in second:
        image.stack = 1
    return images


def two_times(images: list[Image]) -> list[Image]:
    """Two time points at the same positions."""
    later = _second(images, "later")
    for image in later:
        image.header.AcquisitionNumber, image.header.AcquisitionTime = 2, "235900"
        image.header.InstanceNumber += len(images)
        image.stack = 1
    return images + later


def two_interleaved(images: list[Image]) -> list[Image]:
    """Two time points, the second shifted by 7 % of the spacing."""
    both = two_times(images)
    for image in both[len(both) // 2 :]:
        image.header.TemporalPositionIdentifier = 2
        image.move(image.affine[:3, 3] + [0, 0, 0.07 * step(images)])
    for image in both[: len(both) // 2]:
        image.header.TemporalPositionIdentifier = 1
    return both


def no_frame_of_reference(images: list[Image]) -> list[Image]:
    """No frame of reference UID."""
    for image in images:
        del image.header.FrameOfReferenceUID
    return images


def no_position(images: list[Image]) -> list[Image]:
    """One more image without position and orientation."""
    (page,) = copy(images[:1])
    page.header.SOPInstanceUID = uid("page")
    page.stored = page.stored[::-1] + np.int16(9)
    del page.header.ImagePositionPatient, page.header.ImageOrientationPatient, page.header.SliceLocation
    page.file, page.stack = "IM9999.dcm", None
    return [*images, page]


def secondary_capture(images: list[Image]) -> list[Image]:
    """A dose page (RGB secondary capture) in the series."""
    header = _bare(images[0].header, SecondaryCaptureImageStorage, "page", images[0].header.SeriesInstanceUID)
    header.Modality, header.ConversionType = "CT", "WSD"
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    page = np.zeros((256, 256, 3), np.uint8)
    page[40:60] = 200
    return [*images, Image(header, page, "IM9999.dcm", stack=None)]


def reports(images: list[Image]) -> list[Image]:
    """Structured report and RTSTRUCT in the folder."""
    classes = {"SR": "1.2.840.10008.5.1.4.1.1.88.11", "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3"}
    extras = []
    for modality, sop_class in classes.items():
        header = _bare(images[0].header, sop_class, modality, uid("series", modality))
        header.Modality = modality
        extras.append(Image(header, np.zeros(0), f"{modality}.dcm", stack=None))
    return images + extras


def _bare(source: Dataset, sop_class: str, word: str, series: str) -> Dataset:
    """The header of another object of the same study."""
    header = Dataset()
    for keyword in ("StudyInstanceUID", "StudyDate", "StudyTime", "PatientName", "PatientID", "StudyID"):
        header[keyword] = source[keyword]
    header.SOPClassUID, header.SOPInstanceUID, header.SeriesInstanceUID = sop_class, uid(word), series
    header.SeriesNumber, header.InstanceNumber = source.SeriesNumber, 999
    return header


CASES = (
    regular, one_slice, slice_missing, spacing_changes, tilt, oblique, localizer, position_twice,
    same_image_twice, shuffled, pixel_spacing_changes, matrix_changes, two_acquisitions, orientation_1e8,
    orientation_1e2, two_times, two_interleaved, no_frame_of_reference, no_position, secondary_capture,
    reports,
)  # fmt: skip
