"""The smallest JPEG Lossless encoder (ITU-T T.81 Annex H, process 14, selection value 1).

No installed library has one, and tests should not need a tool to make such a file.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

CATEGORIES = 17  # 0 to 16 (Table H.2); every one gets a code of 5 bits
START_LENGTH = 5


def encode(values: np.ndarray, bits: int) -> bytes:
    """A JPEG stream of one unsigned image.

    Args:
        values: ``[rows, columns]``, unsigned, below ``2**bits``.
        bits: sample precision, 2 to 16.
    """
    return b"".join([
        b"\xff\xd8",
        _segment(0xC3, bytes([bits, *_two(values.shape[0]), *_two(values.shape[1]), 1, 1, 0x11, 0])),
        _segment(0xC4, bytes([0, *(CATEGORIES if n == START_LENGTH else 0 for n in range(1, 17)),
                              *range(CATEGORIES)])),
        _segment(0xDA, bytes([1, 1, 0, 1, 0, 0])),
        _scan(_differences(values.astype(np.int64), bits)),
        b"\xff\xd9",
    ])  # fmt: skip


def _two(number: int) -> tuple[int, int]:
    return number >> 8, number & 0xFF


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker, *_two(len(body) + 2)]) + body


def _differences(values: np.ndarray, bits: int) -> np.ndarray:
    """Differences to the left neighbour; the first column to the pixel above, the first pixel to the middle
    (H.1.2.1), modulo 2**16 as -32767 to 32768."""
    before = np.empty_like(values)
    before[:, 1:] = values[:, :-1]
    before[1:, 0] = values[:-1, 0]
    before[0, 0] = 1 << bits - 1
    return (values - before + 32767) % 65536 - 32767


def _scan(differences: np.ndarray) -> bytes:
    """Entropy-coded bits (H.1.2.2), padded with ones, a zero after every 0xFF."""
    words = []
    for d in differences.ravel().tolist():
        size = abs(d).bit_length()
        words.append(f"{size:0{START_LENGTH}b}")
        if 0 < size < 16:  # category 16 has no further bits
            words.append(f"{d if d > 0 else d + (1 << size) - 1:0{size}b}")
    text = "".join(words)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def compress(ds: Dataset, k: int = 0) -> None:
    """Compresses an unsigned image in place: a ``change`` for `make_series`."""
    from pydicom.uid import JPEGLosslessSV1

    encapsulated(ds, encode(ds.pixel_array, int(ds.BitsStored)), JPEGLosslessSV1)


def encapsulated(ds: Dataset, stream: bytes, syntax: str) -> None:
    """Puts a compressed stream into an image."""
    from pydicom.encaps import encapsulate

    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
