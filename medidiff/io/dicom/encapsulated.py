"""Encapsulated pixel data: where each compressed frame lies (PS3.5 A.4), and whether it lost information."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from .codestream import LOSSY_METHODS, lossy_method
from .functional_groups import frame_count

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def is_native(dataset: Dataset) -> bool:
    """True for pixel data that is not compressed."""
    return not dataset.file_meta.TransferSyntaxUID.is_compressed


def mend_offsets(dataset: Dataset) -> None:
    """Writes the Basic Offset Table of compressed frames anew where it is empty or wrong.

    Without a table, finding frame k means looking at every fragment before it, again for every k. A wrong
    one points beside the fragments, or not at one for each frame: who heeds it cannot read the file.

    Args:
        dataset: with pixel data.
    """
    from pydicom.encaps import encapsulate, generate_frames

    if is_native(dataset) or dataset.get("ExtendedOffsetTable"):
        return
    count = frame_count(dataset)
    with suppress(Exception):  # damaged, or too long for the table: decoding will tell
        table, rest = _split(dataset.PixelData)
        if _sound(table, rest, count):
            return
        bare = b"\xfe\xff\x00\xe0" + bytes(4) + rest
        dataset.PixelData = encapsulate(list(generate_frames(bare, number_of_frames=count)))


def _split(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """The Basic Offset Table, and the fragments behind it."""
    from pydicom.encaps import parse_basic_offsets

    return tuple(parse_basic_offsets(data)), data[8 + int.from_bytes(data[4:8], "little") :]


def _sound(table: tuple[int, ...], fragments: bytes, count: int) -> bool:
    """True where the table has the first fragment of each frame, or is empty and one frame needs none."""
    from pydicom.encaps import parse_fragments

    if not table:
        return count == 1
    starts = parse_fragments(fragments)[1]
    rising = all(a < b for a, b in zip(table, table[1:], strict=False))
    return len(table) == count and table[0] == 0 and rising and set(table) <= set(starts)


def compressed_frame(dataset: Dataset, number: int) -> bytes:
    """The codestream of a frame.

    Args:
        dataset: with encapsulated pixel data, after `mend_offsets`.
        number: of the frame, from 1.
    """
    from pydicom.encaps import get_frame

    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return get_frame(
        dataset.PixelData, number - 1, number_of_frames=frame_count(dataset),
        extended_offsets=offsets if all(offsets) else None,
    )  # fmt: skip


def mark_lossy(dataset: Dataset) -> None:
    """Says in the header that the image is lossy (C.7.6.1.1.5) where only its codestream does.

    The derived image is not compressed, so nothing but Lossy Image Compression (0028,2110) would tell.

    Args:
        dataset: an image that was read, with pixel data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in LOSSY_METHODS or dataset.get("LossyImageCompression") == "01":
        return
    method = None
    with suppress(Exception):  # damaged: decoding will tell
        mend_offsets(dataset)
        method = lossy_method(compressed_frame(dataset, 1), syntax)
    if method:
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = method
