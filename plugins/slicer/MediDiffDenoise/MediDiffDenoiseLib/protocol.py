"""Protocol: what the worker prints, as events. Standard library only.

The worker writes lines ``@medidiff {json}`` to stdout; any other line, and all of stderr, is log. Unknown
events and fields are ignored, so that a newer worker of the same protocol can say more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PROTOCOL = 1
"""Version of the events that this module understands."""

PREFIX = b"@medidiff "
LONGEST = 1 << 20
"""Bytes of a line after which it is cut: a worker gone wild must not fill Slicer's memory."""

EXITS = {
    1: ("failed", "medidiff failed.", "See the log."),
    2: ("usage", "medidiff did not accept its options.", "Update medidiff, or this extension. See the log."),
    3: ("no_image", "medidiff found no image in the file that Slicer wrote.", "See the log."),
    4: ("some_failed", "medidiff could not process all of it.", "See the log."),
    5: ("refused", "medidiff refused the volume.", "See the log."),
    6: ("cancelled", "The run was cancelled.", ""),
    7: ("model_or_engine", "The model or its engine is not available.", "Press 'Check environment'."),
    8: ("out_of_memory", "Out of memory.", "Close other programs, or choose a smaller region."),
}
"""Exit status to (code, text, hint), for a worker that ended without an ``error`` event."""


@dataclass(frozen=True)
class Line:
    """One line of the worker.

    Attributes:
        text: the line, undecodable bytes replaced.
        event: what it tells, or None for a line of log.
        stdout: False for a line of stderr.
    """

    text: str
    event: dict[str, Any] | None = None
    stdout: bool = True


class Splitter:
    """Pieces of a stream to lines; a piece may end within a line, even within a letter.

    Args:
        events: False for stderr, where nothing is an event.
    """

    def __init__(self, *, events: bool = True) -> None:
        self._rest = b""
        self._events = events
        self._cut = False

    def feed(self, data: bytes) -> list[Line]:
        """The lines that are complete by now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = []
        for raw in whole:
            if not self._cut:
                lines.append(self._line(raw))
            self._cut = False
        if len(self._rest) > LONGEST:
            if not self._cut:
                lines.append(Line(self._rest[:200].decode("utf-8", "replace") + " ...", None, self._events))
            self._rest, self._cut = b"", True
        return lines

    def close(self) -> list[Line]:
        """The last line, where it has no end."""
        rest, self._rest = self._rest, b""
        return [self._line(rest)] if rest and not self._cut else []

    def _line(self, raw: bytes) -> Line:
        raw = raw.rstrip(b"\r")
        return Line(raw.decode("utf-8", "replace"), parse(raw) if self._events else None, self._events)


def parse(raw: bytes) -> dict[str, Any] | None:
    """The event of a line, or None where it is none."""
    if not raw.startswith(PREFIX):
        return None
    try:
        event = json.loads(raw[len(PREFIX) :].decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def number(event: dict[str, Any], name: str) -> float | None:
    """A finite number of an event, or None where there is none."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return None
    return None if value in (float("inf"), float("-inf")) else float(value)


def word(event: dict[str, Any], name: str) -> str:
    """A text of an event; empty where there is none."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def misfit(version: str, protocol: Any, update: str) -> tuple[str, str]:
    """Why a worker of another protocol cannot be used, and what to do; empty texts if it can.

    Args:
        version: of the worker.
        protocol: that it speaks.
        update: command that updates it.
    """
    if protocol == PROTOCOL and not isinstance(protocol, bool):
        return "", ""
    text = f"medidiff {version or '(unknown version)'} speaks protocol {protocol}, this extension {PROTOCOL}."
    newer = isinstance(protocol, int) and not isinstance(protocol, bool) and protocol > PROTOCOL
    return (
        text,
        "Update the extension MediDiff in the Extensions Manager." if newer else f"Update it: {update}",
    )


def from_exit(status: int) -> tuple[str, str, str]:
    """(code, text, hint) of a worker that ended without saying why.

    Args:
        status: its exit status, negative for a signal.
    """
    if status in EXITS:
        return EXITS[status]
    if status in (-9, 137):  # SIGKILL, directly or through a shell
        return (
            "killed", "medidiff was killed.",
            "Probably the computer ran out of memory: close other programs, or choose a smaller region.",
        )  # fmt: skip
    if status < 0:
        return "killed", f"medidiff was ended by signal {-status}.", "See the log."
    return "failed", f"medidiff ended with status {status}.", "See the log."
