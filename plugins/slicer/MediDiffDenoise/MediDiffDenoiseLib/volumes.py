"""Volumes: nodes to NRRD files and back, and results as nodes. Needs slicer, vtk and numpy.

NRRD through the storage node keeps voxels exactly and the geometry to 4e-15, and RAS or LPS signs live in its
header alone. `slicer.util.loadVolume` and `saveNode` need the application, which a script may not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

STORED = (
    vtk.VTK_CHAR, vtk.VTK_UNSIGNED_CHAR, vtk.VTK_SHORT, vtk.VTK_UNSIGNED_SHORT, vtk.VTK_INT,
    vtk.VTK_UNSIGNED_INT, vtk.VTK_LONG, vtk.VTK_UNSIGNED_LONG, vtk.VTK_FLOAT, vtk.VTK_DOUBLE,
)  # fmt: skip
"""Types of voxels that Slicer can write to a file; of others it makes none, and says so in its log alone."""

ORTHOGONAL = 1e-4
"""As in medidiff: how far the cosines between the axes may be from 0 for a grid that is not sheared."""

GEOMETRY = 1e-3
"""Millimetres that a voxel of the result may lie away from that of the input."""


def problem(node: Any, output: Any = None) -> str:
    """Why a volume cannot be denoised into another, one sentence; empty if it can. Cheap."""
    if node is None:
        return "Choose an input volume."
    for volume, word in ((node, "input"), (output, "output")):
        if volume is None:
            continue
        if not volume.IsA("vtkMRMLScalarVolumeNode") or volume.IsA("vtkMRMLLabelMapVolumeNode"):
            return f"The {word} '{volume.GetName()}' is no scalar volume."
        if volume.GetScene() is None:
            return f"The {word} volume is not in the scene."
    image = node.GetImageData()
    if image is None or not all(n > 0 for n in image.GetDimensions()) or not image.GetNumberOfPoints():
        return f"The input '{node.GetName()}' is empty."
    if image.GetPointData().GetScalars() is None:
        return f"The input '{node.GetName()}' has no voxels."
    if image.GetNumberOfScalarComponents() != 1:
        return f"The input '{node.GetName()}' has {image.GetNumberOfScalarComponents()} components, not one."
    if image.GetScalarType() not in STORED:
        kind = image.GetScalarTypeAsString()
        return f"The input '{node.GetName()}' is of type {kind}. Convert it first: Cast Scalar Volume."
    if output is not None and output.GetID() == node.GetID():
        return "The output must be another volume than the input, which is never changed."
    return ""


def matrix(node: Any) -> np.ndarray:
    """IJKToRAS ``[4, 4]``."""
    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    return slicer.util.arrayFromVTKMatrix(found)


def export(node: Any, path: Path) -> np.ndarray:
    """Writes a volume as an uncompressed NRRD file, its own geometry without any parent transform.

    A sheared grid, as Slicer gives the slices of a tilted gantry, goes as the upright one with the same
    spacing: medidiff takes none from a file, and works on the voxels, which are the same.

    Returns:
        IJKToRAS of the file ``[4, 4]``.

    Raises:
        OSError: it cannot be written.
    """
    ijk_to_ras = upright(matrix(node))
    if not np.array_equal(ijk_to_ras, matrix(node)):
        image, node = node.GetImageData(), slicer.vtkMRMLScalarVolumeNode()
        node.SetAndObserveImageData(image)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.UseCompressionOff()
    if not storage.WriteData(node) or not path.is_file():
        raise OSError(f"The volume could not be written to {path}. Is the disk full?")
    return ijk_to_ras


def upright(ijk_to_ras: np.ndarray) -> np.ndarray:
    """A grid without shear: the first axis stays, the others are turned until all angles are right.

    Args:
        ijk_to_ras: ``[4, 4]``; returned as it is where it is not sheared.
    """
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    axes = ijk_to_ras[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() <= ORTHOGONAL:
        return ijk_to_ras
    turned, rest = np.linalg.qr(axes)
    found = ijk_to_ras.copy()
    found[:3, :3] = turned * np.sign(np.diag(rest)) * spacing  # QR leaves the signs open
    return found


def load(path: Path) -> Any:
    """A volume that is in no scene, from a file.

    Slicer turns a left-handed grid round on reading, unless it is told not to (5.12; earlier ones never did):
    such a result would no longer lie on its input.

    Raises:
        OSError: it cannot be read.
    """
    node = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    if hasattr(storage, "ForceRightHandedIJKCoordinateSystemOff"):
        storage.ForceRightHandedIJKCoordinateSystemOff()
    storage.SetFileName(str(path))
    if not path.is_file() or not storage.ReadData(node) or node.GetImageData() is None:
        raise OSError(f"The result {path.name} cannot be read.")
    return node


def check_geometry(result: Any, shape: tuple[int, ...], ijk_to_ras: np.ndarray) -> None:
    """Makes sure that a result lies on the voxels of its input.

    Raises:
        ValueError: it does not.
    """
    found = slicer.util.arrayFromVolume(result).shape
    if found != shape:
        raise ValueError(f"The result has another size than the input: {found} instead of {shape}.")
    corner = np.array([*found[::-1], 1.0])
    offsets = np.abs((matrix(result) - ijk_to_ras) @ np.stack([corner, [0.0, 0.0, 0.0, 1.0]], axis=1))
    if offsets.max() > GEOMETRY:
        raise ValueError(f"The result lies {offsets.max():.3g} mm away from the input.")


def new_like(source: Any, name: str) -> Any:
    """A new volume with geometry, transform and display of another, beside it in the subject hierarchy.

    `CloneVolume` copies the attributes too, DICOM.instanceUIDs among them; see `provenance.mark`.
    """
    scene = source.GetScene()
    if scene.GetFirstNodeByName(name) is not None:
        name = scene.GenerateUniqueName(name)
    node = slicer.vtkSlicerVolumesLogic().CloneVolume(scene, source, name)
    if node is None:
        raise RuntimeError("Slicer could not copy the input volume.")
    node.SetAndObserveStorageNodeID(None)
    _same_units(node, source)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    _place_beside(scene, source, node)
    return node


def remove(node: Any) -> None:
    """Takes a volume out of the scene, and its display with it, which the scene would keep."""
    scene = node.GetScene()
    for shown in [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]:
        if shown is not None:
            scene.RemoveNode(shown)
    scene.RemoveNode(node)


def overwrite_geometry(target: Any, source: Any) -> None:
    """Gives a volume that the user chose the geometry, transform and units of another."""
    target.CopyOrientation(source)
    target.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    _same_units(target, source)
    if target.GetDisplayNode() is None:
        target.CreateDefaultDisplayNodes()


def set_voxels(node: Any, voxels: np.ndarray) -> None:
    """Gives a volume voxels ``[k, j, i]`` of its own: what it had is not written over in place."""
    node.SetAndObserveImageData(None)
    slicer.util.updateVolumeFromArray(node, voxels)


def same_window(target: Any, source: Any) -> None:
    """Shows a volume with the window, level and colours of another."""
    shown, model = target.GetDisplayNode(), source.GetDisplayNode()
    if shown is None or model is None:
        return
    window, level = model.GetWindow(), model.GetLevel()
    shown.SetAndObserveColorNodeID(model.GetColorNodeID())
    shown.SetAutoWindowLevel(False)
    shown.SetWindowLevel(window, level)


def set_window(node: Any, low: float, high: float) -> None:
    """Shows values from low to high in grey."""
    shown = node.GetDisplayNode()
    shown.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    shown.SetAutoWindowLevel(False)
    shown.SetThreshold(low, high)
    shown.SetApplyThreshold(False)
    shown.SetWindowLevel(max(high - low, 1e-6), 0.5 * (low + high))


def _same_units(target: Any, source: Any) -> None:
    """What the values mean, such as Hounsfield units: `CloneVolume` leaves it behind."""
    for told, tell in (
        (source.GetVoxelValueUnits(), target.SetVoxelValueUnits),
        (source.GetVoxelValueQuantity(), target.SetVoxelValueQuantity),
    ):
        entry = slicer.vtkCodedEntry() if told is not None else None
        if entry is not None:
            entry.Copy(told)
        tell(entry)


def _place_beside(scene: Any, source: Any, node: Any) -> None:
    """Puts a node into the folder or study of another; without the application there may be no items."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(source) if hierarchy is not None else 0
    if not item:
        return
    parent = hierarchy.GetItemParent(item)
    own = hierarchy.GetItemByDataNode(node)
    if own:
        hierarchy.SetItemParent(own, parent)
    else:
        hierarchy.CreateItem(parent, node)
