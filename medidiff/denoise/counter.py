"""Counter: tells after each slice how many are done, of one plane or of several, of how many in all."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Slices done and slices in all."""


class Counter:
    """Called once after each slice.

    Args:
        total: slices in all.
        progress: told each time; None where nobody listens.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self) -> None:
        """One more slice is done."""
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
