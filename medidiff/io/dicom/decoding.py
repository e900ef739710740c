"""Stored values from pixel data: every transfer syntax that `pixels.DECODABLE` lists, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PixelError
from .codestream import JPEG, JPEG_2000, Claim, claim, is_cut
from .damage import parsing
from .encapsulated import compressed_frame, is_native, mend_offsets
from .functional_groups import frame_count
from .pixels import RLE, IntArray

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset


def decode(dataset: Dataset, path: Path) -> IntArray:
    """Stored values of a single-frame image.

    Args:
        dataset: with pixel data, already found free of a `pixel_refusal`.
        path: for messages.

    Returns:
        integer array ``[rows, columns]``, sign-extended from Bits Stored, native byte order.

    Raises:
        PixelError: missing, truncated or undecodable pixel data.
    """
    return next(decode_frames(dataset, path, [1])).values


@dataclass(frozen=True)
class Decoded:
    """The pixels of an image, with and without what its unused bits hold.

    Attributes:
        values: stored values ``[rows, columns]``, sign-extended from Bits Stored, native byte order.
        words: whole words of the same type with whatever the unused bits hold; as `values` where the stored
            bits do not end at bit 0.
    """

    values: IntArray
    words: IntArray


def decode_frames(dataset: Dataset, path: Path, frames: Sequence[int]) -> Iterator[Decoded]:
    """Stored values of some frames of an image, each decoded when it is asked for.

    Args:
        dataset: as for `decode`; an empty or wrong offset table is mended.
        path: for messages.
        frames: frame numbers, from 1, in the order wanted; at least one.

    Yields:
        a frame.

    Raises:
        PixelError: missing, truncated or undecodable pixel data.
    """
    from pydicom.pixels.utils import iter_pixels

    with parsing(path):
        if "PixelData" not in dataset or not dataset.PixelData:
            raise PixelError("has no Pixel Data (7FE0,0010)", where=path)
        if dataset["PixelData"].is_undefined_length is is_native(dataset):
            raise PixelError(
                "the pixel data (7FE0,0010) are not stored as the transfer syntax says", where=path,
                received=dataset.file_meta.TransferSyntaxUID.name, hint="Fetch the file again.",
            )  # fmt: skip
        mend_offsets(dataset)
    # pylibjpeg-rle panics on damaged data, past every except clause; pydicom's own decoder raises
    plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == RLE else ""
    decoded = iter_pixels(
        dataset, indices=[n - 1 for n in frames], raw=True, decoding_plugin=plugin,
        correct_unused_bits=False,
    )  # fmt: skip
    for number in frames:
        try:
            _check_claim(dataset, path, number)
            words = np.asarray(next(decoded))
            if words.shape == (dataset.Rows, dataset.Columns):
                found = _sign_extended(words, dataset)
        except PixelError:
            raise
        except Exception as error:  # decoders raise anything, down to bare Exception
            raise PixelError(
                f"{_named(dataset, number)} cannot be decoded", where=path,
                received=" ".join(str(error).split())[:300],
                hint="The file may be truncated; fetch it again.",
            ) from error  # fmt: skip
        if words.shape != (dataset.Rows, dataset.Columns):
            raise PixelError(
                f"the pixel data decodes to another size than {dataset.Rows}x{dataset.Columns}",
                where=path, received=words.shape,
            )  # fmt: skip
        yield found


def _named(dataset: Dataset, number: int) -> str:
    """Pixel data in words, with its frame and transfer syntax."""
    which = f" of frame {number}" if frame_count(dataset) != 1 else ""
    return f"the pixel data{which} ({dataset.file_meta.TransferSyntaxUID.name})"


def _check_claim(dataset: Dataset, path: Path, number: int) -> None:
    """Makes sure that a codestream holds what the header says: a decoder makes room for what it claims.

    Raises:
        PixelError: it claims another size, ends early, or is no codestream.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in JPEG | JPEG_2000:
        return
    frame = compressed_frame(dataset, number)
    found = claim(frame, syntax)
    expected = Claim(dataset.Rows, dataset.Columns, 1)
    if found != expected:
        raise PixelError(
            f"{_named(dataset, number)} is not the image of {expected} pixels that the header describes",
            where=path, received=found or "no image header",
        )  # fmt: skip
    if is_cut(frame, syntax):
        raise PixelError(
            f"{_named(dataset, number)} ends early", where=path, received=f"{len(frame)} bytes, no end",
            hint="Fetch the file again.",
        )  # fmt: skip


def _sign_extended(raw: IntArray, dataset: Dataset) -> Decoded:
    """Bits from HighBit down to HighBit - BitsStored + 1 as a number (C.7.6.3.1, PS3.5 8.1.1)."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1)) if is_native(dataset) else stored - 1
    signed = bool(dataset.PixelRepresentation)
    kind = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    values = raw.astype(f"u{allocated // 8}", copy=True, casting="unsafe")
    words = None
    # A signed codestream has no unused bits: decoders leave them 0, or fill them with the sign.
    plain = not signed or is_native(dataset) or dataset.file_meta.TransferSyntaxUID == RLE
    if high == stored - 1 < allocated - 1 and plain:
        words = values.copy().view(kind)
    up, down = allocated - 1 - high, allocated - stored
    if up or down:
        values <<= values.dtype.type(up)
        values = values.view(kind)
        values >>= values.dtype.type(down)  # arithmetic where signed
    values = values.view(kind)
    return Decoded(values, values if words is None else words)
