"""CompareSection: which comparison is shown, chosen in the panel."""

from __future__ import annotations

from typing import Any

import slicer

from .comparison import Comparison
from .region import place_of_slice

SIDE_BY_SIDE, FADE, REMOVED, UNCERTAINTY = "side", "fade", "removed", "uncertainty"


class CompareSection:
    """The row below the buttons: a box of comparisons, a slider to fade, a button back.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._ui, self.comparison = ui, Comparison()
        self._nodes: dict[str, str] = {}
        self._input, self._bounds = "", None
        ui.comparisonComboBox.connect("activated(int)", self._chosen)
        ui.fadeSlider.connect("valueChanged(double)", self._fade)
        ui.restoreLayoutButton.connect("clicked()", self._restore)

    def offer(self, job: Any, *, show: bool) -> None:
        """Takes the volumes of a finished job.

        Args:
            job: its input, output, difference and uncertainty nodes.
            show: show the output beside the input now.
        """
        self._input, self._bounds = job.inputNodeID, job.bounds if job.kind == "preview" else None
        self._nodes = {SIDE_BY_SIDE: job.outputNodeID, FADE: job.outputNodeID}
        if job.differenceNodeID:
            self._nodes[REMOVED] = job.differenceNodeID
        if job.uncertaintyNodeID:
            self._nodes[UNCERTAINTY] = job.uncertaintyNodeID
        box = self._ui.comparisonComboBox
        blocked = box.blockSignals(True)
        box.clear()
        names = {
            SIDE_BY_SIDE: "Input | output",
            FADE: "Output over input",
            REMOVED: "Input | what was removed",
            UNCERTAINTY: "Input | uncertainty",
        }
        for kind in self._nodes:
            box.addItem(names[kind], kind)
        box.blockSignals(blocked)
        self._ui.comparisonFrame.visible = True
        if show:
            self._show(SIDE_BY_SIDE)
        self._refresh()

    def forget(self) -> None:
        """The scene was closed."""
        self._nodes, self._input = {}, ""
        self.comparison.forget()
        self._ui.comparisonFrame.visible = False

    def _node(self, kind: str) -> Any:
        return slicer.mrmlScene.GetNodeByID(self._nodes.get(kind) or "")

    def _chosen(self, index: int) -> None:
        self._show(self._ui.comparisonComboBox.itemData(index))

    def _show(self, kind: str) -> None:
        left, right = slicer.mrmlScene.GetNodeByID(self._input or ""), self._node(kind)
        if left is None or right is None:
            self._ui.comparisonFrame.visible = False  # the user deleted one of them
            return
        if kind == FADE:
            self.comparison.fade(left, right, self._ui.fadeSlider.value)
        else:
            place = place_of_slice(left, self._bounds) if self._bounds is not None else None
            self.comparison.sideBySide(left, right, sameWindow=kind == SIDE_BY_SIDE, place=place)
        self._refresh()

    def _fade(self, value: float) -> None:
        if self._kind() != FADE:
            return
        if self.comparison.active:
            self.comparison.setOpacity(value)
        else:
            self._show(FADE)

    def _restore(self) -> None:
        self.comparison.restore()
        self._refresh()

    def _kind(self) -> str:
        box = self._ui.comparisonComboBox
        return box.itemData(box.currentIndex) or ""

    def _refresh(self) -> None:
        fading = self._kind() == FADE
        self._ui.fadeSlider.visible = self._ui.fadeLabel.visible = fading
        self._ui.restoreLayoutButton.enabled = self.comparison.active
