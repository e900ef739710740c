"""MachineSection: the worker's Python, its threads and models, and what it says about itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import ctk
import qt

from .jobdriver import JobDriver


class MachineSection:
    """The part of Advanced that belongs to this computer and not to the scene.

    Args:
        ui: the panel's widgets.
        logic: has `machine` and `startCheck`.
        checked: called whenever the report changed.
    """

    def __init__(self, ui: Any, logic: Any, checked: Callable[[], None]) -> None:
        self._ui, self._logic, self._checked = ui, logic, checked
        self.report: Any = None
        self._driver = JobDriver(self._progress, self._crashed)
        machine = logic.machine
        # The folder of the environment: a file dialog may follow the link that bin/python is, to a Python
        # that knows nothing of the environment. The path of a program can be typed.
        ui.pythonPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.modelFolderLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.pythonPathLineEdit.currentPath = machine.pythonPath
        ui.modelFolderLineEdit.currentPath = machine.modelFolder
        ui.threadsSpinBox.value = machine.threads
        ui.pythonPathLineEdit.connect("currentPathChanged(QString)", self._setPython)
        ui.modelFolderLineEdit.connect("currentPathChanged(QString)", self._setFolder)
        # An emptied line is no valid path to CTK, which tells no change of it.
        ui.pythonPathLineEdit.connect("validInputChanged(bool)", self._pythonEmptied)
        ui.modelFolderLineEdit.connect("validInputChanged(bool)", self._folderEmptied)
        ui.threadsSpinBox.connect("valueChanged(int)", self._setThreads)
        ui.checkEnvironmentButton.connect("clicked()", self.check)
        ui.openModelsFolderButton.connect("clicked()", self.openModelsFolder)
        ui.copySetupButton.connect("clicked()", self._copySetup)

    @property
    def busy(self) -> bool:
        """Whether the worker is being asked."""
        return self._driver.busy

    def checkOnce(self) -> None:
        """Asks the worker the first time the panel is shown."""
        if self.report is None and not self.busy:
            self.check()

    def check(self) -> None:
        """Asks the worker, in the background."""
        self._driver.kill()
        ui = self._ui
        ui.environmentFrame.visible = True
        ui.environmentLabel.text = "Asking medidiff..."
        ui.setupTextEdit.visible = ui.copySetupButton.visible = False
        ui.checkEnvironmentButton.enabled = False
        self._driver.start(self._logic.startCheck())

    def kill(self) -> None:
        """Ends a check: the module goes away."""
        self._driver.kill()
        self._ui.checkEnvironmentButton.enabled = True

    def openModelsFolder(self) -> None:
        """Shows the folder of the models in the file manager, or says where it would be."""
        folder = self.modelsFolder()
        if folder and os.path.isdir(folder):
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(folder))
            return
        self._ui.environmentFrame.visible = True
        self._ui.environmentLabel.text = (
            f"There is no folder {folder}. Make it, put each model's folder into it, and check again."
            if folder
            else "Enter a models folder above. Models go into its sub-folder 'models', each in its folder."
        )

    def modelsFolder(self) -> str:
        """Where further models lie; empty if none is set."""
        home = self._logic.machine.modelFolder
        return os.path.join(home, "models") if home else ""

    def _setPython(self, path: str) -> None:
        self._logic.machine.pythonPath = path.strip()
        self._forget("The Python was changed.")

    def _pythonEmptied(self, valid: bool) -> None:
        if not valid:
            self._setPython("")

    def _folderEmptied(self, valid: bool) -> None:
        if not valid:
            self._setFolder("")

    def _setFolder(self, path: str) -> None:
        self._logic.machine.modelFolder = path.strip()
        self._forget("The models folder was changed.")

    def _setThreads(self, value: int) -> None:
        self._logic.machine.threads = value

    def _forget(self, why: str) -> None:
        """What the worker said no longer holds."""
        self.kill()
        self.report = None
        self._ui.environmentFrame.visible = True
        self._ui.environmentLabel.text = f"{why} Press 'Check environment'."
        self._ui.setupTextEdit.visible = self._ui.copySetupButton.visible = False
        self._checked()

    def _progress(self, job: Any) -> None:
        if self._driver.busy:
            return
        self.take(job.report)

    def take(self, report: Any) -> None:
        """Shows what the worker said."""
        self.report = report
        ui = self._ui
        ui.checkEnvironmentButton.enabled = True
        ui.environmentFrame.visible = True
        ui.environmentLabel.text = summary(report)
        ui.setupTextEdit.plainText = report.setup
        ui.setupTextEdit.visible = ui.copySetupButton.visible = bool(report.setup)
        if not report.ok:
            # Whoever opens the module without medidiff must see how to get it.
            ui.advancedCollapsibleButton.collapsed = False
        self._checked()

    def _crashed(self, error: Exception) -> None:
        self._ui.checkEnvironmentButton.enabled = True
        self._ui.environmentLabel.text = f"The check failed: {error}"

    def _copySetup(self) -> None:
        qt.QApplication.clipboard().setText(self._ui.setupTextEdit.plainText)


def summary(report: Any) -> str:
    """What the worker said, in a few lines for people."""
    if not report.ok:
        lines = [" ".join(part for part in (p.text, p.hint) if part) for p in report.problems]
        return "\n".join(lines) or "medidiff cannot be used."
    found = {"settings": "set above", "MEDIDIFF_PYTHON": "from MEDIDIFF_PYTHON", "PATH": "from the PATH"}
    models = [f"{m.name} {m.version} ({m.modality.upper()}, {m.licence})" for m in report.models if m.usable]
    lines = [
        f"medidiff {report.version} is ready.",
        f"Python: {report.python} ({found.get(report.source, report.source)})",
        f"Devices: {', '.join(report.devices)}",
        f"Models: {'; '.join(models)}",
    ]
    if report.memory_gb is not None:
        lines.append(f"Free memory: {report.memory_gb:.1f} GB")
    return "\n".join(lines)
