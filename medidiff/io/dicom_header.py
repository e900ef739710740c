"""The header of one DICOM file: read once, without pixels, and kept as a small record."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .formats import open_image
from .items import Reason
from .names import printable, without_patient
from .pixels import NATIVE, refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLASSIC = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}
"""CT, MR and PET Image Storage (PS3.4 B.5)."""

MULTI_FRAME = {
    "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1",
    "1.2.840.10008.5.1.4.1.1.4.3",
}  # fmt: skip
"""Enhanced and legacy converted enhanced CT, MR, PET."""

NO_PICTURE = (
    "1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.481.",
    "1.2.840.10008.5.1.4.1.1.9.", "1.2.840.10008.5.1.4.1.1.4.2", "1.2.840.10008.5.1.4.34.",
)  # fmt: skip
"""Presentation states, raw data, registrations, segmentations, structured reports, documents,
radiotherapy, waveforms, spectroscopy: prefixes of their SOP Class UIDs."""

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010), little endian
OVERLAY = (0x0100, 0x0102, 0x3000)

TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "Manufacturer", "SeriesNumber",
    "SeriesDescription", "PatientName", "PatientID", "InstanceNumber", "AcquisitionNumber",
    "AcquisitionTime", "ContentTime", "TriggerTime", "EchoTime", "InversionTime", "DiffusionBValue",
    "TemporalPositionIdentifier", "FlipAngle", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence",
]  # fmt: skip


SPLIT = ("EchoTime", "DiffusionBValue", "TemporalPositionIdentifier")
"""A stack has one of each."""


@dataclass(frozen=True)
class SliceHeader:
    """What geometry, grouping and naming need of one slice; UIDs as text, positions in mm (LPS).

    Attributes:
        path: file.
        modality: ``"CT"``, ``"MR"`` or ``"PT"``.
        sop_class: SOP Class UID.
        uid: SOP Instance UID.
        series: Series Instance UID.
        study: Study Instance UID.
        frame: Frame of Reference UID, "" where absent.
        rows: matrix height.
        columns: matrix width.
        spacing: Pixel Spacing: between rows, between columns.
        position: Image Position (Patient), centre of the first pixel.
        orientation: Image Orientation (Patient): row cosines, column cosines.
        kind: Image Type from value 3 on.
        split: echo time, b-value and temporal position: a stack has one of each.
        order: acquisition number, times, inversion time, flip angle: they may tell apart two slices
            at one position.
        number: Series Number.
        description: Series Description, without patient name.
        own: True where medidiff wrote the file.
        transfer_syntax: UID.
    """

    path: Path
    modality: str
    sop_class: str
    uid: str
    series: str
    study: str
    frame: str
    rows: int
    columns: int
    spacing: tuple[float, float]
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    kind: tuple[str, ...]
    split: tuple[str, ...]
    order: tuple[str, ...]
    number: int | None
    description: str
    own: bool
    transfer_syntax: str

    @property
    def normal(self) -> NDArray[np.float64]:
        """Row cosines x column cosines."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def depth(self) -> float:
        """Position along the slice normal in mm."""
        return float(self.normal @ np.asarray(self.position))


@contextmanager
def lenient() -> Iterator[None]:
    """Reads and copies odd values as they are: no value checks, and no warnings, which could quote names."""
    import pydicom.config

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def read_header(path: Path) -> SliceHeader | tuple[Reason, str]:
    """Reads the header of a DICOM file, once and without its pixels.

    Args:
        path: a file with a DICOM preamble.

    Returns:
        the record of a slice, or the reason why the file is none.
    """
    import pydicom

    with lenient():
        try:
            with open_image(path) as file:
                dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_tags())
                rest = _bytes_left(file, dataset)
                whole = _is_whole(file, dataset)
        except OSError as error:
            return Reason.UNREADABLE, error.strerror or type(error).__name__
        except Exception as error:  # a damaged header makes pydicom raise almost anything
            return Reason.DAMAGED_HEADER, type(error).__name__
        try:
            if reason := _not_a_slice(dataset, rest):
                return reason
            return _record(dataset, path) if whole else (Reason.TRUNCATED, "compressed pixel data")
        except Exception as error:  # values are parsed where they are first used
            return Reason.DAMAGED_HEADER, type(error).__name__


def _tags() -> list[Any]:
    overlay = [(group, element) for group in range(0x6000, 0x601F, 2) for element in OVERLAY]
    return [*TAGS, *overlay]


def _bytes_left(file: IO[bytes], dataset: Dataset) -> int | None:
    """Bytes of pixel data in the file, None where that is not known before decoding."""
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax not in NATIVE:
        return None
    start = file.tell()
    head = file.read(12)
    tag = PIXEL_DATA if syntax != "1.2.840.10008.1.2.2" else b"\x7f\xe0\x00\x10"
    if head[:4] != tag:
        return 0 if not head else None
    return file.seek(0, 2) - start - (8 if syntax == "1.2.840.10008.1.2" else 12)


def _is_whole(file: IO[bytes], dataset: Dataset) -> bool:
    """False where encapsulated pixel data ends before its Sequence Delimitation Item (PS3.5 A.4)."""
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if str(syntax) in NATIVE or not syntax.is_transfer_syntax or not syntax.is_encapsulated:
        return True
    head = file.read(12)
    if head[:4] != PIXEL_DATA:
        return True  # no pixel data, or something in front of it: decoding will tell
    while True:
        item = file.read(8)
        if item[:4] == b"\xfe\xff\xdd\xe0":
            return True
        length = int.from_bytes(item[4:], "little")
        if item[:4] != b"\xfe\xff\x00\xe0" or len(file.read(length)) < length:
            return False


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _not_a_slice(dataset: Dataset, rest: int | None) -> tuple[Reason, str] | None:
    """Why a readable DICOM file is not a slice, None if it is one."""
    meta = dataset.file_meta
    sop_class = _text(dataset, "SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", ""))
    if sop_class == DICOMDIR_CLASS:
        return Reason.DICOMDIR, ""
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if sop_class in MULTI_FRAME:
        return Reason.MULTI_FRAME, "enhanced CT, MR or PET"
    if sop_class.startswith(NO_PICTURE):
        return Reason.NOT_AN_IMAGE_OBJECT, _text(dataset, "Modality")
    missing = [k for k in ("SOPInstanceUID", "SeriesInstanceUID") if not _text(dataset, k)]
    if not missing and sop_class and not dataset.get("Rows"):
        return (
            Reason.NO_SPACING if sop_class in CLASSIC else Reason.NOT_AN_IMAGE_OBJECT,
            "no Rows (0028,0010)",
        )
    photometric = _text(dataset, "PhotometricInterpretation")
    if photometric and not photometric.startswith("MONOCHROME"):
        return refusal(dataset, syntax)
    if missing or not sop_class:
        return Reason.MISSING_UID, ", ".join(missing) or "SOPClassUID"
    if sop_class not in CLASSIC:
        return Reason.UNSUPPORTED_OBJECT, _class_name(sop_class)
    frames = dataset.get("NumberOfFrames")
    if frames not in (None, "") and int(frames) != 1:
        return Reason.MULTI_FRAME, f"{int(frames)} frames"
    if refused := refusal(dataset, syntax):
        return refused
    kind = [str(v) for v in dataset.get("ImageType") or []]
    if "MOSAIC" in kind:
        return Reason.MOSAIC, ""
    if "LOCALIZER" in kind and CLASSIC[sop_class] != "MR":
        return Reason.LOCALIZER, ""
    return _bad_grid(dataset) or _bad_length(dataset, rest)


def _class_name(sop_class: str) -> str:
    from pydicom.uid import UID

    return UID(sop_class).name


def _bad_grid(dataset: Dataset) -> tuple[Reason, str] | None:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        return Reason.NO_SPACING, "no Rows or Columns (0028,0010-0011)"
    spacing = _numbers(dataset, "PixelSpacing", 2)
    if spacing is None or min(spacing) <= 0:
        return Reason.NO_SPACING, "Pixel Spacing (0028,0030)"
    if _numbers(dataset, "ImagePositionPatient", 3) is None:
        return Reason.NO_POSITION, "Image Position (0020,0032)"
    cosines = _numbers(dataset, "ImageOrientationPatient", 6)
    if cosines is None:
        return Reason.NO_POSITION, "Image Orientation (0020,0037)"
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    if max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) > 1e-2:
        return Reason.NO_POSITION, "Image Orientation (0020,0037) is not a pair of unit vectors"
    return None


def _bad_length(dataset: Dataset, rest: int | None) -> tuple[Reason, str] | None:
    if rest is None:
        return None
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    if rest <= 0:
        return Reason.NO_PIXELS, "(7FE0,0010)"
    if rest < expected:
        return Reason.TRUNCATED, f"{rest} of {expected} bytes"
    return None


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """The values of a DS element as floats, None where absent, empty, unreadable or not finite."""
    values = dataset.get(keyword)
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _rounded(value: object) -> str:
    """A number as text to four significant decimals, so that 2.46 and 2.460 are one echo."""
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return ""


def _integer(value: object) -> int | None:
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return None


def _record(dataset: Dataset, path: Path) -> SliceHeader:
    text = printable(dataset.get("SeriesDescription"))
    return SliceHeader(
        path=path,
        modality=CLASSIC[str(dataset.SOPClassUID)],
        sop_class=_text(dataset, "SOPClassUID"),
        uid=_text(dataset, "SOPInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        study=_text(dataset, "StudyInstanceUID"),
        frame=_text(dataset, "FrameOfReferenceUID"),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        spacing=_numbers(dataset, "PixelSpacing", 2),  # type: ignore[arg-type]
        position=_numbers(dataset, "ImagePositionPatient", 3),  # type: ignore[arg-type]
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),  # type: ignore[arg-type]
        kind=tuple(str(v) for v in dataset.get("ImageType") or [])[2:],
        split=tuple(
            _rounded(dataset.get(k)) for k in SPLIT
        ),
        order=(
            _text(dataset, "AcquisitionNumber"), _rounded(dataset.get("InversionTime")),
            _rounded(dataset.get("FlipAngle")), _rounded(dataset.get("TriggerTime")),
            _text(dataset, "AcquisitionTime"), _text(dataset, "ContentTime"),
        ),
        number=_integer(dataset.get("SeriesNumber")),
        description=without_patient(text, dataset.get("PatientName"), dataset.get("PatientID")),
        own=_text(dataset, "Manufacturer").lower() == "medidiff",
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
    )  # fmt: skip
