"""The header of a derived DICOM image (PS3.3 C.7.6.1.1; every attribute: conformance statement, section 4).

`derive` turns the header of a source slice into that of the derived slice; it never touches pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from ..derivation import MAPS, Derivation, derived_uid, description
from ..names import printable
from . import elements
from .identity import Identity, Source
from .slice_header import values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PURPOSE_SOURCE = ("121322", "Source image for image processing operation")  # CID 7202
PURPOSE_ACQUISITION = ("109101", "Acquisition Equipment")  # CID 7005
PURPOSE_PROCESSING = ("109102", "Processing Equipment")
SMOOTHING = ("113087", "Smoothing")  # CID 7203: the closest concept; there is none for denoising

DROPPED = (
    "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence",  # of the old pixels
    "SmallestImagePixelValue", "LargestImagePixelValue",
    "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "PixelDataProviderURL",
    "InstanceCreatorUID", "DeviceSerialNumber", "StationName", "DataSetTrailingPadding",
)  # fmt: skip
"""Not true of the new image, and not required of it."""

WRITTEN = (
    "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ImageType",
    "InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime", "DerivationDescription",
    "SourceImageSequence", "ContentQualification", "Manufacturer", "ManufacturerModelName",
    "SoftwareVersions",
)  # fmt: skip
"""Written anew: not copied, so that a wrong VR of the source's is not either."""

NOT_OF_A_MAP = (
    "PixelPaddingValue", "PixelPaddingRangeLimit", "VOILUTSequence", "VOILUTFunction",
    "WindowCenterWidthExplanation", "RealWorldValueMappingSequence",
)  # fmt: skip
"""Display and padding of the source that make no sense for a residual or an uncertainty map."""

EQUIPMENT = (
    "Manufacturer", "InstitutionName", "StationName", "ManufacturerModelName", "DeviceSerialNumber",
    "SoftwareVersions",
)  # fmt: skip


def derive(source: Dataset, derivation: Derivation, identity: Identity, *, keep_private: bool) -> Dataset:
    """The header of the derived slice: a copy of the source with the changes of the table.

    Args:
        source: classic CT, MR or PET slice; for enhanced images see `enhanced_derivation`.
        derivation: what was done.
        identity: the new identifiers.
        keep_private: copies private elements.

    Returns:
        a new data set without pixel data and file meta information.
    """
    new = copied(source, (), keep_private=keep_private, suffix=identity.suffix)
    identify(new, source, identity, "copy" if derivation.operation == "copy" else identity.suffix)
    _explain(new, derivation, identity)
    equip(new, source, derivation)
    return new


def copied(source: Dataset, without: Iterable[str], *, keep_private: bool, suffix: str) -> Dataset:
    """A copy of a header without what is not true of the derived image.

    Args:
        source: the header.
        without: keywords of what else is left out.
        keep_private: copies private elements.
        suffix: what the derived image is.
    """
    from pydicom.tag import Tag

    gone = {Tag(k) for k in (*DROPPED, *WRITTEN, *without, *(NOT_OF_A_MAP if suffix in MAPS else ()))}
    return elements.copied(source, keep_private=keep_private, without=gone)


def identify(new: Dataset, source: Dataset, identity: Identity, word: str) -> None:
    """Gives a derived header its identifiers, its type, and the time of its making."""
    new.SOPInstanceUID = identity.sop_uid
    new.SeriesInstanceUID = identity.series_uid
    new.SeriesNumber = identity.series_number
    text = source.get("SeriesDescription") if identity.description is None else identity.description
    new.SeriesDescription = description(text, word)
    kind = values(source, "ImageType")
    fallback = ["DERIVED", "PRIMARY", *(["AXIAL"] if source.get("Modality") == "CT" else [])]
    new.ImageType = ["DERIVED", *kind[1:], *fallback[max(len(kind), 1) :]]
    now = identity.now.astimezone(_zone(source))
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S.%f")
    new.InstanceCreationDate, new.InstanceCreationTime = day, time
    new.ContentDate, new.ContentTime = day, time
    # PET counts Frame Reference Time and decay from Series Date and Time (C.8.9.1.1.4, C.8.9.4.1.5).
    if source.get("Modality") != "PT":
        for keyword in ("SeriesDate", "SeriesTime"):
            if keyword in new:
                delattr(new, keyword)
        new.SeriesDate, new.SeriesTime = day, time


def _zone(source: Dataset) -> timezone | None:
    """Timezone Offset From UTC (0008,0201) of the source, None for the local one."""
    text = str(source.get("TimezoneOffsetFromUTC") or "").strip()
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit() or int(text[1:3]) > 14:
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return timezone(-offset if text[0] == "-" else offset)


def _explain(new: Dataset, derivation: Derivation, identity: Identity) -> None:
    """DerivationDescription, codes and sources (C.7.6.1.1.3, C.12.4.1.1)."""
    new.DerivationDescription = f"{identity.suffix}: {derivation.describe()}"[:1024]
    if derivation.operation == "denoise":
        new.DerivationCodeSequence = [code(*SMOOTHING)]
    elif derivation.operation == "simulate" and "DerivationCodeSequence" in new:
        del new.DerivationCodeSequence
    new.SourceImageSequence = [reference(source) for source in identity.sources]
    qualify(new, derivation)


def qualify(new: Dataset, derivation: Derivation) -> None:
    """ContentQualification RESEARCH, always (C.8.13.2.1.1), and SyntheticData where asked for."""
    new.ContentQualification = "RESEARCH"
    if derivation.synthetic_data:
        new.SyntheticData = "YES"


def reference(source: Source) -> Dataset:
    """An item of SourceImageSequence (0008,2112)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class
    item.ReferencedSOPInstanceUID = source.uid
    if source.frame:
        item.ReferencedFrameNumber = source.frame
    item.SpatialLocationsPreserved = "YES"
    item.PurposeOfReferenceCodeSequence = [code(*PURPOSE_SOURCE)]
    return item


def code(value: str, meaning: str) -> Dataset:
    """An item of a code sequence, from the DICOM Controlled Terminology (PS3.16)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def equip(new: Dataset, source: Dataset, derivation: Derivation) -> None:
    """General Equipment is medidiff's; the source's moves to ContributingEquipmentSequence (C.12.1.1.5)."""
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    first = next(iter(values(source, "ImageType")), "")
    scanner = Dataset()
    elements.written_as_is(scanner)
    for tag in map(Tag, EQUIPMENT):
        if tag in source:
            element = elements.untouched(source, tag)  # before its value is looked at
            if source[tag].value not in (None, ""):
                scanner[tag] = element
    if "Manufacturer" not in scanner:
        scanner.Manufacturer = "unknown"
    scanner.PurposeOfReferenceCodeSequence = [
        code(*(PURPOSE_PROCESSING if first == "DERIVED" else PURPOSE_ACQUISITION))
    ]
    model = Dataset()
    model.Manufacturer = "medidiff"
    model.ManufacturerModelName = printable(derivation.model_id)
    short = derivation.model_sha256[:12]
    versions = [f"medidiff {derivation.version}".strip()]
    versions += [f"{derivation.model_id}@{short}"[:64]] if short else []
    model.SoftwareVersions = versions
    model.PurposeOfReferenceCodeSequence = [code(*PURPOSE_PROCESSING)]
    model.DeviceUID = derived_uid("medidiff model", derivation.model_id, derivation.model_sha256)
    new.ContributingEquipmentSequence = [*(new.get("ContributingEquipmentSequence") or []), scanner, model]
    new.Manufacturer = "medidiff"
    new.ManufacturerModelName = "medidiff"
    new.SoftwareVersions = versions
