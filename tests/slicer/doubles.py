"""A logic without a worker, whose job goes from state to state as a test says."""

from __future__ import annotations

from typing import Any

from MediDiffDenoiseLib.parameters import MachineSettings
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


class ScriptedJob:
    """A job; each poll takes the next step, a dict of attributes, and the last one is the end."""

    def __init__(self, kind: str, node: str, steps: list[dict[str, Any]]) -> None:
        self.kind, self.inputNodeID, self.steps = kind, node, list(steps)
        self.state, self.fraction, self.stage, self.eta_s = "starting", 0.0, "", None
        self.device = self.model = self.licence = self.noise = self.log = ""
        self.error: Any = None
        self.warnings: list[tuple[str, str]] = []
        self.files: list[str] = []
        self.bounds: Any = None
        self.outputNodeID = self.differenceNodeID = self.uncertaintyNodeID = ""
        self.report: Any = None
        self.cancelled = self.killed = 0

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def poll(self) -> bool:
        """The next step, if the test has given one."""
        if self.state == "cancelling":
            self.state = "cancelled"
        elif self.steps:
            step = self.steps.pop(0)
            if "raise" in step:
                raise step["raise"]
            vars(self).update(step)
        return not self.over

    def cancel(self) -> None:
        self.cancelled += 1
        self.state = "cancelling"

    def kill(self) -> None:
        self.killed += 1
        self.state = "cancelled"


class ScriptedLogic(ScriptedLoadableModuleLogic):
    """Takes the calls of the panel, and gives scripted jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.moduleName = "MediDiffDenoise"
        self.machine: Any = MachineSettings()
        self.steps: list[dict[str, Any]] = []
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.jobs: list[ScriptedJob] = []
        self.problem, self.noExport = "", "The volume does not come from the DICOM database."
        self.refusal: Exception | None = None
        self.report: Any = None

    def _job(self, kind: str, arguments: tuple[Any, ...], settings: dict[str, Any]) -> ScriptedJob:
        self.calls.append((kind, arguments, settings))
        if self.refusal:
            raise self.refusal
        self.jobs.append(ScriptedJob(kind, arguments[0].GetID() if arguments else "", self.steps))
        return self.jobs[-1]

    def process(self, *arguments: Any, **settings: Any) -> ScriptedJob:
        return self._job("denoise", arguments, settings)

    def previewSlice(self, *arguments: Any, **settings: Any) -> ScriptedJob:
        return self._job("preview", arguments, settings)

    def startExport(self, *arguments: Any, **settings: Any) -> ScriptedJob:
        return self._job("export", arguments, settings)

    def startCheck(self, *arguments: Any) -> ScriptedJob:
        return ScriptedJob("check", "", [{"state": "done", "report": self.report}])

    def checkProblem(self, inputVolume: Any, outputVolume: Any = None, roi: Any = None) -> str:
        return self.problem or ("" if inputVolume is not None else "Choose an input volume.")

    def exportProblem(self, outputVolume: Any) -> str:
        return self.noExport if outputVolume is not None else "Denoise a volume first."
