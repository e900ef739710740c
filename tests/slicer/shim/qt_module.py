"""The module ``qt``: QtCore, QtGui, QtWidgets and QUiLoader under one name, without what PythonQt lacks."""

from __future__ import annotations

import types
from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from shim.pythonqt import connectable, signal_of

MISSING = {"Signal", "Slot", "Property", "SignalInstance", "QtCore", "QtGui", "QtWidgets"}
"""Names of PySide6 that PythonQt does not have. ``qt.Signal`` in a Python subclass crashes Slicer."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads .ui files with the stand-in classes, and makes their connections between them."""

    classes: dict[str, type] = {}
    """Stand-ins by C++ class name."""

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> QtWidgets.QWidget:
        """A widget of the class; an unknown class is an error, where Qt would drop it."""
        cls = self.classes.get(className)
        if cls is None:
            if className not in self.availableWidgets():
                raise RuntimeError(f"The .ui file asks for {className}, which is not known")
            return super().createWidget(className, parent, name)
        widget: QtWidgets.QWidget = cls(parent)
        widget.setObjectName(name)
        return widget

    def load(self, device: Any, parentWidget: Any = None) -> QtWidgets.QWidget:
        """The widget of a .ui file."""
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = tree.find("connections")
        ours = [c for c in tree.iter("connection") if _is_ours(tree, c)]
        for connection in ours:
            connections.remove(connection)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = super().load(buffer, parentWidget)
        for connection in ours if top is not None else ():
            sender, receiver = (_named(top, connection.findtext(end)) for end in ("sender", "receiver"))
            slot = getattr(receiver, connection.findtext("slot").split("(")[0])
            signal_of(sender, connection.findtext("signal")).connect(slot)
        return top


def _is_ours(tree: Any, connection: Any) -> bool:
    """Whether only a stand-in has the signal of a connection; Qt makes the others."""
    sender, signal = connection.findtext("sender"), connection.findtext("signal")
    kinds = [w.get("class") for w in tree.iter("widget") if w.get("name") == sender]
    return bool(kinds) and signal in getattr(QUiLoader.classes.get(kinds[0]), "SIGNALS", {})


def _named(top: QtWidgets.QWidget, name: str) -> Any:
    found = top if top.property("objectName") == name else top.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"The .ui file connects {name}, which it does not have")
    return found


def make() -> types.ModuleType:
    """Builds the module."""
    module = types.ModuleType("qt", __doc__)
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            if name not in MISSING and not name.startswith("_"):
                setattr(module, name, getattr(source, name))
    own = {name: _own(cls) for name, cls in vars(module).items() if _instantiable(cls)}
    vars(module).update(own, QUiLoader=QUiLoader)
    QUiLoader.classes.update(own)
    return module


def _instantiable(cls: Any) -> bool:
    """Whether programs make objects of a class and connect their signals."""
    kinds = (QtWidgets.QWidget, QtCore.QTimer, QtGui.QAction, QtGui.QActionGroup, QtWidgets.QButtonGroup)
    return isinstance(cls, type) and issubclass(cls, kinds)


def _own(cls: Any) -> Any:
    """A Python subclass of the same name: only on those does PySide6 let ``connect`` be replaced."""
    return connectable(type(cls)(cls.__name__, (cls,), {"__module__": "qt", "__doc__": cls.__doc__}))
