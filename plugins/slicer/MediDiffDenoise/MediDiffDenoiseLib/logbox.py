"""LogBox: what the worker says, read-only and bounded."""

from __future__ import annotations

from typing import Any

import qt

CAP = 256_000
"""Characters that the box holds at most: a worker that prints without end must not fill the memory."""


class LogBox:
    """The Log section.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._text, self._shown, self.environment = ui.logTextEdit, "", ""
        ui.copyLogButton.connect("clicked()", self.copy)

    def show(self, text: str) -> None:
        """Shows the log of a job, adding to what is there where it only grew."""
        text = text[-CAP:]
        if text == self._shown:
            return
        if self._shown and text.startswith(self._shown):
            self._text.appendPlainText(text[len(self._shown) :].strip("\n"))
        else:
            self._text.plainText = text.rstrip("\n")
        self._shown = text
        bar = self._text.verticalScrollBar()
        bar.value = bar.maximum

    def copy(self) -> None:
        """Copies environment and log to the clipboard, for a report."""
        parts = [part for part in (self.environment, self._shown) if part]
        qt.QApplication.clipboard().setText("\n\n".join(parts))
