"""Every error a user can meet: what is wrong, where, what was received, what to do.

One base class, `MedidiffError`. Each subclass knows the exit code of the command line, so that the
CLI never has to guess and scripts can tell a bad option from a bad scan.
"""

from __future__ import annotations

from os import PathLike
from typing import ClassVar

LONGEST = 300
"""Characters that are told of an error that nobody foresaw: some libraries print whole arrays."""


def readable(path: str | PathLike[str]) -> str:
    """A path for people: file names may hold control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in str(path))


class Note(str):
    """A sentence that the user should know about a result, with a word for programs.

    Args:
        text: the sentence.
        code: what it is about, such as ``"noise_level"``; in ``warning`` events.
    """

    code: str

    def __new__(cls, text: str, code: str) -> Note:
        """A str with a code."""
        note = super().__new__(cls, text)
        note.code = code
        return note


class MedidiffError(Exception):
    """Base of all errors that medidiff raises on purpose.

    Args:
        what: what is wrong, one sentence without a trailing full stop where `received` follows.
        where: the path, tag or option concerned.
        received: the offending value, shown as ``Received: ...``.
        hint: what the user can do about it.
        code: name of the cause in reports, a member of `medidiff.io.Reason`, where it is more special than
            that of the class.
    """

    exit_code: ClassVar[int] = 1
    code: str = "UNEXPECTED"

    def __init__(
        self,
        what: str,
        *,
        where: str | PathLike[str] | None = None,
        received: object | None = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        if code is not None:
            self.code = code
        self.what = what.rstrip(".")
        self.where = None if where is None else readable(where)
        self.received = received
        self.hint = hint
        super().__init__(str(self))

    @property
    def sentence(self) -> str:
        """What is wrong, without what to do about it."""
        text = f"{self.where}: {self.what}." if self.where else f"{self.what}."
        return text if self.received is None else f"{text} Received: {self.received!s}."

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}" if self.hint else self.sentence


class UsageError(MedidiffError):
    """An option or argument that makes no sense."""

    exit_code = 2
    code = "USAGE"


class NoImageError(MedidiffError):
    """Nothing that could be an image lies under the given path."""

    exit_code = 3
    code = "NO_IMAGE"


class RefusedError(MedidiffError):
    """An image is there, but medidiff must not process it."""

    exit_code = 5
    code = "REFUSED"


class GeometryError(RefusedError):
    """Positions, orientations or spacings that do not make the grid that was asked for."""

    code = "NOT_REGULAR"


class PixelError(RefusedError):
    """Pixel data that is missing, truncated, undecodable or of a kind medidiff does not process."""

    code = "PIXELS"


class NoiseLevelError(RefusedError):
    """The noise level cannot be estimated from this image."""

    code = "NOISE_LEVEL"


class OutputError(MedidiffError):
    """The output cannot be written: it exists, the folder is read-only or the disk is full."""

    code = "OUTPUT"


class CancelledError(MedidiffError):
    """The user stopped the run; nothing was left half-written."""

    exit_code = 6
    code = "CANCELLED"


class ModelError(MedidiffError):
    """A model bundle is unknown, damaged or does not fit the scan."""

    exit_code = 7
    code = "MODEL"


class EngineError(MedidiffError):
    """An inference engine or training framework is not installed or failed to load."""

    exit_code = 7
    code = "ENGINE"


class MemoryLimitError(MedidiffError):
    """The machine has too little memory for what was asked."""

    exit_code = 8
    code = "OUT_OF_MEMORY"


def is_memory(error: BaseException) -> bool:
    """True where memory ran out, also inside a library that has an error of its own for it."""
    return isinstance(error, (MemoryError, MemoryLimitError)) or "bad_alloc" in str(error)


def in_words(error: BaseException) -> str:
    """An error that nobody foresaw in one line: "unexpected KeyError: 'a'"."""
    text = " ".join(str(error).split())[:LONGEST] or "no message"
    return f"unexpected {type(error).__name__}: {text}"
