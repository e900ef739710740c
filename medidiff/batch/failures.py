"""Outcomes of what was not denoised: left out, cancelled, refused, failed."""

from __future__ import annotations

from medidiff.batch.account import Outcome, Status
from medidiff.batch.planning import Entry
from medidiff.errors import (
    CancelledError,
    MedidiffError,
    MemoryLimitError,
    RefusedError,
    in_words,
    is_memory,
)
from medidiff.io import Reason


def left_out(entry: Entry) -> Outcome:
    """The outcome of an entry that was not planned."""
    assert entry.decision != "planned"
    there = entry.outputs if entry.code == Reason.DONE.name else None
    return Outcome(entry.item, entry.decision, entry.reason, there, code=entry.code, error=entry.error)


def cancelled_outcome(entry: Entry, error: CancelledError | None = None) -> Outcome:
    """The outcome of a planned entry that the user stopped."""
    reason = Reason.CANCELLED
    return Outcome(entry.item, "cancelled", reason.value, error=error, code=reason.name)


def failed(entry: Entry, error: Exception) -> Outcome:
    """The outcome of a stack that met an error."""
    if isinstance(error, MedidiffError):
        status: Status = "refused" if isinstance(error, RefusedError) else "failed"
        return Outcome(
            entry.item, status, _located(error, entry), model=entry.model, error=error, code=error.code
        )
    known = unexpected(error, entry)
    return Outcome(entry.item, "failed", str(known), model=entry.model, error=known, code=known.code)


def _located(error: MedidiffError, entry: Entry) -> str:
    """The message, with the series in front where the error does not say where."""
    return str(error) if error.where else f"{entry.item.path}: {error}"


def unexpected(error: Exception, entry: Entry) -> MedidiffError:
    """An error for people that keeps the one it comes from."""
    if is_memory(error):
        z, y, x = entry.item.shape
        known: MedidiffError = MemoryLimitError(
            f"out of memory with {x}x{y}x{z} voxels", where=entry.item.path,
            hint="Close other programs, or use a smaller --tile, or --tier fast.",
        )  # fmt: skip
    else:
        known = MedidiffError(in_words(error), where=entry.item.path, hint="Use -v for the traceback.")
    known.__cause__ = error
    return known
