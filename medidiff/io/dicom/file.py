"""Opens a DICOM file for pydicom, which inflates a deflated data set (PS3.5 A.5) whole, whatever its size."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO

from ..formats import open_image
from ..items import Reason
from ..streams import PIECE, BadStream, most_unpacked

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


def _check_inflated(file: IO[bytes]) -> None:
    file.seek(132)
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
