"""RunSection: what the Run section shows in each state of a job."""

from __future__ import annotations

from typing import Any

from .job import CANCELLED, CANCELLING, DONE, FAILED, IMPORTING, RUNNING, STARTING
from .readiness import remaining

SCALE = 1000
"""Steps of the progress bar."""

LOCKED = (
    "inputsCollapsibleButton", "outputsCollapsibleButton", "advancedCollapsibleButton", "comparisonFrame"
)  # fmt: skip
"""Sections that a running job must not see changed."""

DETAIL_LINES = 40

PREVIEW_TIP = "Denoise one slice: the acquired one in the middle of the Red view."


class RunSection:
    """Shows a job: which buttons there are, bar, time left, sentence, error.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._ui, self._outcome = ui, ""
        ui.detailsButton.connect("toggled(bool)", self._toggle)
        self.idle("")

    def idle(self, reason: str, tip: str = "", notes: str = "") -> None:
        """Nothing runs.

        Args:
            reason: why Apply cannot be pressed; empty if it can.
            tip: Apply's tooltip if it can be pressed.
            notes: what to know before pressing it.
        """
        ui = self._ui
        self._running(False)
        for button in (ui.applyButton, ui.previewButton):
            button.enabled = not reason
        ui.applyButton.toolTip = reason or tip
        ui.previewButton.toolTip = reason or PREVIEW_TIP
        self._status(reason or "\n".join(part for part in (self._outcome, notes) if part))

    def outcome(self, text: str) -> None:
        """Keeps a sentence about the last run, shown until the next one."""
        self._outcome = text

    def preparing(self) -> None:
        """The volume is about to be written for the worker, before the next event of the window."""
        self.hideError()
        self.outcome("")
        self._status("Preparing the volume...")
        self._ui.statusLabel.repaint()

    def show(self, job: Any) -> None:
        """Shows a job that goes on."""
        if job.over:
            return
        ui = self._ui
        self._running(True)
        self.hideError()
        state = job.state
        known = state in (RUNNING, IMPORTING) and job.fraction > 0
        ui.progressBar.maximum = SCALE if known else 0
        ui.progressBar.value = round(job.fraction * SCALE) if known else 0
        ui.cancelButton.enabled = state in (STARTING, RUNNING)
        sentence = {
            STARTING: "Starting medidiff...",
            IMPORTING: "Taking the result into the scene...",
            CANCELLING: "Cancelling...",
        }.get(state, f"{(job.stage or 'working').capitalize()}...")
        self._status(sentence)
        if state == IMPORTING:
            ui.statusLabel.repaint()  # the import comes before the next event of the window
        where = f"on {job.device}" if job.device else ""
        with_model = f"with model {job.model} ({job.licence})" if job.model and job.licence else ""
        parts = [part for part in (where, with_model, remaining(job.eta_s)) if part]
        ui.etaLabel.text = ", ".join(parts)[:1].upper() + ", ".join(parts)[1:]

    def error(self, text: str, hint: str, details: str) -> None:
        """Shows a failure: one sentence, what to do, and the worker's last lines behind a button."""
        ui = self._ui
        ui.errorLabel.text, ui.hintLabel.text = text, hint
        ui.hintLabel.visible = bool(hint)
        ui.detailsTextEdit.plainText = "\n".join(details.splitlines()[-DETAIL_LINES:])
        ui.detailsButton.visible = bool(details.strip())
        ui.detailsButton.checked = False
        ui.errorFrame.visible = True

    def hideError(self) -> None:
        """The failure is history."""
        self._ui.errorFrame.visible = False

    def over(self, job: Any, made: str = "") -> None:
        """Shows how a job ended; `idle` follows.

        Args:
            job: a job that is over.
            made: what it has made, for people.
        """
        if job.state == FAILED and job.error is not None:
            self.outcome("")
            self.error(job.error.text, job.error.hint, job.log)
        elif job.state == CANCELLED:
            self.outcome("Cancelled. Nothing was changed.")
        elif job.state == DONE:
            notes = [text for _, text in job.warnings]
            where = f" on {job.device}" if job.device else ""
            done = f"Done{where}: {made}." if made else f"Done{where}."
            self.outcome("\n".join([done, *(f"Note: {note}" for note in notes)]))

    def _status(self, text: str) -> None:
        self._ui.statusLabel.text, self._ui.statusLabel.visible = text, bool(text)

    def _running(self, running: bool) -> None:
        ui = self._ui
        ui.applyButton.visible, ui.cancelButton.visible = not running, running
        ui.previewButton.visible = not running
        ui.progressBar.visible = ui.etaLabel.visible = running
        for name in LOCKED:
            getattr(ui, name).enabled = not running

    def _toggle(self, checked: bool) -> None:
        self._ui.detailsTextEdit.visible = checked
