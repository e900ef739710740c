"""Outcomes of what was not denoised: left out, cancelled, refused, failed."""

from __future__ import annotations

import traceback

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
    trace = "" if entry.error is None else _trace(entry.error)
    return Outcome(
        entry.item, entry.decision, entry.reason, there, code=entry.code, error=entry.error, trace=trace
    )


def cancelled_outcome(entry: Entry, error: CancelledError | None = None) -> Outcome:
    """The outcome of a planned entry that the user stopped."""
    reason = Reason.CANCELLED
    return Outcome(entry.item, "cancelled", reason.value, error=error, code=reason.name)


def failed(entry: Entry, error: Exception) -> Outcome:
    """The outcome of a stack that met an error."""
    if isinstance(error, MedidiffError):
        status: Status = "refused" if isinstance(error, RefusedError) else "failed"
        return Outcome(
            entry.item, status, _located(error, entry), model=entry.model, error=error, code=error.code,
            trace=_trace(error),
        )  # fmt: skip
    known = unexpected(error, entry)
    return Outcome(
        entry.item, "failed", str(known), model=entry.model, error=known, code=known.code, trace=_trace(known)
    )


def let_go(error: BaseException) -> None:
    """Parts an error, and those it comes from, from the functions that it went through.

    Outcomes last as long as the run. With its traceback each would keep its scan and all that was made of it:
    the memory that one series had too little of, the next ones would not get back.
    """
    chain, seen = [error], set[int]()
    while chain:
        one = chain.pop()
        if id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            chain += [e for e in (one.__cause__, one.__context__) if e is not None]


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


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
