"""What a user should know of the values of a slice before they are taken for a CT or MR image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..names import printable
from .padding import padding_remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HOUNSFIELD = ("", "HU", "US", "HU_MOD")
"""Rescale Types of CT numbers (C.11.1.1.2); absent, or US from many a writer, means HU as well."""

PHASE = {"P", "PHASE", "PHASE MAP", "VELOCITY MAP"}
COMPLEX = {"R", "I", "REAL", "IMAGINARY"}
MAP = {
    "ADC", "ADC MAP", "EADC", "FA", "FRACT_ANISO", "RELAT_ANISO", "DIFFUSION MAP", "T1 MAP", "T2 MAP",
    "T2 STAR MAP", "T2_STAR MAP", "R2 MAP", "R2_STAR MAP", "B0 MAP", "B1 MAP", "UNI", "CBF", "CBV",
    "MTT", "TTP", "RCBF", "RCBV",
}  # fmt: skip
"""Terms of Image Type and Frame Type of MR (C.8.3.1.1.1, C.8.13.3.1.1, and vendors' own)."""


def remarks(dataset: Dataset, scale: Dataset, modality: str, kind: Sequence[str]) -> tuple[str, ...]:
    """What in the header says that the values are not what a denoiser expects.

    Args:
        dataset: the image.
        scale: holds its Rescale Type: the image itself, or a functional group of a frame.
        modality: ``"CT"``, ``"MR"`` or ``"PT"``.
        kind: values 3 and up of its type.
    """
    found = [padding_remark(dataset)]
    if dataset.get("LossyImageCompression") == "01":
        found.append("lossy compression has changed its noise")
    unit = rescale_type(scale)
    if modality == "CT" and unit not in HOUNSFIELD:
        found.append(f"values in {printable(unit, 16)} (0028,1054), not in HU, which the CT model is for")
    if modality == "MR":
        found.append(no_magnitude(kind))
    return tuple(remark for remark in found if remark)


def no_magnitude(kind: Iterable[str]) -> str:
    """What the terms of Image Type say against an MR image being a magnitude, in words; "" for nothing."""
    terms = {value.strip().upper() for value in kind}
    names = {"a phase image": PHASE, "a real or imaginary image": COMPLEX, "a computed map": MAP}
    what = next((name for name, wanted in names.items() if wanted & terms), "")
    return f"{what}: its noise is not that of a magnitude image" if what else ""


def rescale_type(scale: Dataset) -> str:
    """Rescale Type (0028,1054) in capitals, "" where absent."""
    return str(scale.get("RescaleType") or "").strip().upper()
