"""DenoiseLogic: what the MediDiff module can do, without its panel.

INTERFACE; the body follows. Never touches the layout manager or Qt, so that scripts can use it:
`slicer.modules.medidiffdenoise` panel, `MediDiffDenoiseLogic().process(...)` in the Python console alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .environment import Machine, Report
from .job import Job


class DenoiseLogic:
    """Denoises volumes of the scene with the `medidiff` command.

    Usable alone and as a second base beside ScriptedLoadableModuleLogic (whose __init__ is not needed by it).

    Attributes:
        machine: an `environment.Machine` or `parameters.MachineSettings`; set it before the first run.
        startupEnvironment: function without arguments that returns the variables Slicer was started with;
            None uses slicer.util.startupEnvironment.
    """

    machine: Any = Machine()
    startupEnvironment: Callable[[], dict[str, str]] | None = None

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
            preset: "fast" (posterior mean), "balanced" (natural texture), "quality" (posterior samples, and
                their SD as an uncertainty volume).
            steps: network evaluations a slice for balanced and quality; None for the preset's own.
            strength: 0 returns the scan, 1 denoises fully.
            seed: of all random numbers.
            device: "auto", "cpu" or "gpu".
            roi: vtkMRMLMarkupsROINode; voxels outside of it are copied. None for everything.
            makeDifference: also make "<input> removed" (input minus output).
            wait: poll until it is over. False: the caller polls the job.
            eventCallback: called with the job after each change of it.

        Raises:
            ValueError: something about the arguments makes no sense; one sentence for the user. A worker that
                is missing or fails is no exception: the job is FAILED with an error (with wait=True too).
        """
        raise NotImplementedError

    def previewSlice(
        self, inputVolume: Any, outputVolume: Any = None, *, rasPoint: tuple[float, float, float] | None = None,
        **settings: Any,
    ) -> Job:  # fmt: skip
        """Denoises the one acquisition slice nearest to a point (of the Red view; None: the middle one).

        The output is "<input> preview": the whole volume with that slice denoised. `settings` are those of
        `process` but roi; makeDifference is ignored.
        """
        raise NotImplementedError

    def checkProblem(self, inputVolume: Any, outputVolume: Any = None, roi: Any = None) -> str:
        """Why these nodes cannot be processed, one sentence for Apply's tooltip; empty if they can."""
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        """Asks the job to stop. The same as job.cancel()."""
        raise NotImplementedError

    def checkEnvironment(self) -> Report:
        """What the worker says about itself (takes a few seconds; the worker is run)."""
        raise NotImplementedError

    def exportProblem(self, outputVolume: Any, resolver: Callable[[str], str] | None = None) -> str:
        """Why this volume cannot be exported as DICOM, for the button's tooltip; empty if it can."""
        raise NotImplementedError

    def startExport(
        self, outputVolume: Any, folder: str, *, resolver: Callable[[str], str] | None = None,
        eventCallback: Callable[[Job], None] | None = None,
    ) -> Job:  # fmt: skip
        """Begins the export of `exportDicom`; the caller polls the job, whose `files` are the result."""
        raise NotImplementedError

    def exportDicom(
        self, outputVolume: Any, folder: str, *, resolver: Callable[[str], str] | None = None
    ) -> list[str]:
        """Writes a denoised volume as a derived DICOM series below a folder; returns the files.

        Args:
            outputVolume: made by `process` from a volume of the DICOM database.
            folder: where the series' own folder goes.
            resolver: SOP instance UID to file path; None uses slicer.dicomDatabase.fileForInstance.

        Raises:
            ValueError: the volume cannot be exported; one sentence for the user.
            RuntimeError: the worker failed; one sentence for the user.
        """
        raise NotImplementedError
