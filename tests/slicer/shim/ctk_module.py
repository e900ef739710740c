"""The module ``ctk``: the widgets of CTK that the panel uses, small and plain."""

from __future__ import annotations

import types
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from shim.pythonqt import connectable

HEADER = 24
"""Height of the header of a collapsible button, in pixels."""


@connectable
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows or hides what lies below it."""

    contentsCollapsed = QtCore.Signal(bool)
    SIGNALS = {"contentsCollapsed(bool)": "contentsCollapsed"}

    def __init__(self, text: Any = "", parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(text if isinstance(text, QtWidgets.QWidget) else parent)
        if isinstance(text, str):
            self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, HEADER, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._show)
        self._hidden: list[QtWidgets.QWidget] = []

    def _collapsed(self) -> bool:
        return not self.isChecked()

    def _collapse(self, value: bool) -> None:
        self.setChecked(not value)

    collapsed = QtCore.Property(bool, _collapsed, _collapse)

    def hitButton(self, pos: QtCore.QPoint) -> bool:
        """Only the header is a button."""
        return bool(pos.y() < HEADER)

    def event(self, event: QtCore.QEvent) -> bool:
        """Children that come while collapsed are hidden when the panel is shown."""
        if event.type() == QtCore.QEvent.Type.Polish:
            self._show(self.isChecked())
        return bool(super().event(event))

    def _show(self, expanded: bool) -> None:
        if expanded:
            for child in self._hidden:
                child.show()
            self._hidden = []
        else:
            children = [c for c in self.children() if isinstance(c, QtWidgets.QWidget) and not c.isHidden()]
            self._hidden += children
            for child in children:
                child.hide()
        self.setMaximumHeight(16777215 if expanded else HEADER)
        self.contentsCollapsed.emit(not expanded)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """The header: a bar, an arrow, the text."""
        painter, palette = QtGui.QPainter(self), self.property("palette")
        bar = QtCore.QRectF(0.5, 0.5, self.property("width") - 1.0, HEADER - 3.0)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.Mid))
        painter.setBrush(palette.color(QtGui.QPalette.ColorRole.Button))
        painter.drawRoundedRect(bar, 3, 3)
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        middle = HEADER / 2 - 1
        tip = [(8, middle - 2), (16, middle - 2), (12, middle + 3)] if self.isChecked() else []
        tip = tip or [(10, middle - 4), (10, middle + 4), (15, middle)]
        painter.setBrush(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(x, y) for x, y in tip]))
        painter.drawText(
            bar.adjusted(24, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, self.property("text")
        )


def _box(name: str) -> tuple[Any, Any]:
    """Getter and setter of a property of the number's box."""
    return lambda self: self._box.property(name), lambda self, value: self._box.setProperty(name, value)


@connectable
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a number beside it."""

    valueChanged = QtCore.Signal(float)
    SIGNALS = {"valueChanged(double)": "valueChanged"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox()
        self._bar = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._bar.setRange(0, 10000)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar, 1)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._told)
        self._bar.valueChanged.connect(lambda at: self._box.setValue(self._min() + at * self._span() / 10000))

    def _min(self) -> float:
        return float(self._box.property("minimum"))

    def _span(self) -> float:
        return float(self._box.property("maximum")) - self._min()

    def _told(self, value: float) -> None:
        blocked = self._bar.blockSignals(True)
        self._bar.setValue(round((value - self._min()) / (self._span() or 1) * 10000))
        self._bar.blockSignals(blocked)
        self.valueChanged.emit(value)

    minimum = QtCore.Property(float, *_box("minimum"))
    maximum = QtCore.Property(float, *_box("maximum"))
    singleStep = QtCore.Property(float, *_box("singleStep"))
    decimals = QtCore.Property(int, *_box("decimals"))
    suffix = QtCore.Property(str, *_box("suffix"))
    value = QtCore.Property(float, *_box("value"), notify=valueChanged)

    def setValue(self, value: float) -> None:
        """The slot of the property."""
        self._box.setValue(value)


@connectable
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path that can be typed or chosen. As in CTK, an empty one is invalid and is not told."""

    Dirs, Files, Executable = 1, 2, 64

    currentPathChanged, validInputChanged = QtCore.Signal(str), QtCore.Signal(bool)
    SIGNALS = {
        "currentPathChanged(QString)": "currentPathChanged", "validInputChanged(bool)": "validInputChanged"
    }  # fmt: skip

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit()
        browse = QtWidgets.QToolButton()
        browse.setText("...")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line, 1)
        row.addWidget(browse)
        self._valid = False
        self._line.textChanged.connect(self._told)

    def _told(self, path: str) -> None:
        before, self._valid = self._valid, bool(path)
        if path:
            self.currentPathChanged.emit(path)
        if self._valid != before:
            self.validInputChanged.emit(self._valid)

    def _path(self) -> str:
        return str(self._line.property("text"))

    def setCurrentPath(self, path: str) -> None:
        """The slot of the property."""
        self._line.setText(path)

    currentPath = QtCore.Property(str, _path, setCurrentPath, notify=currentPathChanged)
    filters = QtCore.Property(int, lambda self: 0, lambda self, value: None)
    showHistoryButton = QtCore.Property(bool, lambda self: False, lambda self, value: None)


CLASSES = {cls.__name__: cls for cls in (ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit)}


def make() -> types.ModuleType:
    """Builds the module."""
    module = types.ModuleType("ctk", __doc__)
    vars(module).update(CLASSES)
    return module
