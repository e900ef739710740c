"""Copies of DICOM headers whose text keeps its bytes.

Decoding text and encoding it again would change what its character set does not have: a name written in
Latin-1 where UTF-8 is declared would come out as another name, in another patient's folder.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import TYPE_CHECKING, Any

from ...errors import PixelError

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset

TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
"""VRs whose bytes depend on SpecificCharacterSet (PS3.5 6.1.2.3)."""


def copied(source: Dataset, *, keep_private: bool, without: Collection[int] = ()) -> Dataset:
    """A copy of a data set, to be written as Explicit VR Little Endian.

    Args:
        source: as it was read, of any transfer syntax; raw words of a big-endian one already swapped.
        keep_private: copies private elements.
        without: tags that are left out, at the root.

    Returns:
        a data set without file meta information and group lengths.

    Raises:
        PixelError: an element cannot be parsed.
    """
    from pydicom.filewriter import correct_ambiguous_vr

    return correct_ambiguous_vr(_copied(source, keep_private, without), True)


def _copied(source: Dataset, keep_private: bool, without: Collection[int] = ()) -> Dataset:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    new = Dataset()
    for tag in map(Tag, source.keys()):
        if tag.group <= 2 or tag.element == 0 or tag in without or (tag.is_private and not keep_private):
            continue
        if tag.group == 0xFFFE:  # a delimiter too many, as some writers leave it behind the pixel data
            continue
        try:
            element: Any = untouched(source, tag)
        except Exception as error:  # a value that contradicts its VR or length raises almost anything
            what = f"the element {tag} of a source image cannot be parsed"
            raise PixelError(what, received=type(error).__name__) from error  # its text may be a name
        if element.VR == "SQ":
            element = DataElement(tag, "SQ", [_copied(item, keep_private) for item in element.value])
        new[tag] = element
    written_as_is(new)
    return new


def written_as_is(new: Dataset) -> None:
    """Tells pydicom that raw text of a new data set is what is to be written; else it would decode it."""
    from pydicom.charset import convert_encodings, default_encoding

    names = new.get("SpecificCharacterSet")
    new.set_original_encoding(False, True, convert_encodings(names) if names else default_encoding)


def untouched(source: Dataset, tag: int) -> DataElement | RawDataElement:
    """A copy of an element; text that nobody has looked at yet keeps its bytes.

    Args:
        source: the data set.
        tag: of an element that it has.
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import RawDataElement

    raw: Any = source.get_item(tag)
    vr = raw.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
    if raw.is_raw and vr in TEXT:  # bytes: the same in every transfer syntax
        return RawDataElement(raw.tag, vr, raw.length, raw.value, 0, False, True)
    return copy(source[tag])
