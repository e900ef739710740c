"""DenoiseLogic: what the MediDiff module can do, without its panel. Needs slicer.

Never touches the layout manager or Qt, so that scripts can use it: ``MediDiffDenoiseLogic().process(volume)``
in Slicer's Python console.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import slicer

from . import command, dicom_export, environment, region, results, volumes
from .check import CheckJob
from .command import Bounds, Settings
from .job import DONE, Job
from .modality import with_modality
from .report import Report


class DenoiseLogic:
    """Denoises volumes of the scene with the `medidiff` command.

    Attributes:
        machine: an `environment.Machine` or `parameters.MachineSettings`; set it before the first run.
        startupEnvironment: function without arguments that returns the variables Slicer was started with;
            None uses slicer.util.startupEnvironment, or outside of the application those of the process.
    """

    machine: Any = environment.Machine()
    startupEnvironment: Callable[[], Mapping[str, str]] | None = None

    def process(
        self,
        inputVolume: Any,
        outputVolume: Any = None,
        *,
        model: str = "",
        modality: str = "auto",
        preset: str = "fast",
        steps: int | None = None,
        strength: float = 1.0,
        seed: int = 0,
        device: str = "auto",
        roi: Any = None,
        makeDifference: bool = False,
        wait: bool = True,
        eventCallback: Callable[[Job], None] | None = None,
    ) -> Job:
        """Denoises a volume into another.

        Args:
            inputVolume: vtkMRMLScalarVolumeNode; never changed.
            outputVolume: volume to overwrite; None makes "<input> denoised".
            model: name or folder; empty for the one of the modality.
            modality: "auto", "CT" or "MR".
            preset: "fast" (posterior mean), "balanced" (natural texture), "quality" (mean of posterior
                samples, and their SD as an uncertainty volume).
            steps: network evaluations a slice for balanced and quality; None for the preset's own.
            strength: 0 returns the scan, 1 denoises fully.
            seed: of all random numbers.
            device: "auto", "cpu" or "gpu".
            roi: vtkMRMLMarkupsROINode; voxels outside of it are copied. None for everything.
            makeDifference: also make "<input> removed" (input minus output).
            wait: poll until it is over. False: the caller polls the job.
            eventCallback: called with the job after each change of it.

        Returns:
            the job: if waited for, DONE, FAILED with an `error` (no worker is no exception), or CANCELLED.

        Raises:
            ValueError: something about the arguments makes no sense; one sentence for the user.
        """
        settings = Settings(model, modality, preset, steps, strength, seed, device)
        self._check(inputVolume, outputVolume)
        bounds = region.bounds_of_roi(roi, inputVolume) if roi is not None else None
        name = f"{inputVolume.GetName()} denoised"
        job = Job("denoise", eventCallback, self._scratch())
        self._denoise(job, inputVolume, outputVolume, name, settings, bounds, makeDifference)
        return job.wait() if wait else job

    def previewSlice(
        self,
        inputVolume: Any,
        outputVolume: Any = None,
        *,
        rasPoint: tuple[float, float, float] | None = None,
        model: str = "",
        modality: str = "auto",
        preset: str = "fast",
        steps: int | None = None,
        strength: float = 1.0,
        seed: int = 0,
        device: str = "auto",
        wait: bool = True,
        eventCallback: Callable[[Job], None] | None = None,
    ) -> Job:
        """Denoises the one acquisition slice nearest to a point (of the Red view; None: the middle one).

        The output is "<input> preview": the whole volume with that slice denoised, which is exactly the slice
        that `process` gives. Other arguments, result and errors are those of `process`.
        """
        settings = Settings(model, modality, preset, steps, strength, seed, device)
        self._check(inputVolume, outputVolume)
        bounds = region.bounds_of_slice(inputVolume, rasPoint)
        job = Job("preview", eventCallback, self._scratch())
        name = f"{inputVolume.GetName()} preview"
        self._denoise(job, inputVolume, outputVolume, name, settings, bounds, False)
        return job.wait() if wait else job

    def checkProblem(self, inputVolume: Any, outputVolume: Any = None, roi: Any = None) -> str:
        """Why these nodes cannot be processed, one sentence for Apply's tooltip; empty if they can."""
        found = volumes.problem(inputVolume, outputVolume)
        if found or roi is None:
            return found
        try:
            region.bounds_of_roi(roi, inputVolume)
        except ValueError as error:
            return str(error)
        return ""

    def cancel(self, job: Job) -> None:
        """Asks the job to stop. The same as job.cancel()."""
        job.cancel()

    def startCheck(self, eventCallback: Callable[[CheckJob], None] | None = None) -> CheckJob:
        """Begins the check of `checkEnvironment`; the caller polls the job, whose `report` is the result."""
        return CheckJob(self._interpreter(), self._environment("auto"), eventCallback)

    def checkEnvironment(self) -> Report:
        """What the worker says about itself (blocks for some seconds)."""
        return self.startCheck().wait()

    def exportProblem(self, outputVolume: Any, resolver: dicom_export.Resolver | None = None) -> str:
        """Why this volume cannot be exported as DICOM, for the button's tooltip; empty if it can."""
        return dicom_export.problem(outputVolume, resolver or dicom_export.database())

    def startExport(
        self,
        outputVolume: Any,
        folder: str,
        *,
        resolver: dicom_export.Resolver | None = None,
        eventCallback: Callable[[Job], None] | None = None,
    ) -> Job:
        """Begins the export of `exportDicom`; the caller polls the job, whose `files` are the result.

        Raises:
            ValueError: the volume cannot be exported; one sentence for the user.
        """
        found = resolver or dicom_export.database()
        problem = dicom_export.problem(outputVolume, found)
        if problem or found is None:
            raise ValueError(problem)
        job = Job("export", eventCallback, self._scratch())
        job.inputNodeID = outputVolume.GetID()
        try:
            paths = dicom_export.prepare(outputVolume, found, job.folder)
        except BaseException:
            job.kill()
            raise
        words = command.derive(*paths, os.path.abspath(folder))
        job.start(self._interpreter(), words, self._environment("cpu"), dicom_export.take)
        return job

    def exportDicom(
        self, outputVolume: Any, folder: str, *, resolver: dicom_export.Resolver | None = None
    ) -> list[str]:
        """Writes a denoised volume as a derived DICOM series below a folder; returns the files.

        The voxels are those of the volume, the headers come from the source files; see `dicom_export`.

        Args:
            outputVolume: made by `process` from a volume of the DICOM database.
            folder: where the series' own folder goes.
            resolver: SOP instance UID to file path; None uses slicer.dicomDatabase.fileForInstance.

        Raises:
            ValueError: the volume cannot be exported; one sentence for the user.
            RuntimeError: the worker failed; one sentence for the user.
        """
        job = self.startExport(outputVolume, folder, resolver=resolver).wait()
        if job.state != DONE:
            error = job.error
            raise RuntimeError(f"{error.text} {error.hint}".strip() if error else "The export was cancelled.")
        return job.files

    def _check(self, inputVolume: Any, outputVolume: Any) -> None:
        problem = volumes.problem(inputVolume, outputVolume)
        if problem:
            raise ValueError(problem)

    def _denoise(
        self,
        job: Job,
        source: Any,
        target: Any,
        name: str,
        settings: Settings,
        bounds: Bounds | None,
        difference: bool,
    ) -> None:
        """Writes the input and starts the worker on it."""
        job.inputNodeID, job.bounds = source.GetID(), bounds
        try:
            settings = with_modality(settings, source)
            inside, outside = job.folder / "in.nrrd", job.folder / "out.nrrd"
            ijk_to_ras = volumes.export(source, inside)
            request = results.Request(
                scene=source.GetScene(), source=source, source_id=source.GetID(), target=target,
                target_id=target.GetID() if target is not None else "", name=name, settings=settings,
                bounds=bounds, difference=difference, shape=slicer.util.arrayFromVolume(source).shape,
                ijk_to_ras=ijk_to_ras, stamp=source.GetImageData().GetMTime(),
            )  # fmt: skip
            words = command.denoise(
                str(inside), str(outside), settings, roi=bounds, threads=int(self.machine.threads)
            )
        except BaseException:
            job.kill()
            raise
        job.start(
            self._interpreter(), words, self._environment(settings.device),
            lambda done, result: results.take(request, done, result),
        )  # fmt: skip

    def _scratch(self) -> str | None:
        """Slicer's folder of temporary files, which its settings may have put on a larger disk."""
        return getattr(getattr(slicer, "app", None), "temporaryPath", None) or None

    def _started(self) -> Mapping[str, str]:
        """The variables that Slicer was started with."""
        if self.startupEnvironment is not None:
            return self.startupEnvironment()
        inside = getattr(slicer, "app", None) is not None
        return slicer.util.startupEnvironment() if inside else os.environ

    def _interpreter(self) -> environment.Interpreter | None:
        return environment.find(self.machine, self._started())

    def _environment(self, device: str) -> dict[str, str]:
        """The worker's variables: clean of Slicer, unless it is Slicer's own Python."""
        models = self.machine.modelFolder
        found = self._interpreter()
        if found is not None and found.is_slicer:
            return environment.added(os.environ, models=models, device=device)
        home = getattr(getattr(slicer, "app", None), "slicerHome", "") or os.environ.get("SLICER_HOME", "")
        return environment.clean(self._started(), str(home), models=models, device=device)
