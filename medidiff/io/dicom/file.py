"""Opens and parses a DICOM file: with or without its preamble, packed or not.

pydicom inflates a deflated data set (PS3.5 A.5) whole, whatever its size: that is looked at before.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..formats import open_image
from ..items import Reason
from ..streams import PIECE, BadStream, most_unpacked

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

DEFLATED = b"1.2.840.10008.1.2.1.99"
META_GROUP = b"\x02\x00"
LONG = (b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC", b"UR", b"OD", b"OF", b"OL", b"OV", b"SV", b"UV")
"""VRs with a length of four bytes behind two reserved ones (PS3.5 7.1.2)."""


def open_dicom(path: Path) -> IO[bytes]:
    """Opens a DICOM file, unpacking zip and gzip on the way.

    Raises:
        OSError: it cannot be read.
        BadStream: it is deflated, and inflates to far more than it holds, or not at all.
    """
    file = open_image(path)
    try:
        if DEFLATED in file.read(1024):
            _check_inflated(file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def parse(file: IO[bytes], **options: Any) -> FileDataset:
    """Reads a data set, and what it lacks from the file meta information, which says the same (PS3.10 7.1).

    Without file meta information, as old archives and dumps of C-STORE have it, the first element tells
    implicit or explicit VR and the byte order. Such a file cannot be compressed: nothing would say how.

    Args:
        file: from `open_dicom`.
        options: of ``pydicom.dcmread``.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = dcmread(file, force=True, **options)
    meta = dataset.file_meta
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword) and (known := meta.get(f"MediaStorage{keyword}")):
            setattr(dataset, keyword, known)
    if dataset.get("Rows") and not dataset.get("SamplesPerPixel"):
        dataset.SamplesPerPixel = 1  # a colour image says so in its Photometric Interpretation
    return dataset


def _check_inflated(file: IO[bytes]) -> None:
    file.seek(128)
    file.seek(132 if file.read(4) == b"DICM" else 0)
    while (head := file.read(8))[:2] == META_GROUP and len(head) == 8:  # always Explicit VR Little Endian
        length = int.from_bytes(head[6:8], "little")
        if head[4:6] in LONG:
            length = int.from_bytes(file.read(4), "little")
        file.seek(length, 1)
    file.seek(-len(head), 1)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    packed, inflated = 0, 0
    while piece := inflate.unconsumed_tail or file.read(PIECE):
        packed += 0 if piece is inflate.unconsumed_tail else len(piece)
        try:
            inflated += len(inflate.decompress(piece, PIECE))
        except zlib.error as error:
            raise BadStream(Reason.DAMAGED_HEADER, "deflated data set") from error
        if inflated > most_unpacked(packed):
            raise BadStream(Reason.PACKING_BOMB, f"more than {inflated >> 20} MB from {packed} bytes")
