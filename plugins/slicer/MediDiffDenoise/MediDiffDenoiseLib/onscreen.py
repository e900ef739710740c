"""What is on screen and in the scene, as the panel wants to know it."""

from __future__ import annotations

import logging
from typing import Any

import slicer


def firstVolume() -> Any:
    """The volume in the Red view, else the first one of the scene, else None."""
    manager = slicer.app.layoutManager()
    view = manager.sliceWidget("Red") if manager is not None else None
    if view is not None:
        layers = view.sliceLogic().GetSliceCompositeNode()
        shown = slicer.mrmlScene.GetNodeByID(layers.GetBackgroundVolumeID() or "")
        if shown is not None and shown.GetClassName() == "vtkMRMLScalarVolumeNode":
            return shown
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((n for n in nodes if n.GetClassName() == "vtkMRMLScalarVolumeNode"), None)


def redPoint() -> tuple[float, float, float] | None:
    """The middle of the Red view in RAS; None without views."""
    manager = slicer.app.layoutManager()
    view = manager.sliceWidget("Red") if manager is not None else None
    if view is None:
        return None
    matrix = view.mrmlSliceNode().GetSliceToRAS()
    return tuple(matrix.GetElement(row, 3) for row in range(3))


def isSequenceFrame(volume: Any) -> bool:
    """Whether a sequence browser shows one of its frames in this volume."""
    sequences = getattr(slicer.modules, "sequences", None)
    if volume is None or sequences is None:
        return False
    try:
        return sequences.logic().GetFirstBrowserNodeForProxyNode(volume) is not None
    except AttributeError:
        logging.debug("MediDiff: this Slicer's sequences cannot be asked")
        return False


def voxelsOf(volume: Any) -> int:
    """Number of voxels of a volume; 0 without one."""
    image = volume.GetImageData() if volume is not None else None
    return int(image.GetNumberOfPoints()) if image is not None else 0
