"""Stand-ins for what 3D Slicer adds to its MRML core: Qt by PythonQt, CTK, MRML widgets, scripted modules.

All of it is this project's code and serves the tests alone. The scene, its nodes and ``slicer.util`` are the
real ones of slicer-core. A stand-in is stricter than the real thing where that one would only print a line,
and proves nothing about how Slicer itself draws or behaves.
"""

from __future__ import annotations

import sys
from pathlib import Path


def install(folder: Path) -> None:
    """Makes ``qt``, ``ctk`` and the rest of ``slicer`` importable, and starts the application, once.

    Args:
        folder: where settings are kept.
    """
    import slicer
    from PySide6 import QtCore

    if "qt" in sys.modules:
        return
    from shim import pythonqt, qt_module

    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, str(folder))
    pythonqt.install()
    sys.modules["qt"] = qt_module.make()
    from shim import application, ctk_module, mrml_widgets, parameters, scripted

    sys.modules["ctk"] = ctk_module.make()
    mrml_widgets.install()
    qt_module.QUiLoader.classes.update({**ctk_module.CLASSES, **mrml_widgets.CLASSES})
    scripted.install()
    parameters.install()
    slicer.app = application.Application()
    QtCore.QCoreApplication.setOrganizationName("medidiff-tests")
    application.new_scene()
