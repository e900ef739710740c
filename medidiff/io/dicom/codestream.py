"""What a compressed frame says of itself: its size, read before a decoder makes room for it, and its loss."""

from __future__ import annotations

import struct
from dataclasses import dataclass

JPEG = {
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
}  # fmt: skip
"""JPEG and JPEG-LS: a frame header SOF (ITU-T T.81 B.2.2, T.87 C.2.2)."""

JPEG_2000 = {
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
}  # fmt: skip
"""JPEG 2000: a marker segment SIZ right at the start (ITU-T T.800 A.5.1)."""

LOSSY_METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1", "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1", "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}  # fmt: skip
"""JPEG, JPEG-LS and JPEG 2000 that are not lossless by their very syntax, and the terms of Lossy Image
Compression Method (0028,2114) for them (C.7.6.1.1.5.1)."""

FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
STANDALONE = {0x01, *range(0xD0, 0xD9)}
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
START_2000 = b"\xff\x4f\xff\x51"
CODING_STYLE = b"\xff\x52"  # COD (T.800 A.6.1)
BOX_FILE = b"\0\0\0\x0cjP  "  # a JP2 file around the codestream (T.800 I.5.1)


@dataclass(frozen=True)
class Claim:
    """What a codestream says it holds.

    Attributes:
        rows: height.
        columns: width.
        components: values in each pixel.
    """

    rows: int
    columns: int
    components: int

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}" + (f"x{self.components}" if self.components != 1 else "")


def claim(frame: bytes, transfer_syntax: str) -> Claim | None:
    """The size that a compressed frame claims.

    Args:
        frame: the codestream.
        transfer_syntax: UID; only those in `JPEG` and `JPEG_2000` have a codestream with a size.

    Returns:
        None where the frame is no such codestream.
    """
    try:
        return _jpeg_2000(frame) if transfer_syntax in JPEG_2000 else _jpeg(frame)
    except (struct.error, IndexError):
        return None


def _jpeg(frame: bytes) -> Claim | None:
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in FRAME_HEADERS:
            rows, columns, components = struct.unpack_from(">HHB", frame, at + 5)
            return Claim(rows, columns, components)
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in STANDALONE:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None


def is_cut(frame: bytes, transfer_syntax: str) -> bool:
    """True for a JPEG or JPEG-LS codestream that ends before its end: decoders make up the rest in silence.

    Behind the header of a scan no coded data looks like an end-of-image marker (T.81 B.1.1.5, T.87 A.1), and
    without one the data ends early; what pads a frame behind its end may hold anything. Those of JPEG 2000
    find that out for themselves.

    Args:
        frame: the codestream.
        transfer_syntax: UID.
    """
    return transfer_syntax in JPEG and END_OF_IMAGE not in frame[max(frame.find(START_OF_SCAN), 0) :]


def _jpeg_2000(frame: bytes) -> Claim | None:
    at = 0
    if frame[:8] == BOX_FILE:
        while frame[at + 4 : at + 8] != b"jp2c":
            size = struct.unpack_from(">I", frame, at)[0]
            size = size if size != 1 else struct.unpack_from(">Q", frame, at + 8)[0]
            if size < 8:
                return None
            at += size
        at += 16 if frame[at : at + 4] == b"\0\0\0\1" else 8
    if frame[at : at + 4] != START_2000:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    return Claim(bottom - top, right - left, struct.unpack_from(">H", frame, at + 40)[0])


def lossy_method(frame: bytes, transfer_syntax: str) -> str | None:
    """How a frame lost information when it was compressed, None where nothing tells that it did.

    Args:
        frame: the codestream.
        transfer_syntax: UID.

    Returns:
        of `LOSSY_METHODS`. A JPEG 2000 codestream with the reversible transform may have been cut to a rate
        all the same: that cannot be seen.
    """
    method = LOSSY_METHODS.get(transfer_syntax)
    try:
        if method == "ISO_14495_1":  # NEAR stands behind the components (T.87 C.2.3)
            scan = frame.index(START_OF_SCAN)
            return method if frame[scan + 5 + 2 * frame[scan + 4]] else None
        if transfer_syntax in JPEG_2000:
            style = frame.index(CODING_STYLE, frame.index(START_2000))
            return method if frame[style + 13] == 0 else None  # the 9-7 irreversible filter (Table A.20)
    except (ValueError, IndexError):  # no such codestream: decoding will tell
        return None
    return method
