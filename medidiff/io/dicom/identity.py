"""New identifiers: UIDs that follow from the source UIDs, the model hash and the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ..derivation import Derivation, derived_uid
from ..items import WriteOptions
from .slice_header import SliceHeader


class Source(NamedTuple):
    """A source image, or one frame of it.

    Attributes:
        sop_class: SOP Class UID.
        uid: SOP Instance UID.
        frame: frame number from 1, 0 for an image of one slice.
    """

    sop_class: str
    uid: str
    frame: int = 0

    @classmethod
    def of(cls, header: SliceHeader) -> Source:
        """The source that a slice comes from."""
        return cls(header.sop_class, header.uid, header.frame_number)


@dataclass(frozen=True)
class Identity:
    """The new identifiers of one derived image.

    Attributes:
        series_uid: Series Instance UID.
        sop_uid: SOP Instance UID.
        series_number: Series Number.
        sources: every slice that went in, the slice itself first.
        suffix: ``"denoised"``, ``"residual"`` ...
        now: time stamp, the same for the whole series.
        description: text in place of the source's Series Description; None keeps that.
    """

    series_uid: str
    sop_uid: str
    series_number: int
    sources: tuple[Source, ...]
    suffix: str
    now: datetime
    description: str | None = None


class SeriesIdentity:
    """What the derived images of one source series have in common.

    Args:
        header: any slice of the source series.
        numbers: Series Number of the derived series by suffix.
        derivation: what was done; the series UID follows from its settings, not from its findings.
        options: what is written.
        now: time stamp where the derivation has none; one for all stacks of the series.
        namesake: 0, or counts the other patients who have a series of the same study and series UID.
    """

    def __init__(
        self,
        header: SliceHeader,
        numbers: Mapping[str, int],
        derivation: Derivation,
        options: WriteOptions,
        now: datetime,
        namesake: int = 0,
    ) -> None:
        # Two patients may have one Series Instance UID, by the fault of an exporter: their studies differ.
        # The Patient ID itself is left out, because it could be guessed from a hash of it.
        self._scope = (f"study={header.study}", *([f"namesake={namesake}"] if namesake else []))
        self._settings = (
            derivation.fingerprint(), options.suffix, f"private={options.keep_private}",
            f"description={options.series_description}",
        )  # fmt: skip
        self._options = options
        self._series = derived_uid(header.series, *self._scope, *self._settings)
        self._number = numbers.get(options.suffix, numbers["denoised"])  # a simulation has a word of its own
        self._now = derivation.created or now

    def image(self, sources: Iterable[Source], *words: str) -> Identity:
        """The identifiers of one image.

        Args:
            sources: what goes into it.
            words: what else its UID depends on.
        """
        kept = tuple(dict.fromkeys(sources))
        uid = derived_uid(*(s.uid for s in kept), *words, *self._scope, *self._settings)
        return Identity(
            self._series, uid, self._number, kept, self._options.suffix, self._now,
            self._options.series_description,
        )  # fmt: skip
