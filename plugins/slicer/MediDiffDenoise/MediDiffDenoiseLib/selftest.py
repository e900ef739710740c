"""SelfTest: what MediDiffDenoiseTest checks, inside Slicer or on stand-ins. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from . import stubworker
from .environment import Machine
from .job import CANCELLED, DONE

SPACING = (0.9, 0.8, 3.0)


class SelfTest:
    """A tiny generated phantom through the whole way; with medidiff where it is installed, else with a stub.

    Mixed into ScriptedLoadableModuleTest, which brings the assertions and `delayDisplay`.
    """

    makeLogic: Callable[[], Any]

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def prepare(self) -> None:
        """An empty scene, a logic, and a worker for it."""
        slicer.mrmlScene.Clear()
        self._folder = tempfile.mkdtemp(prefix="mdtest")
        self._logic = type(self).makeLogic()
        report = self._logic.checkEnvironment()
        self._stubbed = not report.ok
        if self._stubbed:
            self._logic.machine = Machine(pythonPath=stubPython(self._folder))

    def cleanUp(self) -> None:
        """Leaves nothing behind."""
        slicer.mrmlScene.Clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def runTest(self, **_: Any) -> None:
        """Runs every check."""
        for check in (self.checkDenoise, self.checkPreview, self.checkRefusal, self.checkCancel):
            self.prepare()
            try:
                worker = "the stub worker" if self._stubbed else "medidiff"
                self.delayDisplay(f"{check.__name__} with {worker}")
                check()
            finally:
                self.cleanUp()
        self.delayDisplay("MediDiffDenoise: all checks passed")

    def checkDenoise(self) -> None:
        """A CT volume becomes a new, smoother one of the same type, geometry and window; the input stays."""
        volume = phantom()
        before = slicer.util.arrayFromVolume(volume).copy()
        job = self._logic.process(volume, None, modality="CT", makeDifference=True)
        assert job.state == DONE, job.error
        output = slicer.mrmlScene.GetNodeByID(job.outputNodeID)
        after = slicer.util.arrayFromVolume(output)
        assert np.array_equal(before, slicer.util.arrayFromVolume(volume))
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        flat = (slice(None), slice(8, 16), slice(8, 16))
        assert after[flat].std() < before[flat].std()
        assert output.GetSpacing() == volume.GetSpacing()
        assert output.GetDisplayNode().GetWindow() == volume.GetDisplayNode().GetWindow()
        difference = slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(job.differenceNodeID))
        assert float(np.abs(difference - (before.astype(float) - after)).max()) <= 0.001

    def checkPreview(self) -> None:
        """One slice is denoised, the others are copied."""
        volume = phantom()
        before = slicer.util.arrayFromVolume(volume)
        job = self._logic.previewSlice(volume, None, rasPoint=(0.0, 0.0, 3 * SPACING[2]), modality="CT")
        assert job.state == DONE, job.error
        after = slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(job.outputNodeID))
        changed = [k for k in range(len(after)) if not np.array_equal(before[k], after[k])]
        assert changed == [3]

    def checkRefusal(self) -> None:
        """What makes no sense is refused before anything starts, and leaves the scene as it was."""
        volume = phantom()
        count = slicer.mrmlScene.GetNumberOfNodes()
        for wrong in ((None, None), (volume, volume)):
            try:
                self._logic.process(*wrong)
            except ValueError:
                continue
            raise AssertionError(f"{wrong} was not refused")
        assert slicer.mrmlScene.GetNumberOfNodes() == count

    def checkCancel(self) -> None:
        """A cancelled job makes no node."""
        volume = phantom()
        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        job = self._logic.process(volume, None, modality="CT", wait=False)
        job.cancel()
        while job.poll():
            slicer.app.processEvents()
        assert job.state == CANCELLED
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count


def phantom(name: str = "phantom") -> Any:
    """A CT-like volume: a cylinder of soft tissue in air with noise of 20 HU, 16-bit integers."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:24, :24] - 11.5
    values = np.where(x**2 + y**2 < 100, 40.0, -1000.0) + rng.normal(0.0, 20.0, (6, 24, 24))
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(volume, np.rint(values).astype(np.int16))
    volume.SetSpacing(*SPACING)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(400, 40)
    return volume


def stubPython(folder: str, script: str = stubworker.__file__) -> str:
    """Makes a program in a folder that is called like Python and runs a worker's script; returns its path."""
    python = shutil.which("PythonSlicer") or sys.executable
    stub = os.path.abspath(script)
    path = os.path.join(folder, "python.bat" if os.name == "nt" else "python")
    text = f'@"{python}" "{stub}" %*\n' if os.name == "nt" else f'#!/bin/sh\nexec "{python}" "{stub}" "$@"\n'
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path
