"""JobDriver: polls a job from a timer on the main thread, so that the panel never waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt

EVERY_MS = 100


class JobDriver:
    """Runs one job at a time.

    Args:
        changed: called with the job at each change and after each poll, the last time when it is over.
        crashed: called with the exception if polling fails, which is an error of this module.
    """

    def __init__(self, changed: Callable[[Any], None], crashed: Callable[[Exception], None]) -> None:
        self._changed, self._crashed = changed, crashed
        self.job: Any = None
        self._timer = qt.QTimer()
        self._timer.setInterval(EVERY_MS)
        self._timer.connect("timeout()", self._tick)

    @property
    def busy(self) -> bool:
        """Whether a job goes on."""
        return self.job is not None

    def start(self, job: Any) -> None:
        """Takes over a job that was just started; a second one at a time is an error."""
        if self.busy:
            job.kill()
            raise RuntimeError("A job is running already")
        self.job = job
        job.eventCallback = self._changed  # so that the panel can say what poll is about to do
        self._timer.start()
        self._changed(job)

    def cancel(self) -> None:
        """Asks the job to stop; it is killed if it does not."""
        if self.busy:
            self.job.cancel()
            self._changed(self.job)

    def kill(self) -> None:
        """Ends the job at once: the application or the module goes away."""
        self._timer.stop()
        job, self.job = self.job, None
        if job is not None:
            job.kill()

    def _tick(self) -> None:
        job = self.job
        if job is None:
            return
        try:
            goes_on = job.poll()
        except Exception as error:  # a timer only prints it, and the panel would stay busy for ever
            logging.exception("MediDiff: the job failed")
            self.kill()
            self._crashed(error)
            return
        if not goes_on:
            self._timer.stop()
            self.job = None
        self._changed(job)
