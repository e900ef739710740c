"""Two-way bindings of widgets and parameters; a connector serves one exact widget class and one type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

from shim.annotations import Choice, Minimum, WithinRange
from shim.ctk_module import ctkPathLineEdit, ctkSliderWidget
from shim.mrml_widgets import qMRMLNodeComboBox

WIDEST = -(2**31), 2**31 - 1
"""Bounds of a spin box whose parameter names none."""


class Connector:
    """Shows a parameter in a widget and writes back what the user does.

    Args:
        widget: the widget.
        member: the parameter.
        node: the parameter node.
        signal: C++ signature of the widget's signal.
        get: reads the widget.
        put: writes the widget.
    """

    def __init__(
        self,
        widget: Any,
        member: Any,
        node: Any,
        signal: str,
        get: Callable[[], Any],
        put: Callable[[Any], None],
    ) -> None:
        self.widget, self.member, self.node = widget, member, node
        self._signal, self._get, self._put = signal, get, put
        widget.connect(signal, self._changed)

    def show(self) -> None:
        """From the node to the widget."""
        value = self.member.read(self.node)
        if value != self._get():
            self._put(value)

    def _changed(self, *_: Any) -> None:
        value = self._get()
        if value != self.member.read(self.node):
            self.member.write(self.node, value)

    def release(self) -> None:
        """Ends the binding."""
        self.widget.disconnect(self._signal, self._changed)


def make(widget: Any, member: Any, node: Any) -> Connector:
    """The connector of a widget and a parameter; RuntimeError where there is none."""
    kind = type(widget)
    if kind is qt.QCheckBox and member.type is bool:
        return Connector(widget, member, node, "toggled(bool)", *_attribute(widget, "checked"))
    if kind is qt.QLineEdit and member.type is str:
        return Connector(widget, member, node, "textChanged(QString)", *_attribute(widget, "text"))
    if kind is qt.QSpinBox and member.type is int:
        _bounds(widget, member, needed=False)
        return Connector(widget, member, node, "valueChanged(int)", *_attribute(widget, "value"))
    if kind in (ctkSliderWidget, qt.QDoubleSpinBox) and member.type is float:
        _bounds(widget, member, needed=kind is ctkSliderWidget)
        return Connector(widget, member, node, "valueChanged(double)", *_attribute(widget, "value"))
    if kind is qt.QComboBox and member.type in (str, int, float):
        return _combo(widget, member, node)
    if kind is ctkPathLineEdit and member.type is Path:
        return Connector(
            widget, member, node, "currentPathChanged(QString)",
            lambda: Path(widget.currentPath), lambda value: setattr(widget, "currentPath", str(value)),
        )  # fmt: skip
    if kind is qMRMLNodeComboBox and member.is_node:
        get, put = widget.currentNode, widget.setCurrentNode
        return Connector(widget, member, node, "currentNodeChanged(vtkMRMLNode*)", get, put)
    raise RuntimeError(f"No connector for {kind.__name__} and {member.name}: {member.type.__name__}")


def _attribute(widget: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(widget, name), lambda value: setattr(widget, name, value)


def _bounds(widget: Any, member: Any, *, needed: bool) -> None:
    both, low = member.extra(WithinRange), member.extra(Minimum)
    if both is not None:
        widget.minimum, widget.maximum = member.type(both.minimum), member.type(both.maximum)
    elif needed:
        raise RuntimeError(f"{member.name}: a slider needs WithinRange")
    else:  # whatever bounds the form gives are lost, as in Slicer
        widget.minimum = member.type(low.minimum) if low is not None else WIDEST[0]
        widget.maximum = WIDEST[1]


def _combo(widget: Any, member: Any, node: Any) -> Connector:
    choice = member.extra(Choice)
    if choice is None:
        raise RuntimeError(f"{member.name}: a QComboBox needs Choice")
    widget.clear()  # heard by whatever is still bound to it, which reads the last choice, as in Slicer
    for item in choice.choices:
        widget.addItem(str(item))
    return Connector(
        widget, member, node, "currentIndexChanged(int)",
        lambda: choice.choices[widget.currentIndex],
        lambda value: widget.setCurrentIndex(choice.choices.index(value)),
    )  # fmt: skip
