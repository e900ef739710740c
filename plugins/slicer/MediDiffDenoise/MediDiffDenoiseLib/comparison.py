"""Comparison: input and result in two linked views, or one faded over the other; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from .volumes import same_window

INPUT, RESULT = "Red", "Yellow"
"""The two views of Slicer's side-by-side layout. A layout of our own would leave no view at all where a scene
that was saved with it is opened without this module."""


@dataclass
class View:
    """What is put back into a view afterwards."""

    plane: Any
    field: tuple[float, ...]
    background: str | None
    foreground: str | None
    opacity: float
    linked: int
    hot: int


class Comparison:
    """Arranges the slice views, and brings them back as they were."""

    def __init__(self) -> None:
        self._layout: int | None = None
        self._views: dict[str, View] = {}

    @property
    def active(self) -> bool:
        """Whether there is something to restore."""
        return self._layout is not None

    def sideBySide(self, left: Any, right: Any, *, sameWindow: bool = True) -> bool:
        """Shows two volumes in linked views at the same place.

        Args:
            left: the input.
            right: the result, the difference or the uncertainty.
            sameWindow: give the right volume the window of the left one.

        Returns:
            False where there are no views (no main window).
        """
        if not self._open():
            return False
        if sameWindow:
            same_window(right, left)
        # Linked views follow each other's changes, so that the layers must be set before they are linked.
        for name in (INPUT, RESULT):
            self._composite(name).SetLinkedControl(False)
        self._layers(INPUT, left, None, 0.0)
        self._layers(RESULT, right, None, 0.0)
        self._align()
        for name in (INPUT, RESULT):
            self._composite(name).SetLinkedControl(True)
            self._composite(name).SetHotLinkedControl(True)
        return True

    def fade(self, back: Any, front: Any, opacity: float) -> bool:
        """Shows one volume over the other in every view; `opacity` 0 is the back one."""
        if slicer.app.layoutManager() is None:
            return False
        self._remember()
        same_window(front, back)
        slicer.util.setSliceViewerLayers(background=back, foreground=front, foregroundOpacity=opacity)
        return True

    def restore(self) -> None:
        """Brings layout, layers, planes and links back."""
        manager = slicer.app.layoutManager()
        if self._layout is None or manager is None:
            return
        manager.setLayout(self._layout)
        for name, view in self._views.items():
            self._restoreView(name, view)
        self.forget()

    def forget(self) -> None:
        """Nothing is to be restored any more: the scene was closed."""
        self._layout, self._views = None, {}

    def _open(self) -> bool:
        """Goes to the layout of two views."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return False
        self._remember()
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
        return self._widget(INPUT) is not None and self._widget(RESULT) is not None

    def _remember(self) -> None:
        """Keeps the state of all views, unless a comparison is shown already."""
        if self.active:
            return
        manager = slicer.app.layoutManager()
        self._layout = manager.layout
        for name in manager.sliceViewNames():
            node, composite = self._node(name), self._composite(name)
            matrix = vtk.vtkMatrix4x4()
            matrix.DeepCopy(node.GetSliceToRAS())
            self._views[name] = View(
                matrix,
                tuple(node.GetFieldOfView()),
                composite.GetBackgroundVolumeID(),
                composite.GetForegroundVolumeID(),
                composite.GetForegroundOpacity(),
                composite.GetLinkedControl(),
                composite.GetHotLinkedControl(),
            )

    def _restoreView(self, name: str, view: View) -> None:
        if self._widget(name) is None:
            return
        node, composite = self._node(name), self._composite(name)
        composite.SetLinkedControl(False)
        known = slicer.mrmlScene.GetNodeByID
        for wanted, put in (
            (view.background, composite.SetBackgroundVolumeID),
            (view.foreground, composite.SetForegroundVolumeID),
        ):
            put(wanted if wanted and known(wanted) is not None else None)
        composite.SetForegroundOpacity(view.opacity)
        node.GetSliceToRAS().DeepCopy(view.plane)
        node.UpdateMatrices()
        node.SetFieldOfView(*view.field)
        composite.SetLinkedControl(view.linked)
        composite.SetHotLinkedControl(view.hot)

    def _align(self) -> None:
        """Gives the right view the plane, place and zoom of the left one."""
        self._widget(INPUT).sliceLogic().FitSliceToBackground()
        left, right = self._node(INPUT), self._node(RESULT)
        right.GetSliceToRAS().DeepCopy(left.GetSliceToRAS())
        right.UpdateMatrices()
        right.SetFieldOfView(*left.GetFieldOfView())

    def _layers(self, name: str, background: Any, foreground: Any, opacity: float) -> None:
        composite = self._composite(name)
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(opacity)

    @staticmethod
    def _widget(name: str) -> Any:
        return slicer.app.layoutManager().sliceWidget(name)

    def _node(self, name: str) -> Any:
        return self._widget(name).mrmlSliceNode()

    def _composite(self, name: str) -> Any:
        return self._widget(name).sliceLogic().GetSliceCompositeNode()
