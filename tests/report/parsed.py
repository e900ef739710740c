"""A page as a parser sees it: numbers with their places, text, tags."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from medidiff.report.node import look_up

VOID = {"meta", "img", "input", "br", "link", "use", "path"}


class Page(HTMLParser):
    """Numbers, text, attributes and structure of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append((tag, found))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        last, _ = self._open.pop()
        assert last == tag, (last, tag, self.getpos())

    def handle_data(self, data: str) -> None:
        tag, attrs = self._open[-1] if self._open else ("", {})
        if tag == "data":
            self.numbers.append((attrs["data-at"], attrs["value"], attrs["data-spec"], data))
        if tag not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def shown_value(text: str) -> float:
    """The number that a reader sees."""
    return float(text.replace("\u2212", "-").split("\u202f")[0])


def agrees(page: Page, report: dict[str, Any]) -> int:
    """Holds every number of a page against the report; gives how many there are."""
    for at, value, spec, text in page.numbers:
        stored = look_up(report, at)
        assert value == repr(stored), at
        digits = re.search(r"\.(\d+)", spec)
        room = 0.0 if digits is None else 0.5 * 10.0 ** -int(digits[1])
        if spec.endswith("g"):
            room *= 10 * max(abs(stored), 1e-9)
        shown = shown_value(text) / (100 if spec.endswith("%") else 1)
        assert abs(shown - stored) <= room / (100 if spec.endswith("%") else 1) + 1e-9, (at, stored, text)
    return len(page.numbers)
