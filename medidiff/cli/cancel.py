"""Cancellation: Ctrl-C, SIGTERM, or a program's word, as one question that the work asks between steps."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import ExitStack
from types import FrameType, TracebackType

from medidiff.signals import heard


class Cancellation:
    """Callable that says whether the user wants to stop; a context manager while it listens.

    The first signal sets a flag, so that a slice or a file is finished properly; a second one interrupts
    at once (output is staged, so that even then nothing half-written stays). Of which signals, and when they
    stay ignored: `medidiff.signals`.

    Args:
        stdin: also listen for a line ``cancel`` on standard input and for its end, where it is a pipe: a
            program that started the run and died has then stopped it.
    """

    def __init__(self, *, stdin: bool = False) -> None:
        self._asked = threading.Event()
        self._stdin = stdin
        self._undo = ExitStack()

    def __call__(self) -> bool:
        """True once the user wants to stop."""
        return self._asked.is_set()

    def __enter__(self) -> Cancellation:
        self._undo.enter_context(heard(self._heard))
        if self._stdin and _is_pipe():
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()

    def _listen(self) -> None:
        # The file descriptor, not sys.stdin: a blocked buffered reader would hold up the end of Python.
        line = b""
        while chunk := os.read(0, 256):
            line = (line + chunk)[-256:]
            if b"cancel" in line.split():
                break
        self._asked.set()


def _is_pipe() -> bool:
    """True where standard input is a pipe or socket, not a terminal, a file or /dev/null."""
    try:
        mode = os.fstat(sys.__stdin__.fileno() if sys.__stdin__ else 0).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
