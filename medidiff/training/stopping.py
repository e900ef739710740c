"""Stopping: Ctrl-C and SIGTERM as a wish, so that a step is never cut in two."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within the block a function tells whether one of the signals has come."""
    asked: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM)
    try:
        old = [signal.signal(name, lambda number, frame: asked.append(number)) for name in names]
    except ValueError:  # not in the main thread: leave the signals alone
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        for name, handler in zip(names, old, strict=True):
            signal.signal(name, handler)
