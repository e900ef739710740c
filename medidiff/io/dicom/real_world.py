"""Real World Value Mapping of values that are stored with another scale (PS3.3 C.7.6.16.2.11)."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING

from .encoding import Image

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def remapped(
    items: Iterable[Dataset], pair: tuple[float, float], image: Image, *, is_map: bool
) -> list[Dataset]:
    """The mappings of a source frame for the stored values of the derived frame.

    Args:
        items: of the Real World Value Mapping Sequence; those with a look-up table cannot be kept.
        pair: rescale slope and intercept of the source frame.
        image: the derived frame.
        is_map: True for differences and standard deviations, which have no offset.
    """
    scale = image.encoded
    kind = "SS" if scale.stored.dtype.kind == "i" else "US"
    low = -(1 << image.bits - 1) if kind == "SS" else 0
    new = []
    for item in items:
        if item.get("RealWorldValueSlope") is None:
            continue
        factor = item.RealWorldValueSlope / pair[0]
        offset = item.get("RealWorldValueIntercept") or 0.0
        mapping = deepcopy(item)
        mapping.RealWorldValueSlope = factor * scale.slope
        mapping.RealWorldValueIntercept = 0.0 if is_map else offset + factor * (scale.intercept - pair[1])
        for keyword in (
            "DoubleFloatRealWorldValueFirstValueMapped",
            "DoubleFloatRealWorldValueLastValueMapped",
        ):
            if keyword in mapping:
                delattr(mapping, keyword)
        mapping.add_new("RealWorldValueFirstValueMapped", kind, low)
        mapping.add_new("RealWorldValueLastValueMapped", kind, low + (1 << image.bits) - 1)
        new.append(mapping)
    return new
