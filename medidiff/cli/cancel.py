"""Cancellation: Ctrl-C, SIGTERM, or a program's word, as one question that the work asks between steps."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))
"""Ctrl-C, a polite kill, and a terminal that was closed; Windows has no such hang-up."""


class Cancellation:
    """Callable that says whether the user wants to stop; a context manager while it listens.

    The first signal sets a flag, so that a slice or a file is finished properly; a second one interrupts
    at once (output is staged, so that even then nothing half-written stays). Signals that whoever started the
    run has it ignore, as ``nohup`` does and a script for what it puts into the background, stay ignored.

    Args:
        stdin: also listen for a line ``cancel`` on standard input and for its end, where it is a pipe: a
            program that started the run and died has then stopped it.
    """

    def __init__(self, *, stdin: bool = False) -> None:
        self._asked = threading.Event()
        self._stdin = stdin
        self._old: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """True once the user wants to stop."""
        return self._asked.is_set()

    def __enter__(self) -> Cancellation:
        if threading.current_thread() is threading.main_thread():
            heard = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
            self._old = {s: signal.signal(s, self._heard) for s in heard}
        if self._stdin and _is_pipe():
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

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
