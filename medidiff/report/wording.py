"""How values read on the page: one place for numbers, lengths of time and counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from medidiff.report.node import Node, plain, pointer

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def number(value: float | int | None, spec: str = ".3g") -> str:
    """A number for people: a real minus sign, no exponent for everyday sizes, an en dash for None.

    Args:
        value: what is shown.
        spec: format specification; a trailing ``%`` multiplies by 100.
    """
    if value is None:
        return NOTHING
    text = format(value, spec)
    if "e+" in text:
        text = format(value, ".0f")
    text = text.replace("e-0", "e-").replace("%", "\N{NARROW NO-BREAK SPACE}%")
    if not any(digit in text for digit in "123456789"):
        text = text.replace("-", "+" if "+" in spec else "")  # -0.0 reads as a mistake
    return text.replace("-", MINUS)


def figure(node: Any, spec: Any = ".3g") -> Any:
    """A number as ``<data>``: the text for people, the exact value, and its place in report.json."""
    from markupsafe import Markup

    value, spec = plain(node), str(spec)
    if value is None:
        return Markup('<span class="none">{}<span class="unseen"> not available</span></span>').format(
            NOTHING
        )
    if not isinstance(node, Node):
        return number(value, spec)
    return Markup('<data value="{}" data-at="{}" data-spec="{}">{}</data>').format(
        repr(value), pointer(node), spec, number(value, spec)
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def moment(text: str) -> str:
    """An ISO time as a date and time in UTC."""
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")


def count(n: int, one: str, many: str | None = None) -> str:
    """``1 slice``, ``2 slices``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """A capital letter first and a full stop last."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
