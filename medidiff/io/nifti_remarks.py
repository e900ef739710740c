"""What the name and the sidecar of a NIfTI file say of its values: BIDS entities and suffixes, dcm2niix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .dicom.remarks import no_magnitude
from .names import image_stem

PART = re.compile(r"(?:^|_)part-(phase|real|imag)(?=_|$)", re.IGNORECASE)
"""BIDS 1.9: the entity of the parts of complex data."""

COMPONENT = re.compile(r"(?:_(ph|phasediff|real|imag|imaginary)|^sub-.*_(phase[12]?))$", re.IGNORECASE)
"""Suffixes of BIDS (fieldmaps) and of dcm2niix. In other names a phase may be arterial, or of the heart."""

MAP = re.compile(
    r"_(fieldmap|[RT][12](?:rho|star)?map|PDmap|MTRmap|MTsat|MTVmap|MWFmap|M0map|S0map|Chimap|[TR]?B1map|UNIT1|ADC|FA)$"
)
"""Suffixes of parametric maps in BIDS (quantitative MRI), and of those that dcm2niix takes from scanners."""

TERMS = {"ph": "PHASE", "re": "REAL", "im": "IMAGINARY"}


def remarks(path: Path, sidecar: Mapping[str, Any]) -> tuple[str, ...]:
    """What says that the values are no magnitudes, as `dicom.remarks` does of DICOM.

    Args:
        path: the image.
        sidecar: its BIDS sidecar, {} where there is none.
    """
    stem = image_stem(path)
    kind = sidecar.get("ImageType")
    terms = [value for value in kind if isinstance(value, str)] if isinstance(kind, list) else []
    terms.append(str(sidecar.get("ComplexImageComponent", "")))
    if named := PART.search(stem) or COMPONENT.search(stem):
        terms.append(TERMS[named[named.lastindex or 0][:2].lower()])
    if MAP.search(stem):
        terms.append("T1 MAP")
    remark = no_magnitude(terms)
    return (remark,) if remark else ()
