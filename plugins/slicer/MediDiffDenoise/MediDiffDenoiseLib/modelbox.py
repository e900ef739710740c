"""ModelBox: the worker's models in a box, bound by hand because their list is not known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

AUTOMATIC = "Automatic, by modality"
DISABLED = 0
"""Item flags of an entry that is shown but cannot be chosen."""


class ModelBox:
    """Shows models with their licence and training data, and keeps a saved model that is absent.

    Args:
        box: the combo box.
        chosen: called with the name of a model when the user chooses one; empty for automatic.
    """

    def __init__(self, box: Any, chosen: Callable[[str], None]) -> None:
        self._box, self._chosen = box, chosen
        self._content: tuple[Any, ...] = ()
        box.connect("activated(int)", self._activated)

    def show(self, report: Any, modality: str, current: str) -> None:
        """Fills the box.

        Args:
            report: the last `environment.Report`, or None while unknown.
            modality: only models of it are offered.
            current: the chosen model; shown as "not installed" where the worker does not have it.
        """
        content = (report, modality, current)
        if content == self._content:
            return
        self._content = content
        blocked = self._box.blockSignals(True)
        self._box.clear()
        self._add(AUTOMATIC, "", "The model for the modality of the volume.")
        for model in report.models if report is not None else ():
            if not model.usable:
                self._add(f"{model.name} (damaged)", model.name, model.problem, usable=False)
            elif model in report.modelsFor(modality):
                self._add(f"{model.name} {model.version}".strip(), model.name, tooltip(model))
            elif model.name == current:
                text = f"{model.name} (for {model.modality.upper()})"
                self._add(text, model.name, tooltip(model), usable=False)
        if current and self._box.findData(current) < 0:
            unknown = report is None or "/" in current or "\\" in current
            text = current if unknown else f"{current} (not installed)"
            self._add(text, current, "The scene names this model.", usable=unknown)
        self._box.setCurrentIndex(max(0, self._box.findData(current)))
        self._box.toolTip = self._box.itemData(self._box.currentIndex, qt.Qt.ToolTipRole) or ""
        self._box.blockSignals(blocked)

    def _add(self, text: str, name: str, tip: str, *, usable: bool = True) -> None:
        self._box.addItem(text, name)
        index = self._box.count - 1
        self._box.setItemData(index, tip, qt.Qt.ToolTipRole)
        if not usable:
            # The role below UserRole holds the flags of an item of Qt's standard model.
            self._box.setItemData(index, DISABLED, int(qt.Qt.UserRole) - 1)

    def _activated(self, index: int) -> None:
        self._chosen(self._box.itemData(index) or "")


def tooltip(model: Any) -> str:
    """What to know of a model: modality, training data, and the licence of its weights."""
    lines = [f"{model.name} {model.version} for {model.modality.upper()}".replace("  ", " ")]
    if model.training_data:
        lines.append(f"Trained on: {model.training_data}")
    lines.append(f"Licence of the weights: {model.licence or 'not stated'}")
    return "\n".join(lines)
