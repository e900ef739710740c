"""Job: one run of the worker, as the panel sees it. Standard library only."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import joberror, protocol
from .command import Bounds, in_words
from .environment import Interpreter
from .joberror import Discarded, JobError
from .runner import Runner

STARTING, RUNNING, IMPORTING, CANCELLING = "starting", "running", "importing", "cancelling"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
OVER = (DONE, FAILED, CANCELLED)

LOG_LIMIT = 256 * 1024
POLL_SECONDS = 0.05


class Job:
    """One run of the worker.

    Args:
        kind: "denoise", "preview" or "export".
        eventCallback: called with the job after each change of it.
        scratch: where its folder of temporary files goes; None for the system's place.

    Attributes:
        kind: "denoise", "preview", "export" or "check".
        state: one of the constants above; begins as STARTING.
        fraction: 0 to 1 of the work that is done.
        stage: what is going on, for people ("reading", "denoising", "writing", "importing").
        eta_s: seconds left; None as long as nobody knows.
        device: what the worker computes on; empty before it said so.
        model, licence: of the network, as the worker says; empty before.
        version: of the worker; empty before.
        noise: noise level of the scan as the worker used it, for people; empty before the end.
        error: set in state FAILED.
        warnings: (code, text) of everything the user should know.
        events: all events of the worker, as dicts in order; of those of progress only the last.
        log: text of everything the worker printed, capped at 256 kB.
        pid: of the worker; 0 before it runs.
        inputNodeID: the volume it works on.
        bounds: the voxels of it that are denoised; None for all.
        outputNodeID, differenceNodeID, uncertaintyNodeID: IDs of the results; empty before DONE.
        files: of an export, the paths of the DICOM files.
    """

    def __init__(
        self, kind: str, eventCallback: Callable[[Job], None] | None = None, scratch: str | None = None
    ) -> None:
        self.kind, self.eventCallback = kind, eventCallback
        self.state, self.fraction, self.stage = STARTING, 0.0, ""
        self.eta_s: float | None = None
        self.device = self.model = self.licence = self.version = self.noise = self.log = ""
        self.error: JobError | None = None
        self.warnings: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.pid = 0
        self.inputNodeID = self.outputNodeID = self.differenceNodeID = self.uncertaintyNodeID = ""
        self.bounds: Bounds | None = None
        self.files: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="md-", dir=scratch))
        self._runner: Runner | None = None
        self._interpreter: Interpreter | None = None
        self._finish: Callable[[Job, dict[str, Any]], None] | None = None

    @property
    def over(self) -> bool:
        """True once state is DONE, FAILED or CANCELLED."""
        return self.state in OVER

    def start(
        self,
        interpreter: Interpreter | None,
        words: Sequence[str],
        environment: Mapping[str, str],
        finish: Callable[[Job, dict[str, Any]], None],
    ) -> None:
        """Starts the worker; where that cannot be done, the job has failed at once.

        Args:
            interpreter: how to start medidiff, None if it was not found.
            words: its arguments.
            environment: its variables.
            finish: takes over what a run of success has made; raises `Discarded` where it cannot.
        """
        self._interpreter, self._finish = interpreter, finish
        if interpreter is None:
            self._fail(joberror.not_found())
            return
        command = [*interpreter.command, *words]
        self._note(f"$ {in_words(command)}")
        try:
            self._runner = Runner(command, environment, str(self.folder))
        except OSError as error:
            self._fail(joberror.not_started(interpreter, error))
            return
        self.pid = self._runner.pid
        self._tell()

    def poll(self) -> bool:
        """Takes what the worker said, imports the result at the end; call it from a 100 ms timer.

        Calls `eventCallback(job)` after each change. Never blocks, except for the import itself.

        Returns:
            True while the job goes on: `while job.poll(): ...`.
        """
        if self.over or self._runner is None:
            return False
        lines = self._runner.poll()
        spoken = [line.text for line in lines if line.event is None]
        if spoken:  # at once: line by line, a worker that prints without end would hold the window up
            self._note("\n".join(spoken))
        for event in [line.event for line in lines if line.event is not None]:
            self._take(event)
            if self.over:
                return False
        if self._runner.over:
            self._conclude(self._runner.returncode or 0)
        elif lines:
            self._tell()
        return not self.over

    def wait(self) -> Job:
        """Polls until it is over (blocks)."""
        try:
            while self.poll():
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.kill()
            raise
        return self

    def cancel(self) -> None:
        """Asks the worker to stop; `poll` kills its process tree 2 s later if it has not."""
        if self._runner is not None and self.state in (STARTING, RUNNING):
            self.state, self.eta_s = CANCELLING, None
            self._runner.cancel()
            self._tell()

    def kill(self) -> None:
        """Ends the worker's process tree at once (application close, module reload); state CANCELLED."""
        if not self.over:
            self._end(CANCELLED)

    def _take(self, event: dict[str, Any]) -> None:
        """One event of the worker."""
        name = event["event"]
        if name == "progress" and self.events and self.events[-1]["event"] == "progress":
            self.events.pop()
        self.events.append(event)
        if name == "hello":
            self.version = protocol.word(event, "version")
            assert self._interpreter is not None
            misfit = joberror.misfit(self.version, event.get("protocol"), self._interpreter)
            if misfit is not None:
                self._fail(misfit)
        elif name == "start":
            self.device, self.model = protocol.word(event, "device"), protocol.word(event, "model")
            self.licence = protocol.word(event, "licence")
            self._run()
        elif name == "progress":
            self._run()
            self.stage = protocol.word(event, "stage") or self.stage
            fraction = protocol.number(event, "fraction")
            if fraction is not None:
                self.fraction = min(max(fraction, 0.0), 1.0)
            self.eta_s = protocol.number(event, "eta_s")
        elif name == "warning":
            self.warnings.append((protocol.word(event, "code"), self._plain(protocol.word(event, "text"))))
            self._note(f"warning: {self.warnings[-1][1]}")
        elif name == "result":
            stats = event.get("stats")
            self.noise = protocol.word(stats, "sigma_text") if isinstance(stats, dict) else ""

    def _run(self) -> None:
        if self.state == STARTING:
            self.state = RUNNING

    def _conclude(self, status: int) -> None:
        """The worker has ended."""
        if self.state == CANCELLING:
            self._end(CANCELLED)
            return
        told = next((e for e in self.events if e["event"] == "error"), None)
        result = next((e for e in reversed(self.events) if e["event"] == "result"), None)
        if told is not None:
            error = joberror.told(told, status)
            self._fail(replace(error, text=self._plain(error.text)))
        elif status != 0 or result is None:
            assert self._interpreter is not None
            self._fail(joberror.untold(self._interpreter, status, self.log))
        else:
            self._import(result)

    def _import(self, result: dict[str, Any]) -> None:
        """Takes over the result; nothing new is left in the scene where that fails."""
        self.state, self.fraction, self.stage, self.eta_s = IMPORTING, 1.0, "importing", None
        self._tell()
        assert self._finish is not None
        try:
            self._finish(self, result)
        except Discarded as discarded:
            self._fail(discarded.error)
        except Exception as error:  # whatever Slicer raises, the panel must not stay busy
            self._fail(joberror.not_imported(error))
        else:
            self._end(DONE)

    def _fail(self, error: JobError) -> None:
        self.error = error
        self._note(f"error: {error.text} {error.hint}")
        self._end(FAILED)

    def _end(self, state: str) -> None:
        """The last state: no process and no file is left."""
        if self._runner is not None:
            self._runner.kill()
            self._note(f"status {self._runner.returncode}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._finish = None
        self.state, self.eta_s = state, None
        self._tell()

    def _plain(self, text: str) -> str:
        """The worker's words without the path of the input, which is a file that nobody knows."""
        for name in ("in.nrrd", "in.nii"):
            text = text.replace(str(self.folder / name), "The volume")
        what = text.removeprefix("The volume: ")
        return text if what == text else what[:1].upper() + what[1:]

    def _note(self, line: str) -> None:
        self.log = f"{self.log}{line}\n"[-LOG_LIMIT:]

    def _tell(self) -> None:
        if self.eventCallback is not None:
            self.eventCallback(self)
