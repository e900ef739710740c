"""The header of an enhanced multi-frame CT, MR or PET image: one record for each frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..items import Reason
from .functional_groups import FrameGroups, frame_count, frame_groups, ranges
from .pixels import pixel_refusal, rescale_refusal
from .slice_header import Place, SliceHeader, integer, record, rounded, text, values
from .sop_classes import ENHANCED

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TAGS = [
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence",
    "ComplexImageComponent",
]  # fmt: skip
"""Root elements that only enhanced images have."""

FRAME_TYPE = {
    "CT": "CTImageFrameTypeSequence",
    "MR": "MRImageFrameTypeSequence",
    "PT": "PETFrameTypeSequence",
}

STACK_POINTER = 0x00209056

PLACE_POINTERS = {
    0x00200013, 0x00200032, 0x00200037, 0x00201041, STACK_POINTER, 0x00209057, 0x00209113, 0x00209116,
}  # fmt: skip
"""Dimensions that tell where a frame lies or in which order it was stored: instance number, position,
orientation, location, stack, in-stack position. The position itself decides, never a number."""


def read_frames(dataset: Dataset, path: Path, syntax: str) -> list[SliceHeader] | tuple[Reason, str]:
    """The frames of an enhanced image that are slices.

    Args:
        dataset: header of one of the `ENHANCED` classes.
        path: its file.
        syntax: UID of its transfer syntax.

    Returns:
        a record for each frame that can be used, or the reason why there is none; what was left out of a
        file that is used stands in ``left_out`` of its records.
    """
    if refused := pixel_refusal(dataset, syntax):
        return refused
    groups, frames = frame_groups(dataset), frame_count(dataset)
    if len(groups) != frames:
        return Reason.FRAMES, f"{len(groups)} items (5200,9230) for {frames} frames"
    modality = ENHANCED[text(dataset, "SOPClassUID")]
    out: dict[tuple[Reason, str], list[int]] = defaultdict(list)
    used = []
    for number, group in enumerate(groups, start=1):
        try:
            if reason := _not_a_slice(group, modality):
                out[reason].append(number)
            else:
                used.append((number, group))
        except (AttributeError, TypeError, ValueError):  # a group that is no sequence
            out[Reason.FRAMES, "unreadable (5200,9230)"].append(number)
    if not used:
        first, detail = next(iter(out))
        return first, detail if len(out) == 1 else _words(out)
    left_out = _words(out)
    # Some scanners write each time point as an image of its own and say nothing else about time
    instance = f"{integer(dataset.get('InstanceNumber')) or 0:06d} {text(dataset, 'SOPInstanceUID')}"
    return [
        record(
            dataset, path, _place(group), group.group("PixelValueTransformationSequence"),
            modality=modality, kind=_kind(dataset, group, modality), split=_split(group),
            order=[*_order(group), *_dimensions(dataset, group), instance],
            volume=_volume(dataset, group, modality), frame_number=number, left_out=left_out,
        )
        for number, group in used
    ]  # fmt: skip


def _words(out: dict[tuple[Reason, str], list[int]]) -> str:
    """Which frames are left out, and why."""
    return "; ".join(
        f"{ranges(n)} left out: {reason.value}{f' ({detail})' if detail else ''}"
        for (reason, detail), n in out.items()
    )


def _not_a_slice(group: FrameGroups, modality: str) -> tuple[Reason, str] | None:
    """Why a frame is not a slice, None if it is one."""
    kind = frame_type(group, modality)
    if "MOSAIC" in kind:
        return Reason.MOSAIC, ""
    if "LOCALIZER" in kind and modality != "MR":
        return Reason.LOCALIZER, ""
    transformation = group.group("PixelValueTransformationSequence")
    return _place(group).problem() or rescale_refusal(transformation, modality)


def frame_type(group: FrameGroups, modality: str) -> list[str]:
    """The values of Frame Type (0008,9007)."""
    return values(group.group(FRAME_TYPE[modality]), "FrameType")


def _place(group: FrameGroups) -> Place:
    return Place(
        group.group("PixelMeasuresSequence"),
        group.group("PlanePositionSequence"),
        group.group("PlaneOrientationSequence"),
    )


def _kind(dataset: Dataset, group: FrameGroups, modality: str) -> list[str]:
    """Frame Type from value 3 on, and for MR magnitude, phase, real or imaginary (C.8.13.3.1)."""
    component = text(group.group(FRAME_TYPE[modality]), "ComplexImageComponent")
    component = component or text(dataset, "ComplexImageComponent")
    return [*frame_type(group, modality)[2:], *([component] if component else [])]


def _first(*values: object) -> object:
    return next((v for v in values if v not in (None, "")), None)


def _split(group: FrameGroups) -> tuple[str, ...]:
    """Echo time, b-value, temporal position (C.8.13.5.3, C.8.13.5.9, C.7.6.16.2.2)."""
    return (
        rounded(_first(group.group("MREchoSequence").get("EffectiveEchoTime"), group.converted("EchoTime"))),
        rounded(
            _first(
                group.group("MRDiffusionSequence").get("DiffusionBValue"), group.converted("DiffusionBValue")
            )
        ),
        rounded(
            _first(
                group.group("FrameContentSequence").get("TemporalPositionIndex"),
                group.converted("TemporalPositionIdentifier"),
            )
        ),
    )


def _order(group: FrameGroups) -> tuple[str, ...]:
    """Acquisition number, inversion time, flip angle, trigger delay, gradient, phases, stack, times."""
    content = group.group("FrameContentSequence")
    timing = group.group("MRTimingAndRelatedParametersSequence")
    heart = group.group("CardiacSynchronizationSequence")
    breath = group.group("RespiratorySynchronizationSequence")
    values = (
        content.get("FrameAcquisitionNumber"),
        _first(group.group("MRModifierSequence").get("InversionTimes"), group.converted("InversionTime")),
        _first(timing.get("FlipAngle"), group.converted("FlipAngle")),
        _first(heart.get("NominalCardiacTriggerDelayTime"), group.converted("TriggerTime")),
        _gradient(group),
        heart.get("NominalPercentageOfCardiacPhase"),
        breath.get("NominalPercentageOfRespiratoryPhase"),
        group.group("TemporalPositionSequence").get("TemporalPositionTimeOffset"),
        content.get("StackID"),
        content.get("FrameAcquisitionDateTime"),
        _first(content.get("FrameReferenceDateTime"), group.converted("ContentTime")),
    )
    return tuple("" if v is None else str(v) for v in values)


def _volume(dataset: Dataset, group: FrameGroups, modality: str) -> tuple[str, str]:
    """Acquisition number, but of MR none: an acquisition may be every other slice of a volume; and the stack,
    by its ID or its index among the dimensions (C.7.6.16.2.2, C.7.6.17).
    """
    content = group.group("FrameContentSequence")
    stack = content.get("StackID")
    if stack in (None, ""):
        stack = next((v for p, v in _indices(dataset, group) if p == STACK_POINTER), None)
    acquisition = None if modality == "MR" else content.get("FrameAcquisitionNumber")
    return ("" if acquisition is None else str(acquisition), "" if stack is None else str(stack))


def _gradient(group: FrameGroups) -> str:
    """Diffusion directionality and direction: traces and directions share a b-value (C.8.13.5.9)."""
    diffusion = group.group("MRDiffusionSequence")
    items = diffusion.get("DiffusionGradientDirectionSequence") or []
    direction = items[0].get("DiffusionGradientOrientation") if items else None
    parts = [f"{float(v):.4f}" for v in direction or group.converted("DiffusionGradientOrientation") or ()]
    return " ".join([text(diffusion, "DiffusionDirectionality"), *parts]).strip()


def _dimensions(dataset: Dataset, group: FrameGroups) -> tuple[str, ...]:
    """Indices along the dimensions other than place (C.7.6.17), one by one and together."""
    kept = [f"{v:06d}" for p, v in _indices(dataset, group) if p not in PLACE_POINTERS]
    return (*kept, ".".join(kept)) if len(kept) > 1 else tuple(kept)


def _indices(dataset: Dataset, group: FrameGroups) -> list[tuple[int, int]]:
    """Pointer and index of each dimension of a frame; empty where their numbers differ."""
    pointers = [int(i.get("DimensionIndexPointer") or 0) for i in dataset.get("DimensionIndexSequence") or []]
    given = group.group("FrameContentSequence").get("DimensionIndexValues")
    indices = [int(v) for v in ([given] if isinstance(given, int) else given or [])]
    return list(zip(pointers, indices, strict=True)) if len(indices) == len(pointers) else []
