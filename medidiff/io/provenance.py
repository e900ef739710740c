"""Provenance: from which scan an output of an earlier run was made.

A derived DICOM image names its source images. Any other output holds a digest of its source, in its header
(NRRD, MetaImage) or its sidecar (NIfTI), so that it appears with the output itself, and a run that was
killed has told as much as one that ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PixelError
from .bids import read_sidecar
from .formats import head_of, open_stored
from .streams import PIECE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .items import SeriesItem

FIELD = "medidiff_source"
"""Header field of an NRRD or MetaImage file that holds the digest."""

KEY = "SourceDigest"
"""The same in the last item of GeneratedBy of a sidecar."""


def source_digest(item: SeriesItem) -> str:
    """SHA-256 of what a scan is told apart by, hexadecimal.

    That is the Series and Study Instance UID of DICOM, and the bytes of any other file as it is stored,
    followed by those of its voxels where they have a file of their own. Names and folders do not count.

    Raises:
        PixelError: the file cannot be read any more.
    """
    if item.kind == "dicom":
        told = f"{item.series_uid} {item.headers.stack.slices[0].study}"
        return hashlib.sha256(told.encode()).hexdigest()
    digest = hashlib.sha256()
    for path in dict.fromkeys((item.files[0], item.headers.voxels)):
        try:
            with open_stored(path) as file:
                while data := file.read(PIECE):
                    digest.update(data)
        except (OSError, EOFError) as error:
            raise PixelError("has changed since it was discovered", where=path) from error
    return digest.hexdigest()


def made_from(output: Path, item: SeriesItem) -> bool | None:
    """Whether an output that exists was made from a scan; None where it does not tell.

    Args:
        output: folder of a derived DICOM series, or image file.
        item: the scan.

    Raises:
        PixelError: the scan cannot be read any more.
    """
    if output.is_dir():
        return _refers(output, {s.uid for s in item.headers.stack.slices}) if item.kind == "dicom" else None
    told = _told(output)
    return None if told is None else told == source_digest(item)


def _told(output: Path) -> str | None:
    """The digest that an output file holds."""
    if output.name.lower().endswith((".nii", ".nii.gz")):
        made = read_sidecar(output).get("GeneratedBy")
        last = made[-1] if isinstance(made, list) and made else None
        found = last.get(KEY) if isinstance(last, dict) else None
        return found if isinstance(found, str) else None
    from .itk_header import HEAD, fields_of

    try:
        return fields_of(head_of(output, HEAD)).get(FIELD)
    except OSError:
        return None


def _refers(folder: Path, uids: set[str]) -> bool | None:
    """Whether the images of a folder name any of these SOP instances as their source."""
    from pydicom import dcmread

    from .dicom.slice_header import lenient

    told = False
    tags = ["SourceImageSequence", "SourceImageEvidenceSequence"]
    for path in sorted(folder.glob("*.dcm")):
        try:
            with lenient():
                named = set(_sources(dcmread(path, stop_before_pixels=True, specific_tags=tags)))
        except Exception:  # a damaged file makes pydicom raise almost anything, and tells nothing
            continue
        if named & uids:
            return True
        told = told or bool(named)
    return False if told else None


def _sources(image: Dataset) -> Iterable[str]:
    """SOP Instance UIDs of the source images (PS3.3 C.12.4.1.4, C.7.6.16) of a derived image."""
    images = list(image.get("SourceImageSequence") or [])
    for study in image.get("SourceImageEvidenceSequence") or []:
        for series in study.get("ReferencedSeriesSequence") or []:
            images += series.get("ReferencedSOPSequence") or []
    return (str(item.get("ReferencedSOPInstanceUID", "")) for item in images)
