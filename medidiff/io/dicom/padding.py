"""Padding: which stored values mean "no image here" (PS3.3 C.7.5.1.1.2), however they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NAMES = {
    "PixelPaddingValue": "Pixel Padding Value (0028,0120)",
    "PixelPaddingRangeLimit": "Pixel Padding Range Limit (0028,0121)",
}


def padding_range(dataset: Dataset) -> tuple[int, int] | None:
    """Inclusive range of stored values that mean "no image here" (C.7.5.1.1.2), None without padding.

    The attribute is often written with the wrong VR (63536 for -2000): it is read modulo 2**BitsAllocated,
    and from any VR that holds one whole number.

    Args:
        dataset: the image as it was read, before any words of it are swapped.
    """
    value = _number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = _number(dataset, "PixelPaddingRangeLimit")
    ends = [_wrapped(v, dataset) for v in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def padding_remark(dataset: Dataset) -> str:
    """Which of the two attributes is there but holds no number that can be read, in words; "" for none."""
    for keyword, name in NAMES.items():
        try:
            there = dataset.get(keyword) not in (None, "", b"")
            if there and _number(dataset, keyword) is None:
                return f"{name} is no whole number, so the padding that it declares is not known"
        except Exception:  # a value that contradicts its VR raises almost anything; reading will refuse it
            return f"{name} cannot be parsed"
    return ""


def _number(dataset: Dataset, keyword: str) -> int | None:
    """The whole number that an element holds, None where it holds none.

    PS3.6 has US or SS; files come with DS, IS, FL or, as bytes in the byte order of the file, with OW or UN.
    """
    value = dataset.get(keyword)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return int.from_bytes(value, _order(dataset)) if len(value) == 2 else None
    try:
        number = float(value) if isinstance(value, (str, float, Decimal)) else 0.5
    except ValueError:
        return None
    return int(number) if number.is_integer() and -(1 << 15) <= number < 1 << 16 else None


def _order(dataset: Dataset) -> Literal["little", "big"]:
    """Byte order of a data set that was read: raw bytes keep it."""
    from pydicom.uid import ExplicitVRBigEndian

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    return "big" if syntax == ExplicitVRBigEndian else "little"


def _wrapped(value: int, dataset: Dataset) -> int:
    bits = int(dataset.BitsAllocated)
    value %= 1 << bits
    return value - (1 << bits) if dataset.PixelRepresentation and value >= 1 << (bits - 1) else value


def padding_mask(stored: NDArray[Any], padding: tuple[int, int] | None) -> NDArray[np.bool_]:
    """True where a stored value lies in the padding range."""
    if padding is None:
        return np.zeros(stored.shape, bool)
    return (stored >= padding[0]) & (stored <= padding[1])
