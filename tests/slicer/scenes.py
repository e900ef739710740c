"""Scenes of the real MRML core, without the application and its stand-ins."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LEFT_HANDED = ((0.0, 0.6, 0.8), (0.0, 0.8, -0.6), (1.0, 0.0, 0.0))
"""Columns of an oblique grid whose axes make a left hand in RAS."""


def slicer_core() -> Any:
    """The package slicer; without it tests skip, or fail where it is required."""
    if os.environ.get("MEDIDIFF_REQUIRE_SLICER"):
        import slicer
    else:
        slicer = pytest.importorskip("slicer", reason="needs the extra test-slicer")
    return slicer


def new_scene() -> Any:
    """An empty scene, the one that slicer.util works with."""
    slicer = slicer_core()
    slicer.mrmlScene = slicer.vtkMRMLScene()
    return slicer.mrmlScene


@contextmanager
def tidy_scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A scene, and temporary files in a path with a space and an accent, of which none may be left."""
    temporary = folder / "tmp é"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    scene = new_scene()
    slicer_core().vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)  # the application always has one
    yield scene
    assert left_behind() == []


def result(scene: Any, job: Any) -> Any:
    """The output of a job that must have succeeded."""
    from MediDiffDenoiseLib.job import DONE

    assert job.state == DONE, (job.error, job.log)
    return scene.GetNodeByID(job.outputNodeID)


def logic(**machine: Any) -> Any:
    """A logic whose worker is this Python."""
    from MediDiffDenoiseLib.environment import Machine
    from MediDiffDenoiseLib.logic import DenoiseLogic

    found = DenoiseLogic()
    found.machine = Machine(**{"pythonPath": sys.executable, "threads": 1, **machine})
    found.startupEnvironment = lambda: os.environ
    return found


def body(slices: int = 4, side: int = 64, sd: float = 20.0) -> np.ndarray:
    """HU of a disc of soft tissue in air with noise, int16 ``[k, j, i]``."""
    rng = np.random.default_rng(3)
    y, x = np.ogrid[:side, :side]
    inside = np.hypot(y - side / 2, x - side / 2) < 0.42 * side
    noisy = np.where(inside, 40.0, -1000.0) + sd * inside * rng.standard_normal((slices, side, side))
    return np.rint(noisy).astype(np.int16)


def add(scene: Any, voxels: np.ndarray, name: str = "CT chest", axes: Any = None) -> Any:
    """A volume in a scene, with a window and level of its own."""
    slicer = slicer_core()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetSpacing(0.8, 0.7, 2.5)
    node.SetOrigin(-12.5, 30.25, -400.0)
    if axes is not None:
        node.SetIJKToRASDirections(*np.array(axes).T.ravel().tolist())
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(355.0, 45.0)
    return node


def tell_modality(scene: Any, node: Any, modality: str) -> None:
    """Says in the subject hierarchy what the DICOM database would say of a volume."""
    hierarchy = slicer_core().vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)


def voxels(node: Any) -> np.ndarray:
    return slicer_core().util.arrayFromVolume(node)


def matrix(node: Any) -> np.ndarray:
    import vtk

    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    return slicer_core().util.arrayFromVTKMatrix(found)


def state(node: Any) -> tuple[Any, ...]:
    """All of a volume that must not change."""
    shown = node.GetDisplayNode()
    return (
        hashlib.sha256(voxels(node).tobytes()).hexdigest(), voxels(node).dtype, matrix(node).tobytes(),
        node.GetName(), node.GetTransformNodeID(), shown.GetWindow(), shown.GetLevel(),
        tuple((name, node.GetAttribute(name)) for name in node.GetAttributeNames()),
    )  # fmt: skip


def volumes(scene: Any) -> list[str]:
    """Names of the volumes of a scene."""
    found = scene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    found.UnRegister(None)
    return [found.GetItemAsObject(n).GetName() for n in range(found.GetNumberOfItems())]


def left_behind() -> list[str]:
    """Temporary files and folders of jobs."""
    return os.listdir(tempfile.gettempdir())


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
