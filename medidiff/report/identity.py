"""Identity: who a scan is of: a pseudonym, and with --identify what the file says."""

from __future__ import annotations

from pathlib import Path

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
    from pydicom import dcmread

    dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(FIELDS))
    found = {title: str(dataset.get(keyword) or "").strip() for keyword, title in FIELDS.items()}
    return {title: text for title, text in found.items() if text}


def pseudonym(path: Path) -> str | None:
    """A short name for the patient of a DICOM file, the same for all scans of one patient.

    It is a hash of identifier, name and birth date together, so that nobody who does not know all three can
    tell who is meant by trying. None where the file names no patient.

    Args:
        path: one file of the series.
    """
    from pydicom import dcmread

    keywords = ["PatientID", "PatientName", "PatientBirthDate"]
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=keywords)
    words = [str(dataset.get(keyword) or "").strip() for keyword in keywords]
    return hashed("\n".join(words)) if any(words) else None
