"""Signals that ask a program to end: heard for a while, and given back as they were."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))
"""Ctrl-C, a polite kill, and a terminal that was closed; Windows has no such hang-up."""


@contextmanager
def heard(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Calls a handler for `SIGNALS` within the block; outside of the main thread nothing is heard.

    Signals that whoever started the run has it ignore, as ``nohup`` does and a script for what it puts into
    the background, stay ignored. So do those that something other than Python handles, as a program may that
    Python runs in: they could not be given back.

    Args:
        handler: called with the number of the signal and the frame.
    """
    old = {}
    if threading.current_thread() is threading.main_thread():
        before = {s: signal.getsignal(s) for s in SIGNALS}
        old = {s: b for s, b in before.items() if b is not None and b is not signal.SIG_IGN}
    try:
        for number in old:
            signal.signal(number, handler)
        yield
    finally:
        for number, former in old.items():
            signal.signal(number, former)
