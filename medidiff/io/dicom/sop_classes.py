"""Which DICOM objects are slices or frames of CT, MR and PET, and which are no pictures (PS3.4 B.5)."""

from __future__ import annotations

from ...volume import Modality

CLASSIC: dict[str, Modality] = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}
"""CT, MR and PET Image Storage: one slice in each file."""

ENHANCED: dict[str, Modality] = {
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
}
"""Enhanced CT, MR and PET Image Storage, then the same Legacy Converted: many frames in each file."""

LEGACY_CONVERTED = {
    "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.128.1",
}  # fmt: skip

NO_PICTURE = (
    "1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.481.",
    "1.2.840.10008.5.1.4.1.1.9.", "1.2.840.10008.5.1.4.1.1.4.2", "1.2.840.10008.5.1.4.34.",
)  # fmt: skip
"""Presentation states, raw data, registrations, segmentations, structured reports, documents,
radiotherapy, waveforms, spectroscopy: prefixes of their SOP Class UIDs."""

DICOMDIR = "1.2.840.10008.1.3.10"


def name_of(sop_class: str) -> str:
    """The name of a SOP class, its UID where that is unknown."""
    from pydicom.uid import UID

    return UID(sop_class).name
