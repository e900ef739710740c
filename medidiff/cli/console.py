"""Standard output and standard error that cannot stop a run: closed, full, gone, or of a narrow encoding.

What is printed is a courtesy; images and reports are the work. A path that the encoding of the terminal lacks
a letter for is printed with backslash escapes, and output that nobody can take is dropped and remembered.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from types import TracebackType
from typing import Any

STREAMS = ("stdout", "stderr")


class Sink(io.FileIO):
    """A file descriptor whose first failed write is remembered; what follows is dropped.

    Args:
        number: the descriptor, which stays open.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Writes what the system takes."""
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


class Console:
    """Context manager that puts such streams in the place of the process's own, and back.

    Streams that somebody else has put there (a test, a notebook) are left alone.
    """

    def __init__(self) -> None:
        self._old: dict[str, Any] = {}
        self._sinks: dict[str, Sink] = {}

    @property
    def lost(self) -> OSError | None:
        """Why standard output was lost; None where all of it was written."""
        sink = self._sinks.get("stdout")
        return None if sink is None else sink.lost

    def __enter__(self) -> Console:
        _occupy()
        for name in STREAMS:
            stream = getattr(sys, name)
            self._old[name] = stream
            if stream is None:
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
            elif stream is getattr(sys, f"__{name}__"):
                self._guard(name, stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, old in self._old.items():
            mine = getattr(sys, name)
            setattr(sys, name, old)
            if name in self._sinks:
                mine.flush()
            elif old is None:
                mine.close()

    def _guard(self, name: str, stream: Any) -> None:
        """Puts a sink under a stream of the process."""
        errors = _errors(stream)
        raw = getattr(stream.buffer, "raw", stream.buffer)
        if not isinstance(raw, io.FileIO):  # the console of Windows
            stream.reconfigure(errors=errors)
            return
        stream.flush()
        self._sinks[name] = Sink(stream.fileno())
        buffered = io.BufferedWriter(self._sinks[name])
        lines = stream.line_buffering or stream.write_through
        setattr(
            sys,
            name,
            io.TextIOWrapper(buffered, encoding=stream.encoding, errors=errors, line_buffering=lines),
        )


def reader_gone() -> bool:
    """True where standard output was a pipe and its reader has closed it."""
    sink = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(sink, Sink) and sink.lost is not None and sink.lost.errno == errno.EPIPE


def _errors(stream: Any) -> str:
    """What to do with letters that an encoding lacks: never fail; a choice of the user stands."""
    whole = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    if stream.errors == "strict" or (stream.errors == "surrogateescape" and not whole):
        return "backslashreplace"
    return str(stream.errors)


def _occupy() -> None:
    """Takes the numbers of closed standard streams, lest a file of the run get one and be printed into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
