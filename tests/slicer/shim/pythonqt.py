"""PySide6 made to look like PythonQt, the binding inside 3D Slicer.

PythonQt shows Qt properties as attributes (``label.text = "x"``; ``label.text()`` fails), connects by C++
signature (``button.connect("clicked(bool)", f)``) and calls the object name ``name``. A signature that Qt
does not know is an error here, where Slicer only prints a line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

METHODS = {
    "sizeHint",
    "minimumSizeHint",
    "singleShot",
    "heightForWidth",
    "devicePixelRatio",
}
"""Names that Qt or callers need as methods: virtual ones, and ``QTimer.singleShot(ms, f)``."""


class Property:
    """A Qt property as a Python attribute."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else _plain(instance.property(self.name))

    def __set__(self, instance: Any, value: Any) -> None:
        meta = instance.metaObject().property(instance.metaObject().indexOfProperty(self.name))
        if not meta.isWritable():
            raise AttributeError(f"{type(instance).__name__}.{self.name} is read-only")
        instance.setProperty(self.name, value)


def _plain(value: Any) -> Any:
    """Tuples for lists, as PythonQt gives QStringList."""
    return tuple(value) if isinstance(value, list) else value


def signal_of(sender: QtCore.QObject, signature: str) -> Any:
    """The signal of a stand-in class that C++ would call ``signature``, or None for a signal of Qt itself."""
    return getattr(sender, getattr(type(sender), "SIGNALS", {}).get(signature, ""), None)


def connect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """``sender.connect("clicked(bool)", f)``, or with a receiver and the C++ name of its slot."""
    function = _slot(*target)
    own = signal_of(sender, signature)
    if own is not None:
        own.connect(function)
        return True
    _known(sender, signature)
    return bool(_connect(sender, QtCore.SIGNAL(signature), function))


def disconnect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """Undoes ``connect``."""
    function = _slot(*target)
    own = signal_of(sender, signature)
    if own is not None:
        own.disconnect(function)
        return True
    _known(sender, signature)
    return bool(_disconnect(sender, QtCore.SIGNAL(signature), function))


def _known(sender: QtCore.QObject, signature: str) -> None:
    meta = sender.metaObject()
    if meta.indexOfSignal(QtCore.QMetaObject.normalizedSignature(signature).data().decode()) < 0:
        raise ValueError(f"{meta.className()} has no signal {signature!r}")


def _slot(*target: Any) -> Callable[..., Any]:
    if len(target) == 1:
        return target[0]
    receiver, slot = target
    return getattr(receiver, slot.split("(")[0])


def connectable(cls: Any) -> Any:
    """Gives a Python class of widgets ``connect`` by signature; a class of PySide6 itself cannot have it."""
    cls.connect, cls.disconnect = connect, disconnect
    return cls


_connect, _disconnect = QtCore.QObject.connect, QtCore.QObject.disconnect


def install() -> None:
    """Gives every class of Qt the look of PythonQt, once."""
    if getattr(QtCore.QObject, "name", None) is not None:
        return
    for cls in _classes():
        _properties(cls)
    base: Any = QtCore.QObject
    base.name = Property("objectName")
    base.className = lambda self: type(self).__name__
    for runner in (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop, QtWidgets.QMessageBox):
        runner.exec_ = runner.exec
    QtCore.QCoreApplication.exec_ = staticmethod(QtCore.QCoreApplication.exec)


def _classes() -> Iterator[type]:
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            cls = getattr(module, name)
            if isinstance(cls, type) and issubclass(cls, QtCore.QObject):
                yield cls


def _properties(cls: Any) -> None:
    """Attributes for the properties that a class itself adds."""
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in METHODS:
            with contextlib.suppress(TypeError):
                setattr(cls, name, Property(name))
