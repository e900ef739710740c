"""Panel: the module's widgets, parameters and jobs, tied together."""

from __future__ import annotations

import logging
import os
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from .command import PRESETS
from .comparesection import CompareSection
from .job import DONE
from .jobdriver import JobDriver
from .logbox import LogBox
from .machinesection import MachineSection
from .modelbox import ModelBox
from .onscreen import firstVolume, isSequenceFrame, redPoint, voxelsOf
from .parameters import bound, load
from .provenance import SOURCE
from .readiness import PRESET_HINTS, blocked, cautions
from .region import fit
from .runsection import RunSection


class Panel(VTKObservationMixin):
    """Answers what the user does; the work is the logic's.

    Args:
        ui: the widgets of MediDiffDenoise.ui by name.
        logic: MediDiffDenoiseLogic.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self.logic = ui, logic
        self.parameters: Any = None
        self._node: Any = None
        self._gui: Any = None
        self._previewID, self.resultID = "", ""
        self._exportKey: Any = ()
        self._watched: list[Any] = []
        self.driver = JobDriver(self._jobChanged, self._crashed)
        self.log, self.run = LogBox(ui), RunSection(ui)
        self.compare = CompareSection(ui)
        self.machine = MachineSection(ui, logic, self.refresh)
        self.models = ModelBox(ui.modelComboBox, self._setModel)
        ui.applyButton.connect("clicked()", self.apply)
        ui.previewButton.connect("clicked()", self.preview)
        ui.cancelButton.connect("clicked()", self.driver.cancel)
        ui.exportDicomButton.connect("clicked()", self.export)
        ui.presetComboBox.connect("activated(int)", self._presetChosen)

    # What Slicer tells -------------------------------------------------------

    def enter(self) -> None:
        """The module is shown."""
        self.bind()
        self.machine.checkOnce()

    def exit(self) -> None:
        """Another module is shown; a job goes on."""
        self._unbind()

    def sceneClosing(self) -> None:
        """The scene is about to go, and the volumes of the job with it."""
        self.driver.cancel()
        self._unbind()
        self.compare.forget()
        self.resultID = self._previewID = ""

    def kill(self) -> None:
        """The module or the application goes: no process stays behind."""
        self.driver.kill()
        self.machine.kill()
        self.compare.comparison.forget()
        self._unbind()
        self.removeObservers()

    def bind(self) -> None:
        """Ties the widgets to the scene's parameter node, again if they are: a scene may have been loaded."""
        node = self.logic.getParameterNode()
        self._unbind()
        self._node, self.parameters = node, load(node)
        if self.parameters.inputVolume is None:
            self.parameters.inputVolume = firstVolume()
        self._gui = self.parameters.connectParametersToGui(bound(self.ui))
        self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self.refresh()

    def _unbind(self) -> None:
        if self.parameters is not None:
            self.parameters.disconnectGui(self._gui)
            self.removeObserver(self._node, vtk.vtkCommand.ModifiedEvent, self.refresh)
        self._watch()
        self.parameters = self._node = self._gui = None

    def _watch(self, *nodes: Any) -> None:
        """Follows the chosen nodes: a region is moved, a volume gets its voxels or another name."""
        wanted = [node for node in dict.fromkeys(nodes) if node is not None]
        if wanted == self._watched:
            return
        self.removeObservers(self._nodeChanged)
        for node in wanted:
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._nodeChanged)
        self._watched = wanted

    def _nodeChanged(self, *_: Any) -> None:
        self.refresh()

    # What the user does ------------------------------------------------------

    def apply(self) -> None:
        """Denoises the volume."""
        p = self.parameters

        def begin(settings: dict[str, Any]) -> Any:
            more = {"roi": p.roi, "makeDifference": p.makeDifference, "wait": False}
            return self.logic.process(p.inputVolume, p.outputVolume, **more, **settings)

        self._start(begin)

    def preview(self) -> None:
        """Denoises the slice of the Red view, into the last preview if it is one of the same volume."""
        p = self.parameters

        def begin(settings: dict[str, Any]) -> Any:
            last = slicer.mrmlScene.GetNodeByID(self._previewID) if self._previewID else None
            same = last is not None and last.GetAttribute(SOURCE) == p.inputVolume.GetID()
            more = {"rasPoint": redPoint(), "wait": False}
            return self.logic.previewSlice(p.inputVolume, last if same else None, **more, **settings)

        self._start(begin)

    def export(self) -> None:
        """Writes the result as a derived DICOM series, into a folder that the user chooses."""
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), "Folder for the derived DICOM series"
        )
        if folder:
            volume = self.exportVolume()
            self._start(lambda settings: self.logic.startExport(volume, folder), needsReady=False)

    def exportVolume(self) -> Any:
        """The volume that would be exported: the output chosen, else the last result."""
        chosen = self.parameters.outputVolume if self.parameters is not None else None
        return chosen or (slicer.mrmlScene.GetNodeByID(self.resultID) if self.resultID else None)

    def _start(self, begin: Any, *, needsReady: bool = True) -> None:
        """Begins a job, unless one runs: a second click may come before the button is hidden."""
        if self.driver.busy or self.parameters is None or (needsReady and self.reason()):
            return
        p = self.parameters
        settings = {n: getattr(p, n) for n in ("model", "modality", "preset", "strength", "seed", "device")}
        settings["steps"] = p.steps if p.preset != "fast" else None
        self.run.preparing()
        try:
            job = begin(settings)
        except (ValueError, OSError, RuntimeError) as error:  # nothing has started: no job can tell
            self.run.error(str(error), "", "")
            self.refresh()
            return
        except Exception as error:  # a click only prints it, and "Preparing" would stay
            logging.exception("MediDiff: the run could not begin")
            self._crashed(error)
            return
        self.driver.start(job)

    def _presetChosen(self, _: int) -> None:
        """The user chose a preset: its own number of steps goes with it."""
        if self.parameters is not None:
            self.parameters.steps = PRESETS[self.parameters.preset].steps

    def _setModel(self, name: str) -> None:
        if self.parameters is not None:
            self.parameters.model = name

    # What the job does -------------------------------------------------------

    def _jobChanged(self, job: Any) -> None:
        self.log.show(job.log)
        if self.driver.busy:
            self.run.show(job)
            return
        self.run.over(job, self._finished(job) if job.state == DONE else "")
        self.refresh()

    def _finished(self, job: Any) -> str:
        """Takes what a job has made, and says it."""
        if job.kind == "export":
            return f"{len(job.files)} DICOM files in {os.path.dirname(job.files[0])}"
        self.logic.machine.lastDevice = job.device
        if job.kind == "preview":
            self._previewID = job.outputNodeID
        else:
            self.resultID = job.outputNodeID
        wanted = self.parameters is not None and (job.kind == "preview" or self.parameters.showComparison)
        self.compare.offer(job, show=wanted)  # not while another module is shown: the views are its
        made = f"'{slicer.mrmlScene.GetNodeByID(job.outputNodeID).GetName()}'"
        return f"{made}, noise level {job.noise}" if job.noise else made

    def _crashed(self, error: Exception) -> None:
        self.run.error("The run was given up because of an error in this module.", str(error), repr(error))
        self.refresh()

    # What is shown -----------------------------------------------------------

    def reason(self) -> str:
        """Why Apply cannot be pressed; empty if it can."""
        p = self.parameters
        if p is None:
            return "The scene is being closed."
        return self.logic.checkProblem(p.inputVolume, p.outputVolume, p.roi) or blocked(
            self.machine.report, model=p.model, modality=p.modality, device=p.device
        )

    def refresh(self, *_: Any) -> None:
        """Shows parameters, report and what can be pressed. Cheap: it is called on every change."""
        p, ui = self.parameters, self.ui
        self.log.environment = self.machine.report.log if self.machine.report is not None else ""
        if p is None or self.driver.busy:
            return
        self._watch(p.inputVolume, p.outputVolume, p.roi)
        if p.roi is not None and p.inputVolume is not None and not slicer.mrmlScene.IsBatchProcessing():
            fit(p.roi, p.inputVolume)
        self.models.show(self.machine.report, p.modality, p.model)
        ui.presetHintLabel.text = PRESET_HINTS.get(p.preset, "")  # while a scene of another version is read
        ui.stepsSpinBox.enabled = p.preset != "fast"
        ui.seedSpinBox.enabled = p.preset == "quality"
        ui.sequenceLabel.visible = isSequenceFrame(p.inputVolume)
        name = p.inputVolume.GetName() if p.inputVolume is not None else ""
        new = p.outputVolume is None
        target = f"make '{name} denoised'" if new else f"overwrite '{p.outputVolume.GetName()}'"
        notes = "\n".join(cautions(self.machine.report, voxelsOf(p.inputVolume)))
        self.run.idle(self.reason(), f"Denoise '{name}' and {target}.", notes)
        self._refreshExport()

    def _refreshExport(self) -> None:
        """Asks whether there is something to export, once a volume: the DICOM database is asked."""
        volume, button = self.exportVolume(), self.ui.exportDicomButton
        key = (volume.GetID(), volume.GetMTime()) if volume is not None else None
        if key == self._exportKey:
            return
        self._exportKey = key
        problem = self.logic.exportProblem(volume)
        button.enabled = not problem
        button.toolTip = problem or f"Write '{volume.GetName()}' as a derived series of its source."
