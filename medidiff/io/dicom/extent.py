"""How much pixel data a file holds behind its header, told without decoding and without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

from ..items import Reason
from ..streams import most_unpacked
from .codestream import LOSSY_METHODS, lossy_method
from .file import LONG
from .pixels import NATIVE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010), little endian
FLOAT_DATA = (0x0008, 0x0009)
"""Elements of Float and Double Float Pixel Data in group 7FE0 (C.7.6.24, C.7.6.25)."""

ITEM = b"\xfe\xff\x00\xe0"
UNDEFINED = b"\xff\xff\xff\xff"
"""Length of encapsulated pixel data, and of no other (PS3.5 A.4)."""
DELIMITER = b"\xfe\xff\xdd\xe0"

CODESTREAM_HEAD = 1 << 16
"""Bytes in which the headers of a codestream end."""


@dataclass(frozen=True)
class Extent:
    """What lies behind the header.

    Attributes:
        size: bytes of native pixel data, None where the data is compressed or cannot be seen.
        fragments: fragments of encapsulated pixel data without the offset table, None where there are none.
        packed: bytes of all fragments.
        whole: False where encapsulated data ends before its Sequence Delimitation Item (PS3.5 A.4).
        floating: True for floating-point pixel data.
        lossy: True where the first codestream tells that it lost information.
        contrary: why the pixel data cannot be what the transfer syntax says, "" where they can.
    """

    size: int | None = None
    fragments: int | None = None
    packed: int = 0
    whole: bool = True
    floating: bool = False
    lossy: bool = False
    contrary: str = ""

    def shortfall(self, dataset: Dataset, frames: int) -> tuple[Reason, str] | None:
        """Why there cannot be enough pixels for `frames` frames, None if there may be."""
        if self.contrary:
            return Reason.TRANSFER_SYNTAX, self.contrary
        if not self.whole:
            return Reason.TRUNCATED, "compressed pixel data"
        if self.fragments is not None and self.fragments < frames:
            return Reason.TRUNCATED, f"{self.fragments} compressed fragments for {frames} frames"
        expected = frames * dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
        if self.fragments is not None and expected > most_unpacked(self.packed):
            return Reason.PACKING_BOMB, f"{expected} bytes from {self.packed}"
        if self.size is None:
            return None
        if self.size <= 0:
            return Reason.NO_PIXELS, "(7FE0,0010)"
        if self.size < expected:
            return Reason.TRUNCATED, f"{self.size} of {expected} bytes"
        return None


def measure(file: IO[bytes], dataset: Dataset) -> Extent:
    """Looks at the pixel data of a file.

    Args:
        file: at the place where `dataset` ended: the pixel data element.
        dataset: the header, with its file meta information.
    """
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if str(syntax) in NATIVE:
        return _native(file, syntax)
    if not syntax.is_transfer_syntax or not syntax.is_encapsulated:
        return Extent()
    head = file.read(12)
    if head[:4] != PIXEL_DATA:
        return Extent(size=None if head else 0)  # something in front of the pixel data: decoding will tell
    if len(head) < 12:
        return Extent(whole=False)
    if head[8:] != UNDEFINED:
        return Extent(contrary=f"{syntax.name}, but the pixel data (7FE0,0010) are not encapsulated")
    items, packed, lossy = 0, 0, False
    while (item := file.read(8))[:4] == ITEM and len(item) == 8:
        items += 1
        left = length = int.from_bytes(item[4:], "little")
        packed += length
        if items == 2 and syntax in LOSSY_METHODS:  # the first is the offset table
            head = file.read(min(length, CODESTREAM_HEAD))
            lossy = lossy_method(head, syntax) is not None
            left -= len(head)
        if left and len(_last_byte(file, left)) < 1:
            return Extent(whole=False)
    return Extent(fragments=items - 1, packed=packed, whole=item[:4] == DELIMITER, lossy=lossy)


def _last_byte(file: IO[bytes], length: int) -> bytes:
    """The last of the next `length` bytes, b"" where the file ends before."""
    file.seek(length - 1, 1)
    return file.read(1)


def _native(file: IO[bytes], syntax: UID) -> Extent:
    from pydicom.uid import ExplicitVRBigEndian

    start = file.tell()
    head = file.read(12)
    order: Literal["little", "big"] = "big" if syntax == ExplicitVRBigEndian else "little"
    group, element = (int.from_bytes(head[k : k + 2], order) for k in (0, 2))
    if (group, element) == (0x7FE0, 0x0010):
        # Some files hold implicit data under an explicit transfer syntax, or the other way round; an even
        # length never looks like one of these VRs.
        explicit = head[4:6] in LONG
        if (head[8:12] if explicit else head[4:8]) == UNDEFINED:
            return Extent(contrary=f"{syntax.name}, but the pixel data (7FE0,0010) are encapsulated")
        return Extent(size=file.seek(0, 2) - start - (12 if explicit else 8))
    return Extent(size=None if head else 0, floating=group == 0x7FE0 and element in FLOAT_DATA)
