"""Errors as one line on stderr."""

from __future__ import annotations

from pathlib import Path

import click

from medidiff.errors import MedidiffError


def say_error(text: str, code: int) -> int:
    """One line on stderr; gives the code back."""
    click.echo(f"medidiff: error: {' '.join(text.split())}", err=True)
    return code


def located(error: MedidiffError, where: Path) -> MedidiffError:
    """The error with a place, where it does not have one yet."""
    if error.where:
        return error
    return type(error)(error.what, where=where, received=error.received, hint=error.hint)
