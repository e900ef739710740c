"""Identity: who a scan is of: a pseudonym, and with --identify what the file says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medidiff.io.dicom.file import open_dicom, parse
from medidiff.io.dicom.slice_header import lenient
from medidiff.report.privacy import hashed

FIELDS = {
    "PatientName": "Patient name",
    "PatientID": "Patient ID",
    "PatientBirthDate": "Birth date",
    "PatientSex": "Sex",
    "StudyDate": "Study date",
    "StudyDescription": "Study",
    "InstitutionName": "Institution",
    "StationName": "Station",
    "SeriesInstanceUID": "Series UID",
}
"""DICOM keyword (PS3.3 C.7.1.1, C.7.2.1, C.7.5.1) to its name on the page."""


def identity(path: Path) -> dict[str, str]:
    """What a DICOM file says about patient, study and institution; absent elements are left out.

    Args:
        path: one file of the series.
    """
    texts = _texts(path, FIELDS)
    return {title: text for title, text in zip(FIELDS.values(), texts, strict=True) if text}


def pseudonym(path: Path) -> str | None:
    """A short name for the patient of a DICOM file, the same for all scans of one patient.

    It is a hash of identifier, name and birth date together, so that nobody who does not know all three can
    tell who is meant by trying. None where the file names no patient.

    Args:
        path: one file of the series.
    """
    words = _texts(path, ("PatientID", "PatientName", "PatientBirthDate"))
    return hashed("\n".join(words)) if any(words) else None


def _texts(path: Path, keywords: Iterable[str]) -> list[str]:
    """The values of elements as text, "" where absent."""
    with lenient(), open_dicom(path) as file:
        dataset = parse(file, stop_before_pixels=True, specific_tags=list(keywords))
        return [str(dataset.get(keyword) or "").strip() for keyword in keywords]
