"""Errors as one line on stderr."""

from __future__ import annotations

from pathlib import Path

import click

from medidiff.errors import MedidiffError, MemoryLimitError, in_words, is_memory


def say_error(text: str, code: int) -> int:
    """One line on stderr; gives the code back."""
    click.echo(f"medidiff: error: {' '.join(text.split())}", err=True)
    return code


def unexpected(error: Exception, *, verbose: bool = False) -> MedidiffError:
    """An error of another kind as one for people.

    Args:
        error: what happened.
        verbose: the traceback is shown already.
    """
    if is_memory(error):
        return MemoryLimitError("Out of memory", hint="Close other programs, or use less data.")
    hint = None if verbose else "Use -v to see the traceback."
    return MedidiffError(in_words(error), hint=hint)


def located(error: MedidiffError, where: Path) -> MedidiffError:
    """The error with a place, where it does not have one yet."""
    if error.where:
        return error
    return type(error)(error.what, where=where, received=error.received, hint=error.hint)
