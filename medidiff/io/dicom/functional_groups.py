"""Functional groups of a multi-frame image: what holds for one frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class FrameGroups:
    """The functional groups of one frame.

    Attributes:
        own: its item of the Per-Frame Functional Groups Sequence (5200,9230).
        shared: the item of the Shared Functional Groups Sequence (5200,9229).
    """

    own: Dataset
    shared: Dataset

    def items(self, sequence: str) -> list[Dataset]:
        """The items of a functional group, the frame's own before the shared ones.

        Args:
            sequence: keyword of the group, such as ``"PlanePositionSequence"``.
        """
        return list(self.own.get(sequence) or self.shared.get(sequence) or [])

    def group(self, sequence: str) -> Dataset:
        """The first of `items`, and mostly the only one; empty where absent."""
        from pydicom.dataset import Dataset

        return next(iter(self.items(sequence)), Dataset())

    def converted(self, keyword: str) -> Any:
        """An attribute of the classic image that a legacy conversion has kept (C.7.6.16.2.25-26)."""
        for sequence in (
            "UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence",
        ):  # fmt: skip
            if (value := self.group(sequence).get(keyword)) not in (None, ""):
                return value
        return None


def frame_groups(dataset: Dataset) -> list[FrameGroups]:
    """The functional groups of every frame, in frame order; empty where the image has none.

    Args:
        dataset: enhanced or legacy converted image, with or without pixel data.
    """
    from pydicom.dataset import Dataset

    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return [FrameGroups(own, shared) for own in dataset.get("PerFrameFunctionalGroupsSequence") or []]


def put_group(frames: Sequence[FrameGroups], sequence: str, items: Sequence[list[Dataset]]) -> None:
    """Gives each frame new items of a functional group.

    It stays shared where it was and is the same for all frames: it may be shared or per frame, never both
    (C.7.6.16.1.1).

    Args:
        frames: all frames of an image.
        sequence: keyword of the group.
        items: for each frame; empty for no such group.
    """
    shared = frames[0].shared
    stays = sequence in shared and all(item == items[0] for item in items)
    for home in (shared, *(frame.own for frame in frames)):
        if sequence in home:
            delattr(home, sequence)
    if stays and items[0]:
        setattr(shared, sequence, items[0])
    elif not stays:
        for frame, item in zip(frames, items, strict=True):
            if item:
                setattr(frame.own, sequence, item)


def frame_count(dataset: Dataset) -> int:
    """Number of Frames (0028,0008), 1 where absent."""
    frames = dataset.get("NumberOfFrames")
    return 1 if frames in (None, "") else int(frames)


def ranges(numbers: Iterable[int]) -> str:
    """Ascending frame numbers in words: ``frames 1-3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    text = ", ".join("-".join(map(str, part)) for part in parts)
    return f"frames {text}" if len(parts) > 1 or len(parts[0]) > 1 else f"frame {text}"
