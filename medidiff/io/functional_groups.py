"""Functional groups of a multi-frame image: what holds for one frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterable
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

    def group(self, sequence: str) -> Dataset:
        """The item of a functional group, the frame's own before the shared one; empty where absent.

        Args:
            sequence: keyword of the group, such as ``"PlanePositionSequence"``.
        """
        from pydicom.dataset import Dataset

        for groups in (self.own, self.shared):
            if items := groups.get(sequence):
                return items[0]  # type: ignore[no-any-return]
        return Dataset()

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
