"""Check: asks the worker about itself, without making anyone wait. Standard library only."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from .environment import Interpreter
from .job import CANCELLED, DONE, OVER, POLL_SECONDS, RUNNING
from .report import Report, broken, missing, parse
from .runner import Runner

PATIENCE = 120.0
"""Seconds after which a worker that does not answer is given up; importing TensorFlow took 16 s."""

WORDS = ("doctor", "--json", "--engine", "auto")
"""auto: TensorFlow is not started where it would not be used."""


class CheckJob:
    """One question to the worker, with the methods of a `job.Job`.

    Attributes:
        kind: "check".
        state: RUNNING, DONE or CANCELLED; DONE whatever the answer.
        report: the answer, in state DONE.
        pid: of the worker; 0 where none was started.
    """

    kind = "check"

    def __init__(
        self,
        interpreter: Interpreter | None,
        environment: Mapping[str, str],
        eventCallback: Callable[[Any], None] | None = None,
    ) -> None:
        self.state, self.report, self.pid = RUNNING, missing(), 0
        self.eventCallback = eventCallback
        self._interpreter = interpreter
        self._out: list[str] = []
        self._err: list[str] = []
        self._end_by = time.monotonic() + PATIENCE
        self._folder = tempfile.mkdtemp(prefix="md-")
        self._runner: Runner | None = None
        if interpreter is None:
            self._over(DONE)
            return
        try:
            self._runner = Runner([*interpreter.command, *WORDS], environment, self._folder)
            self.pid = self._runner.pid
        except OSError as error:
            self.report = broken(interpreter, None, "", interpreter.refusal(error))
            self._over(DONE)

    @property
    def over(self) -> bool:
        """True once the worker has answered, or will not."""
        return self.state in OVER

    def poll(self) -> bool:
        """Takes what the worker said; True while it is still speaking."""
        if self.over or self._runner is None or self._interpreter is None:
            return False
        for line in self._runner.poll():
            (self._out if line.stdout else self._err).append(line.text)
        if not self._runner.over and time.monotonic() < self._end_by:
            return True
        status = self._runner.returncode
        self._runner.kill()
        out, err = "\n".join(self._out), "\n".join(self._err)
        why = "" if status is not None else f"no answer in {PATIENCE:.0f} s"
        self.report = parse(self._interpreter, out, err) or broken(
            self._interpreter, status, f"{out}\n{err}", why
        )
        self._over(DONE)
        return False

    def wait(self) -> Report:
        """Polls until there is an answer (blocks)."""
        while self.poll():
            time.sleep(POLL_SECONDS)
        return self.report

    def cancel(self) -> None:
        """Does not wait for the answer."""
        self.kill()

    def kill(self) -> None:
        """Ends the worker."""
        if not self.over:
            self._over(CANCELLED)

    def _over(self, state: str) -> None:
        if self._runner is not None:
            self._runner.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.state = state
        if self.eventCallback is not None:
            self.eventCallback(self)
