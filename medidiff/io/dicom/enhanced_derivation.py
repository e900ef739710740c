"""The header of a derived enhanced image: its functional groups say, frame by frame, what was done.

The rules are those of `derived_header`, frame by frame (PS3.3 C.7.6.16 and C.8.16).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..derivation import MAPS, Derivation
from . import elements
from .derived_header import DROPPED, SMOOTHING, code, copied, equip, identify, qualify, reference
from .encoding import Image, map_window
from .enhanced_header import FRAME_TYPE, frame_type
from .functional_groups import FrameGroups, frame_groups, put_group
from .identity import Identity, Source
from .pixels import rescale_pair
from .real_world import remapped
from .sop_classes import ENHANCED, LEGACY_CONVERTED

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NOT_COPIED = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SourceImageEvidenceSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "ConcatenationUID", "InConcatenationNumber",
    "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber", "SOPInstanceUIDOfConcatenationSource",
)  # fmt: skip
"""Written anew, or not true of the new image: it is no part of a concatenation (C.7.6.16.1.3)."""

SCALE, MAPPING = "PixelValueTransformationSequence", "RealWorldValueMappingSequence"

CODE = {
    "denoise": SMOOTHING,
    "simulate": ("113042", "Pixel by pixel addition"),  # CID 7203
    "copy": ("110001", "Image Processing"),
}
"""What was done; every derived frame needs a code (type 1C of the Derivation Image macro)."""

CONTRAST = {"denoise": "FILTERED", "simulate": "ADDITION", "copy": "NONE"}
"""Value 4 of the type of a frame that had none: derived pixel contrast (C.8.16.1.4, Table C.8-116)."""


@dataclass(frozen=True)
class DerivedFrame:
    """A frame of the new image.

    Attributes:
        number: frame number in the source.
        image: stored values and their scale.
        sources: every frame that went in, this one first.
        derivation: what was done.
    """

    number: int
    image: Image
    sources: tuple[Source, ...]
    derivation: Derivation


def derive_enhanced(
    source: Dataset, frames: Sequence[DerivedFrame], identity: Identity, *, keep_private: bool
) -> Dataset:
    """The header of a derived enhanced image.

    Args:
        source: header of the source image.
        frames: what is in the new image, in order.
        identity: its identifiers.
        keep_private: copies private elements.

    Returns:
        a new data set without pixel data and file meta information.
    """
    derivation = frames[0].derivation
    new = copied(source, NOT_COPIED, keep_private=keep_private, suffix=identity.suffix)
    identify(new, source, identity, "copy" if derivation.operation == "copy" else identity.suffix)
    qualify(new, derivation)
    equip(new, source, derivation)
    if new.SOPClassUID not in LEGACY_CONVERTED:  # type 1 in Enhanced General Equipment (C.7.5.2)
        new.DeviceSerialNumber = derivation.model_sha256[:12] or "none"
    if source.get("StudyInstanceUID"):
        new.SourceImageEvidenceSequence = [_evidence(source, identity.sources)]
    groups = frame_groups(source)
    shared, own = _copied_groups([groups[f.number - 1] for f in frames], keep_private)
    _set_groups(new, [FrameGroups(item, shared) for item in own], frames, identity.suffix)
    new.SharedFunctionalGroupsSequence, new.PerFrameFunctionalGroupsSequence = [shared], own
    return new


def _evidence(source: Dataset, sources: Iterable[Source]) -> Dataset:
    """An item of SourceImageEvidenceSequence (0008,9154): all source images, by study and series."""
    from pydicom.dataset import Dataset

    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedSOPSequence = []
    for sop_class, uid in dict.fromkeys((s.sop_class, s.uid) for s in sources):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        series.ReferencedSOPSequence.append(item)
    study.StudyInstanceUID = source.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study


def _copied_groups(groups: Sequence[FrameGroups], keep_private: bool) -> tuple[Dataset, list[Dataset]]:
    """Copies of the shared and of the per-frame groups, without private elements and old statistics."""
    shared, *own = (
        elements.copied(item, keep_private=keep_private)
        for item in (groups[0].shared, *(g.own for g in groups))
    )
    for item in (shared, *own):
        for sequence in (
            "UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence",
        ):  # fmt: skip
            for kept in item.get(sequence) or []:
                for keyword in set(DROPPED) & set(kept.dir()):
                    delattr(kept, keyword)
    return shared, own


def _set_groups(new: Dataset, groups: list[FrameGroups], frames: Sequence[DerivedFrame], suffix: str) -> None:
    """Writes the groups that the derivation changes: type, derivation, scale, mapping, window."""
    modality = ENHANCED[str(new.SOPClassUID)]
    root = [str(v) for v in new.ImageType]
    kinds = [
        _derived_type(frame_type(group, modality), root, frame.derivation)
        for group, frame in zip(groups, frames, strict=True)
    ]
    contrasts = {kind[3] for kind in kinds}
    new.ImageType = ["DERIVED", *root[1:3], contrasts.pop() if len(contrasts) == 1 else "MIXED"]
    written: dict[str, list[list[Dataset]]] = defaultdict(list)
    for group, frame, kind in zip(groups, frames, kinds, strict=True):
        named = deepcopy(group.group(FRAME_TYPE[modality]))
        named.FrameType = kind
        written[FRAME_TYPE[modality]].append([named])
        written["DerivationImageSequence"].append([_derivation_item(frame, suffix)])
        if frame.image.rescaled or suffix in MAPS:
            scale = group.group(SCALE)
            mappings = group.items(MAPPING)
            written[SCALE].append([_scale_item(scale, frame.image, modality)])
            written[MAPPING].append(
                remapped(mappings, rescale_pair(scale) or (1.0, 0.0), frame.image, is_map=suffix in MAPS)
            )
        else:
            written[SCALE].append(group.items(SCALE))
            written[MAPPING].append(group.items(MAPPING))
        if suffix in MAPS:
            written["FrameVOILUTSequence"].append(_window_items(frame.image, suffix))
    for sequence, items in written.items():
        put_group(groups, sequence, items)


def _derived_type(kind: list[str], root: list[str], derivation: Derivation) -> list[str]:
    """Frame Type of a derived frame: exactly four values (C.8.16.1)."""
    contrast = kind[3] if len(kind) > 3 else "NONE"
    if contrast in ("", "NONE"):
        contrast = CONTRAST[derivation.operation]
    return ["DERIVED", *kind[1:3], *root[max(len(kind), 1) : 3], contrast]


def _derivation_item(frame: DerivedFrame, suffix: str) -> Dataset:
    """What was done to a frame, and from which frames it comes (C.7.6.16.2.6)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.DerivationDescription = f"{suffix}: {frame.derivation.describe()}"[:1024]
    item.DerivationCodeSequence = [code(*CODE[frame.derivation.operation])]
    item.SourceImageSequence = [reference(source) for source in frame.sources]
    return item


def _scale_item(source: Dataset, image: Image, modality: str) -> Dataset:
    from pydicom.valuerep import format_number_as_ds

    item = deepcopy(source)
    item.RescaleSlope = format_number_as_ds(image.encoded.slope)
    item.RescaleIntercept = format_number_as_ds(image.encoded.intercept)
    if "RescaleType" not in item:
        item.RescaleType = "HU" if modality == "CT" else "US"
    return item


def _window_items(image: Image, suffix: str) -> list[Dataset]:
    """The display window of a map, none where it cannot have one."""
    from pydicom.dataset import Dataset
    from pydicom.valuerep import format_number_as_ds

    window = map_window(image, suffix)
    if window is None:
        return []
    item = Dataset()
    item.WindowCenter, item.WindowWidth = map(format_number_as_ds, window)
    return [item]
