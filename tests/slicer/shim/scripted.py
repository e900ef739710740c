"""``slicer.ScriptedLoadableModule``, ``slicer.i18n``: base classes of a scripted module, and its loader."""

from __future__ import annotations

import importlib
import os
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtWidgets


class ScriptedLoadableModule:
    """Metadata of a module."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText, parent.acknowledgementText = "", ""

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        """A sentence with a link."""
        return f"<p>Documentation of {self.moduleName}</p>"

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Runs the self-test of the module."""
        test = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")
        test().runTest(msec=msec, **kwargs)


class ScriptedLoadableModuleWidget:
    """The panel; without a parent it makes one, as Slicer does."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        if parent is None:
            parent = slicer.qMRMLWidget()
            QtWidgets.QVBoxLayout(parent)
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename: str) -> str:
        """Path of a resource."""
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def setup(self) -> None:
        """Makes the panel; Slicer adds the reload buttons here."""

    def cleanup(self) -> None:
        """The widget goes."""

    def enter(self) -> None:
        """The module is shown."""

    def exit(self) -> None:
        """Another module is shown."""


class ScriptedLoadableModuleLogic:
    """The logic and its parameter node."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        """The module's one parameter node, made where it is missing."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A self-test: the subclass overrides ``setUp`` and ``runTest``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messages: list[str] = []

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        """A message to the user, with time for the application."""
        self.messages.append(message)
        slicer.app.processEvents()

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Runs all; a subclass overrides it."""
        raise NotImplementedError("The module's test has no runTest")


def load(folder: Path, name: str) -> Any:
    """Loads a module as the application does at its start.

    Args:
        folder: the folder of the module.
        name: its name.

    Returns:
        the Python module; ``slicer.modules`` knows it afterwards.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    code = importlib.import_module(name)
    parent = types.SimpleNamespace(path=str(folder / f"{name}.py"), name=name)
    parent.module = getattr(code, name)(parent)
    setattr(slicer.modules, name.lower(), parent)
    return code


def install() -> None:
    """Makes the modules importable."""
    base: Any = types.ModuleType("slicer.ScriptedLoadableModule")
    names = ["ScriptedLoadableModule" + end for end in ("", "Widget", "Logic", "Test")]
    vars(base).update({name: globals()[name] for name in names}, __all__=names)
    words: Any = types.ModuleType("slicer.i18n")
    words.tr = lambda text: text
    words.translate = lambda context, text: text
    for module in (base, words):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.split(".")[1], module)
