"""Comparison: input and result in two linked views, or one faded over the other; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from .region import Place
from .volumes import same_window

INPUT, RESULT = "Red", "Yellow"
"""The two views of Slicer's side-by-side layout. A layout of our own would leave no view at all where a scene
that was saved with it is opened without this module."""

ORIENTATIONS = "Sagittal", "Coronal", "Axial"
"""By the axis of RAS that is their normal."""

PARALLEL = 0.9999
"""Cosine from which on two planes are one: a slice of some millimetres is seen whole."""


@dataclass
class View:
    """What is put back into a view afterwards."""

    plane: Any
    field: tuple[float, ...]
    origin: tuple[float, ...]
    background: str | None
    foreground: str | None
    opacity: float
    linked: int
    hot: int


class Comparison(VTKObservationMixin):
    """Arranges the slice views, and brings them back as they were."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._pair: tuple[Any, Any] | None = None
        self._layout: int | None = None
        self._views: dict[str, View] = {}

    @property
    def active(self) -> bool:
        """Whether there is something to restore."""
        return self._layout is not None

    def sideBySide(
        self, left: Any, right: Any, *, sameWindow: bool = True, place: Place | None = None
    ) -> bool:
        """Shows two volumes in linked views at the same place.

        Args:
            left: the input. Where the left view shows it already, slice, zoom and pan stay as they are.
            right: the result, the difference or the uncertainty.
            sameWindow: give the right volume the window of the left one, as long as they are compared.
            place: the slice to be seen; None for the one that is.

        Returns:
            False where there are no views (no main window).
        """
        if not self._open():
            return False
        seen = self._seen(left)
        self._share_window((left, right) if sameWindow else None)
        # Linked views follow each other's changes, so that the layers must be set before they are linked.
        for name in (INPUT, RESULT):
            self._composite(name).SetLinkedControl(False)
        self._layers(INPUT, left, None, 0.0)
        self._layers(RESULT, right, None, 0.0)
        self._align(left, seen, place)
        for name in (INPUT, RESULT):
            self._composite(name).SetLinkedControl(True)
            self._composite(name).SetHotLinkedControl(True)
        return True

    def fade(self, back: Any, front: Any, opacity: float) -> bool:
        """Shows one volume over the other in every view; `opacity` 0 is the back one.

        The layout is that of before, but the left view stays where it is: the user may have found something.
        """
        if slicer.app.layoutManager() is None:
            return False
        here = self._view(INPUT) if self.active and self._widget(INPUT) is not None else None
        self.restore()
        self._remember()
        if here is not None:
            self._put(self._node(INPUT), here)
        self._share_window((back, front))
        slicer.util.setSliceViewerLayers(background=back, foreground=front, foregroundOpacity=opacity)
        return True

    def setOpacity(self, opacity: float) -> None:
        """Fades further, in views that may have been moved meanwhile."""
        slicer.util.setSliceViewerLayers(foregroundOpacity=opacity)

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
        self._share_window(None)
        self._layout, self._views = None, {}

    def _share_window(self, pair: tuple[Any, Any] | None) -> None:
        """Gives a second volume the window of the first, and each that of the other when it is changed."""
        self.removeObservers()
        self._pair = pair
        if pair is None:
            return
        same_window(pair[1], pair[0])
        for shown in dict.fromkeys(volume.GetDisplayNode() for volume in pair):
            if shown is not None:
                self.addObserver(shown, vtk.vtkCommand.ModifiedEvent, self._windowChanged)

    def _windowChanged(self, caller: Any, event: Any) -> None:
        pair, self._pair = self._pair, None  # what follows changes a window too
        if pair is None:
            return
        one, other = pair if caller is pair[0].GetDisplayNode() else pair[::-1]
        same_window(other, one)
        self._pair = pair

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
            self._views[name] = self._view(name)

    def _view(self, name: str) -> View:
        """The state of a view."""
        node, composite = self._node(name), self._composite(name)
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(node.GetSliceToRAS())
        return View(
            matrix,
            tuple(node.GetFieldOfView()),
            tuple(node.GetXYZOrigin()),
            composite.GetBackgroundVolumeID(),
            composite.GetForegroundVolumeID(),
            composite.GetForegroundOpacity(),
            composite.GetLinkedControl(),
            composite.GetHotLinkedControl(),
        )

    def _restoreView(self, name: str, view: View) -> None:
        if self._widget(name) is None:
            return
        composite = self._composite(name)
        composite.SetLinkedControl(False)
        known = slicer.mrmlScene.GetNodeByID
        for wanted, put in (
            (view.background, composite.SetBackgroundVolumeID),
            (view.foreground, composite.SetForegroundVolumeID),
        ):
            put(wanted if wanted and known(wanted) is not None else None)
        composite.SetForegroundOpacity(view.opacity)
        self._put(self._node(name), view)
        composite.SetLinkedControl(view.linked)
        composite.SetHotLinkedControl(view.hot)

    @staticmethod
    def _put(node: Any, view: View) -> None:
        """Gives a view the plane, place, zoom and pan of another."""
        node.GetSliceToRAS().DeepCopy(view.plane)
        node.UpdateMatrices()
        node.SetFieldOfView(*view.field)
        node.SetXYZOrigin(*view.origin)

    def _seen(self, volume: Any) -> bool:
        """Whether the left view shows a slice of a volume."""
        if self._composite(INPUT).GetBackgroundVolumeID() != volume.GetID():
            return False
        found = [0.0] * 6
        volume.GetRASBounds(found)
        plane = slicer.util.arrayFromVTKMatrix(self._node(INPUT).GetSliceToRAS())
        heights = (np.array(list(product(found[:2], found[2:4], found[4:]))) - plane[:3, 3]) @ plane[:3, 2]
        return bool(heights.min() <= 0 <= heights.max())

    def _align(self, volume: Any, seen: bool, place: Place | None) -> None:
        """Brings the left view to a place, and the right one beside it."""
        node = self._node(INPUT)
        if place is not None:
            normal = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 2]
            if abs(normal @ place.normal) < PARALLEL:
                node.SetOrientation(ORIENTATIONS[int(np.abs(place.normal).argmax())])
                node.RotateToVolumePlane(volume)
                seen = False
        if not seen:
            self._widget(INPUT).sliceLogic().FitSliceToBackground()
        if place is not None:
            node.JumpSliceByOffsetting(*place.point)
        self._put(self._node(RESULT), self._view(INPUT))

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
