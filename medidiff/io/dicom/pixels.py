"""Pixel data: what is refused, rescaling to real-world values, and back to stored values.

Values are compared in float32, the precision of a `Volume`: a pixel whose float32 value is unchanged
keeps the very bits of the source, so an identity denoiser is exact for every stored type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..items import Reason
from ..names import quoted_number
from .padding import padding_mask

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IntArray = NDArray[Any]

DECODABLE = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K Lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K Lossless RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}
"""Transfer syntaxes that decode to the same array everywhere. JPEG Extended (12-bit) is left out: two of
three decoders fail on it, and a half-decoded image is worse than none."""

RLE = "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


def pixel_refusal(header: Dataset, transfer_syntax: str) -> tuple[Reason, str] | None:
    """Why the stored values of an image cannot be processed, told from its header; None if they can.

    Args:
        header: data set, with or without pixel data.
        transfer_syntax: UID of its transfer syntax.
    """
    if not transfer_syntax:
        return Reason.TRANSFER_SYNTAX, "no Transfer Syntax UID (0002,0010)"
    if transfer_syntax not in DECODABLE:
        from pydicom.uid import UID

        return Reason.TRANSFER_SYNTAX, UID(transfer_syntax).name
    photometric = str(header.get("PhotometricInterpretation") or "").strip()
    if photometric == "PALETTE COLOR":
        return Reason.PALETTE, ""
    if (header.get("SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Reason.COLOUR, f"Photometric Interpretation {photometric or 'missing'} (0028,0004)"
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    if allocated not in (8, 16) or not stored or not 2 <= stored <= allocated:
        return Reason.BIT_DEPTH, f"Bits Allocated {allocated} (0028,0100), Bits Stored {stored} (0028,0101)"
    high = header.get("HighBit", stored - 1)
    if transfer_syntax in (*NATIVE, DEFLATED) and high not in range(stored - 1, allocated):
        return Reason.BIT_DEPTH, f"Bits Stored {stored} (0028,0101), High Bit {high} (0028,0102)"
    if header.get("PixelRepresentation") not in (0, 1):
        return Reason.BIT_DEPTH, "no Pixel Representation (0028,0103)"
    if header.get("ModalityLUTSequence"):
        return Reason.MODALITY_LUT, "(0028,3000)"
    for group in range(0x6000, 0x601F, 2):
        bits, position = (header.get((group, e)) for e in (0x0100, 0x0102))
        alone = (group, 0x3000) in header  # Overlay Data of its own
        wide = bits is not None and (bits.value or 1) > 1 and not alone
        if wide or (position is not None and (position.value or 0) > 0):
            return Reason.OVERLAY_IN_PIXELS, f"({group:04X},0102)"
    return None


def rescale_refusal(transformation: Dataset, modality: str) -> tuple[Reason, str] | None:
    """Why stored values have no real-world value, None if they have one.

    CT and PET need slope and intercept (type 1, C.8.2.1.1, C.8.9.4); MR may do without (C.8.3.1).

    Args:
        transformation: the data set that holds them: the image, or the Pixel Value Transformation of a frame.
        modality: ``"CT"``, ``"MR"`` or ``"PT"``.
    """
    slope, intercept = transformation.get("RescaleSlope"), transformation.get("RescaleIntercept")
    if slope in (None, "") and intercept in (None, ""):
        if modality == "MR":
            return None
        return Reason.RESCALE, "no Rescale Slope (0028,1053)"
    try:
        a, b = float(slope), float(intercept)
    except (TypeError, ValueError):
        told = ("missing" if v in (None, "") else quoted_number(v) for v in (slope, intercept))
        return Reason.RESCALE, "Rescale Slope {} (0028,1053), Intercept {} (0028,1052)".format(*told)
    if not (np.isfinite(a) and np.isfinite(b)) or a == 0:
        return Reason.RESCALE, f"Rescale Slope {a:g}, Intercept {b:g}"
    return None


def limits(dataset: Dataset) -> tuple[int, int]:
    """Smallest and largest value that Bits Stored and Pixel Representation can hold."""
    bits = int(dataset.BitsStored)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)


def rescale_pair(transformation: Dataset) -> tuple[float, float] | None:
    """Rescale slope and intercept of an image or a frame, None where it has none (MR)."""
    if transformation.get("RescaleSlope") in (None, ""):
        return None
    return float(transformation.RescaleSlope), float(transformation.RescaleIntercept)


def to_real(stored: IntArray, slope: float = 1.0, intercept: float = 0.0) -> NDArray[np.float32]:
    """Real-world values, computed in float64 and rounded once to float32."""
    if slope == 1.0 and intercept == 0.0:
        return stored.astype(np.float32)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


@dataclass(frozen=True)
class Encoded:
    """Stored values ready to write.

    Attributes:
        stored: integer or float array in the target type.
        slope: rescale slope to write.
        intercept: rescale intercept to write.
        clipped: pixels moved to the limit of the stored type.
    """

    stored: IntArray
    slope: float
    intercept: float
    clipped: int = 0


def quantise(
    real: NDArray[np.float32],
    source: IntArray,
    slope: float = 1.0,
    intercept: float = 0.0,
    *,
    keep: NDArray[np.bool_] | None = None,
    bounds: tuple[int, int] | None = None,
    padding: tuple[int, int] | None = None,
) -> Encoded:
    """Turns real-world values into stored values with the scale and type of the source.

    Args:
        real: new values.
        source: stored values of the source, same shape.
        slope: scale of the source.
        intercept: offset of the source.
        keep: pixels that must come back bit for bit (padding, NaN, inf).
        bounds: inclusive range of stored values; the whole type by default.
        padding: inclusive range of stored values that no other pixel may have.

    Returns:
        stored values in the type of `source`; unchanged pixels have the bits of the source.
    """
    same = real == to_real(source, slope, intercept)
    if keep is not None:
        same = same | keep
    if source.dtype.kind == "f":
        values = (real.astype(np.float64) - intercept) / slope
        return Encoded(np.where(same, source, values.astype(source.dtype)), slope, intercept)
    exact = (real.astype(np.float64) - intercept) / slope
    low, high = bounds or (int(np.iinfo(source.dtype).min), int(np.iinfo(source.dtype).max))
    number = np.rint(np.where(same, 0.0, np.nan_to_num(exact, nan=0.0)))
    clipped = int(np.count_nonzero((number < low) | (number > high)))
    stored = _as_type(np.clip(number, low, high), low, high, source.dtype)
    if padding is not None:
        stored = np.where(same, stored, _beside_padding(stored, exact, padding, (low, high)))
    return Encoded(np.where(same, source, stored).astype(source.dtype), slope, intercept, clipped)


def _as_type(number: NDArray[np.float64], low: int, high: int, dtype: np.dtype[Any]) -> IntArray:
    """Cast that survives the ends of 64-bit integers, which float64 cannot hold."""
    if dtype.itemsize < 8:
        return number.astype(dtype)
    inside = (number > float(low)) & (number < float(high))
    ends = np.where(number <= float(low), np.array(low, dtype), np.array(high, dtype))
    return np.where(inside, np.where(inside, number, 0).astype(dtype), ends).astype(dtype)


def _beside_padding(
    stored: IntArray, exact: NDArray[np.float64], padding: tuple[int, int], bounds: tuple[int, int]
) -> IntArray:
    """Moves values out of the padding range to the nearer side that exists."""
    below, above = padding[0] - 1, padding[1] + 1
    if below < bounds[0] and above > bounds[1]:
        return stored
    if below < bounds[0]:
        target = np.full(stored.shape, above)
    elif above > bounds[1]:
        target = np.full(stored.shape, below)
    else:
        target = np.where(exact - below < above - exact, below, above)
    return np.where(padding_mask(stored, padding), target, stored).astype(stored.dtype)
