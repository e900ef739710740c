"""The header of one DICOM file: read once, without pixels, and kept as small records."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..items import Reason
from ..streams import cause
from . import enhanced_header
from .extent import Extent, measure
from .file import open_dicom, parse
from .functional_groups import frame_count
from .pixels import pixel_refusal, rescale_refusal
from .slice_header import SPLIT, Place, SliceHeader, integer, lenient, record, rounded, text, values
from .sop_classes import CLASSIC, DICOMDIR, ENHANCED, NO_PICTURE, name_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OVERLAY = (0x0100, 0x0102, 0x3000)

TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "Manufacturer", "SeriesNumber",
    "SeriesDescription", "PatientName", "PatientID", "InstanceNumber", "AcquisitionNumber",
    "AcquisitionTime", "ContentTime", "TriggerTime", "EchoTime", "InversionTime", "DiffusionBValue",
    "TemporalPositionIdentifier", "FlipAngle", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "DiffusionGradientOrientation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "LossyImageCompression", "ConvolutionKernel", "KVP", "RepetitionTime", (0x0043, 0x0010), (0x0043, 0x102F),
]  # fmt: skip


def read_header(path: Path) -> list[SliceHeader] | tuple[Reason, str]:
    """Reads the header of a DICOM file, once and without its pixels.

    Args:
        path: a file that is DICOM by its content.

    Returns:
        a record for each slice: one, or one for each usable frame of an enhanced image; or the reason why
        the file has none.
    """
    from pydicom.uid import UID

    with lenient():
        try:
            with open_dicom(path) as file:
                dataset = parse(file, stop_before_pixels=True, specific_tags=_tags())
                extent = measure(file, dataset)
        except OSError as error:
            return cause(error)
        except Exception as error:  # a damaged header makes pydicom raise almost anything
            return Reason.DAMAGED_HEADER, type(error).__name__
        try:
            if (uid := dataset.file_meta.get("TransferSyntaxUID")) and not isinstance(uid, UID):
                return Reason.DAMAGED_HEADER, "Transfer Syntax UID (0002,0010)"  # with another VR than UI
            if reason := _no_image(dataset):
                return _cut_off(dataset, extent) or reason
            if extent.lossy:
                dataset.LossyImageCompression = "01"
            if extent.floating:
                return Reason.FLOAT_PIXELS, "(7FE0,0008) or (7FE0,0009)"
            syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
            if text(dataset, "SOPClassUID") in ENHANCED:
                found = enhanced_header.read_frames(dataset, path, syntax)
            else:
                found = _not_a_slice(dataset, syntax) or [_record(dataset, path)]
            short = isinstance(found, list) and extent.shortfall(dataset, frame_count(dataset))
            return short or found
        except Exception as error:  # values are parsed where they are first used
            return Reason.DAMAGED_HEADER, type(error).__name__


def _cut_off(dataset: Dataset, extent: Extent) -> tuple[Reason, str] | None:
    """Told where an image of CT, MR or PET lacks what it must have because its file ends in the header."""
    sop_class = text(dataset, "SOPClassUID")
    if extent.size != 0 or dataset.get("Rows") or not (sop_class in CLASSIC or sop_class in ENHANCED):
        return None
    if text(dataset, "SOPInstanceUID") and text(dataset, "SeriesInstanceUID"):
        return Reason.NO_PIXELS, "nor Rows (0028,0010)"
    return Reason.TRUNCATED, "the file ends in its header"


def _tags() -> list[Any]:
    overlay = [(group, element) for group in range(0x6000, 0x601F, 2) for element in OVERLAY]
    return [*TAGS, *enhanced_header.TAGS, *overlay]


def _no_image(dataset: Dataset) -> tuple[Reason, str] | None:
    """Why a readable DICOM file is no image of CT, MR or PET, None if it is one."""
    sop_class = text(dataset, "SOPClassUID")
    if sop_class == DICOMDIR:
        return Reason.DICOMDIR, ""
    if sop_class.startswith(NO_PICTURE):
        return Reason.NOT_AN_IMAGE_OBJECT, text(dataset, "Modality")
    missing = [k for k in ("SOPInstanceUID", "SeriesInstanceUID") if not text(dataset, k)]
    known = sop_class in CLASSIC or sop_class in ENHANCED
    if not missing and sop_class and not dataset.get("Rows"):
        return Reason.NO_SPACING if known else Reason.NOT_AN_IMAGE_OBJECT, "no Rows (0028,0010)"
    photometric = text(dataset, "PhotometricInterpretation")
    if photometric and not photometric.startswith("MONOCHROME"):
        return pixel_refusal(dataset, str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if missing or not sop_class:
        return Reason.MISSING_UID, ", ".join(missing) or "SOPClassUID"
    if not known:
        return Reason.UNSUPPORTED_OBJECT, name_of(sop_class)
    if not dataset.get("Columns"):
        return Reason.NO_SPACING, "no Columns (0028,0011)"
    return None


def _not_a_slice(dataset: Dataset, syntax: str) -> tuple[Reason, str] | None:
    """Why a classic CT, MR or PET image is not a slice, None if it is one."""
    if frame_count(dataset) != 1:
        return Reason.MULTI_FRAME, f"{frame_count(dataset)} frames"
    modality = CLASSIC[text(dataset, "SOPClassUID")]
    if refused := pixel_refusal(dataset, syntax) or rescale_refusal(dataset, modality):
        return refused
    kind = values(dataset, "ImageType")
    if "MOSAIC" in kind:
        return Reason.MOSAIC, ""
    if "LOCALIZER" in kind and modality != "MR":
        return Reason.LOCALIZER, ""
    return Place(dataset, dataset, dataset).problem()


def _component(dataset: Dataset) -> list[str]:
    """Phase, real or imaginary, as GE tells it in an element of its own (0043,102F)."""
    number = None
    with suppress(Exception):  # absent, or not to be parsed, which does not matter: it is not copied
        if str(dataset[0x0043, 0x0010].value).strip() == "GEMS_PARM_01":
            value = dataset[0x0043, 0x102F].value
            number = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else integer(value)
    return [name] if (name := {1: "PHASE", 2: "REAL", 3: "IMAGINARY"}.get(number or 0)) else []


def _record(dataset: Dataset, path: Path) -> SliceHeader:
    modality = CLASSIC[text(dataset, "SOPClassUID")]
    place = Place(dataset, dataset, dataset)
    return record(
        dataset, path, place, dataset, modality=modality,
        kind=[*values(dataset, "ImageType")[2:], *_component(dataset)],
        split=[rounded(dataset.get(k)) for k in SPLIT],
        order=[
            text(dataset, "AcquisitionNumber"), rounded(dataset.get("InversionTime")),
            rounded(dataset.get("FlipAngle")), rounded(dataset.get("TriggerTime")),
            text(dataset, "DiffusionGradientOrientation"), text(dataset, "AcquisitionTime"),
            text(dataset, "ContentTime"), text(dataset, "SeriesNumber"), text(dataset, "ConvolutionKernel"),
            rounded(dataset.get("KVP")), rounded(dataset.get("RepetitionTime")),
            rounded(place.length("SliceThickness")),
        ],
        volume=["" if modality == "MR" else text(dataset, "AcquisitionNumber")],
    )  # fmt: skip
