"""Job: one run of the worker, as the panel sees it.

INTERFACE; the body follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STARTING, RUNNING, IMPORTING, CANCELLING = "starting", "running", "importing", "cancelling"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
OVER = (DONE, FAILED, CANCELLED)


@dataclass(frozen=True)
class JobError:
    """Why a job failed: one sentence, what to do, and the worker's word for the cause."""

    text: str
    hint: str = ""
    code: str = ""


class Job:
    """One run of the worker.

    Attributes:
        kind: "denoise", "preview" or "export".
        state: one of the constants above; begins as STARTING.
        fraction: 0 to 1 of the work that is done.
        stage: what is going on, for people ("reading", "denoising", "writing", "importing").
        eta_s: seconds left; None as long as nobody knows.
        device: what the worker computes on; empty before it said so.
        model, licence: of the network, as the worker says; empty before.
        error: set in state FAILED.
        warnings: (code, text) of everything the user should know.
        events: all events of the worker, as dicts in order.
        log: text of everything the worker printed, capped at 256 kB; for the Log section.
        pid: of the worker; 0 before it runs.
        inputNodeID: the volume it works on.
        outputNodeID, differenceNodeID, uncertaintyNodeID: IDs of the results; empty before DONE.
        files: of an export, the paths of the DICOM files.
    """

    kind: str
    state: str
    fraction: float
    stage: str
    eta_s: float | None
    device: str
    model: str
    licence: str
    error: JobError | None
    warnings: list[tuple[str, str]]
    events: list[dict]
    log: str
    pid: int
    inputNodeID: str
    outputNodeID: str
    differenceNodeID: str
    uncertaintyNodeID: str
    files: list[str]
    eventCallback: Callable[[Job], None] | None

    @property
    def over(self) -> bool:
        """True once state is DONE, FAILED or CANCELLED."""
        raise NotImplementedError

    def poll(self) -> bool:
        """Takes what the worker said, imports the result at the end; call it from a 100 ms timer.

        Calls `eventCallback(job)` after each change. Never blocks, except for the import itself.

        Returns:
            True while the job goes on: `while job.poll(): ...`.
        """
        raise NotImplementedError

    def wait(self) -> Job:
        """Polls until it is over (blocks)."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Asks the worker to stop; `poll` kills its process tree 2 s later if it has not."""
        raise NotImplementedError

    def kill(self) -> None:
        """Ends the worker's process tree at once (application close, module reload); state CANCELLED."""
        raise NotImplementedError
