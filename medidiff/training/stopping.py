"""Stopping: Ctrl-C, SIGTERM and a closed terminal as a wish, so that a step is never cut in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from medidiff.signals import heard


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within the block a function tells whether one of the signals has come (`medidiff.signals`)."""
    asked: list[int] = []
    with heard(lambda number, frame: asked.append(number)):
        yield lambda: bool(asked)
