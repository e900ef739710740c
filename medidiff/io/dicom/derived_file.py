"""Puts pixels into a derived data set and writes it, Explicit VR Little Endian."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import OutputError
from .pixels import IntArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LONGEST = 2**32 - 2
"""Bytes that a native Pixel Data element can hold (PS3.5 7.1.1)."""


def set_pixels(new: Dataset, stored: IntArray, bits: int) -> None:
    """Puts stored values into a header that has none.

    Args:
        new: the header; keeps its Photometric Interpretation.
        stored: ``[y, x]``, or ``[frame, y, x]``; its unused bits are written as they are.
        bits: Bits Stored.

    Raises:
        OutputError: more than DICOM can hold in one image.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    if stored.nbytes > LONGEST:
        raise OutputError("an uncompressed DICOM image cannot be larger than 4 GB", received=stored.nbytes)
    new.file_meta = FileMetaDataset()
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if stored.dtype.kind == "i" else (0, (1 << bits) - 1)
    fits = bool(stored.min() >= low and stored.max() <= high)
    plain = np.ascontiguousarray(stored if fits else np.clip(stored, low, high))
    new.set_pixel_data(plain, str(new.PhotometricInterpretation), bits, generate_instance_uid=False)
    if not fits:  # pydicom refuses unused bits that are not empty, where scanners put padding (PS3.5 8.1.1)
        data = stored.tobytes()
        new["PixelData"].value = data + bytes(len(data) % 2)
    if stored.ndim == 3:
        new.NumberOfFrames = len(stored)


def save(new: Dataset, path: Path) -> None:
    """Writes a data set with its file meta information.

    Raises:
        OSError: with the number that tells why.
    """
    from pydicom import dcmwrite

    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    buffer = BytesIO()  # pydicom wraps errors of a file and loses their number: is the disk full?
    dcmwrite(buffer, new, enforce_file_format=True)
    path.write_bytes(buffer.getbuffer())
