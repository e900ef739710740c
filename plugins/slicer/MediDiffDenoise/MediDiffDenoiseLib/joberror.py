"""JobError: why a job failed, so that every failure ends in words for the user. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import protocol
from .command import for_panel
from .environment import Interpreter, setup
from .report import not_installed


@dataclass(frozen=True)
class JobError:
    """Why a job failed: one sentence, what to do, and the worker's word for the cause."""

    text: str
    hint: str = ""
    code: str = ""


class Discarded(Exception):
    """A result that cannot be used, with the words for the user."""

    def __init__(self, text: str, hint: str = "", code: str = "discarded") -> None:
        super().__init__(text)
        self.error = JobError(text, hint, code)


def not_found() -> JobError:
    """There is no medidiff to start."""
    hint = f"Install it, then enter its Python in Advanced:\n{setup()}"
    return JobError("medidiff was not found on this computer.", hint, "no_interpreter")


def not_started(interpreter: Interpreter, error: OSError) -> JobError:
    """The system does not start it."""
    text = f"{interpreter.python} cannot be started ({interpreter.refusal(error)})."
    return JobError(text, "Check the path of the Python in Advanced.", "no_interpreter")


def misfit(version: str, spoken: Any, interpreter: Interpreter) -> JobError | None:
    """It speaks another protocol; None if it does not.

    Args:
        version: of the worker.
        spoken: its protocol.
        interpreter: how it was started.
    """
    text, hint = protocol.misfit(version, spoken, interpreter.update)
    return JobError(text, hint, "protocol") if text else None


def told(event: dict[str, Any], status: int) -> JobError:
    """The worker has said why, in an ``error`` event; its exit status serves where that has no text."""
    text = protocol.word(event, "text") or protocol.from_exit(status)[1]
    return JobError(text, for_panel(protocol.word(event, "hint")), protocol.word(event, "code"))


def untold(interpreter: Interpreter, status: int, log: str) -> JobError:
    """The worker has ended without a result and without an ``error`` event.

    Args:
        interpreter: how it was started.
        status: its exit status, negative for a signal.
        log: what it printed.
    """
    absent = not_installed(interpreter, log)
    if absent is not None:
        return JobError(absent.text, absent.hint, absent.code)
    if status == 0:
        return JobError("medidiff ended without a result.", "See the log.", "no_result")
    code, text, hint = protocol.from_exit(status)
    if code == "usage":
        hint = f"It may be too old. Update it: {interpreter.update}"
    return JobError(text, hint, code)


def not_imported(error: Exception) -> JobError:
    """Slicer could not take the result over."""
    text = " ".join(str(error).split()) or type(error).__name__
    return JobError(f"The result could not be taken over: {text}", "See the log.", "import")
