"""``slicer.app``, its layout manager and ``slicer.modules``, on the real MRML logic of slicer-core."""

from __future__ import annotations

import types
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from shim.pythonqt import connectable

VIEWS = ("Red", "Green", "Yellow")


class SliceWidget:
    """What a slice view knows of MRML; it draws nothing."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        """The real slice logic."""
        return self._logic

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        """The node that names the layers."""
        return self._logic.GetSliceCompositeNode()


class LayoutManager:
    """Layouts by number, made by the real layout logic, and the slice views of every layout."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._application = slicer.vtkMRMLApplicationLogic()
        self._application.SetMRMLScene(scene)
        self._logics = vtk.vtkCollection()
        self._application.SetSliceLogics(self._logics)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self._links = slicer.vtkMRMLSliceLinkLogic()
        self._links.SetMRMLApplicationLogic(self._application)
        self._links.SetMRMLScene(scene)
        self._widgets: dict[str, SliceWidget] = {}
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    @property
    def layout(self) -> int:
        """Number of the layout."""
        return int(self._logic.GetLayoutNode().GetViewArrangement())

    @layout.setter
    def layout(self, number: int) -> None:
        self.setLayout(number)

    def setLayout(self, number: int) -> None:
        """Goes to a layout; an unknown one is an error, where Slicer would show nothing."""
        node = self._logic.GetLayoutNode()
        if not node.IsLayoutDescription(number):
            raise ValueError(f"There is no layout {number}")
        node.SetViewArrangement(number)
        for name in self.sliceViewNames():
            self.sliceWidget(name)

    def layoutLogic(self) -> Any:
        """The real layout logic."""
        return self._logic

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of the slice views."""
        nodes = self._scene.GetNodesByClass("vtkMRMLSliceNode")
        nodes.UnRegister(None)
        return tuple(nodes.GetItemAsObject(i).GetLayoutName() for i in range(nodes.GetNumberOfItems()))

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """The view of a name, or None."""
        node = self._scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        if node is None:
            return None
        known = self._widgets.get(name)
        if known is None or known.mrmlSliceNode() is not node:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self._application)
            logic.SetMRMLScene(self._scene)
            logic.SetSliceNode(node)
            self._logics.AddItem(logic)
            self._widgets[name] = known = SliceWidget(logic)
        return known

    def mrmlSliceLogics(self) -> Any:
        """Every slice logic made so far."""
        return self._logics

    def resetSliceViews(self) -> None:
        """Fits the views to their volumes."""
        for index in range(self._logics.GetNumberOfItems()):
            self._logics.GetItemAsObject(index).FitSliceToBackground()


@connectable
class Application(QtWidgets.QApplication):
    """The application, without windows of its own and always in testing mode: no message box opens."""

    applicationName = "3D Slicer stand-in"
    majorVersion, minorVersion, slicerHome = 5, 12, ""

    def __init__(self) -> None:
        super().__init__(["medidiff-tests"])
        self.environment: QtCore.QProcessEnvironment | None = None
        self._layouts: LayoutManager | None = None
        self.logics: list[Any] = []

    def layoutManager(self) -> LayoutManager | None:
        """The layout manager; None where there is no main window."""
        return self._layouts

    def attach(self, layouts: LayoutManager | None) -> None:
        """Sets the layout manager."""
        self._layouts = layouts

    def mrmlScene(self) -> Any:
        """The scene."""
        return slicer.mrmlScene

    def testingEnabled(self) -> bool:
        """Whether message boxes are only logged."""
        return True

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """The environment before the launcher changed it."""
        return self.environment or QtCore.QProcessEnvironment.systemEnvironment()

    def settings(self) -> QtCore.QSettings:
        """The settings of the user."""
        return QtCore.QSettings()

    userSettings = settings


def new_scene() -> Any:
    """A fresh ``slicer.mrmlScene`` with all that hangs on it, as after the start of the application."""
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    logic = slicer.vtkSlicerVolumesLogic()
    logic.SetMRMLScene(scene)
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)  # makes the colour tables that display nodes name
    volumes = types.SimpleNamespace(name="Volumes", logic=lambda: logic)
    slicer.modules = types.SimpleNamespace(volumes=volumes)
    slicer.app.attach(LayoutManager(scene))
    slicer.app.logics = [logic, colours]
    return scene
