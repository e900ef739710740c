"""What became of the stored values of an output, counted while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from .encoding import Image


@dataclass
class Tally:
    """Counts for one stack.

    Attributes:
        names: the files written.
        clipped: pixels moved to the limit of the stored type.
        rescaled: slices with a scale other than that of the source.
        private: True where private elements were copied.
    """

    names: list[str] = field(default_factory=list)
    clipped: int = 0
    rescaled: int = 0
    private: bool = False

    def count(self, image: Image, *, private: bool) -> None:
        """Adds a slice, and whether private elements were copied with it."""
        self.clipped += image.encoded.clipped
        self.rescaled += image.rescaled
        self.private |= private

    def remarks(self) -> tuple[str, ...]:
        """What a user should know."""
        notes = []
        if self.clipped:
            notes.append(f"{self.clipped} pixels did not fit the stored type and were clipped")
        if self.rescaled:
            notes.append(f"{self.rescaled} slices have a new rescale slope or intercept")
            if self.private:
                notes.append("private scaling elements of the source, if any, do not hold for those slices")
        return tuple(notes)
