"""MediDiffDenoise: denoise the volume on screen with medidiff, which runs in a Python of its own.

Research use only. Not a medical device.
"""

from __future__ import annotations

import sys
from typing import Any

import slicer
from MediDiffDenoiseLib.logic import DenoiseLogic
from MediDiffDenoiseLib.parameters import MachineSettings
from MediDiffDenoiseLib.selftest import SelfTest
from MediDiffDenoiseLib.widget import Panel
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MediDiffDenoise(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("MediDiff Denoise")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        parent.dependencies = []
        parent.contributors = ["The medidiff authors"]
        parent.helpText = _(
            "Removes noise from CT and MR volumes with a diffusion model. medidiff does it, in a Python "
            "of its own; nothing is installed into Slicer, and nothing is uploaded.<br>"
            "<b>Research use only. Not a medical device.</b> A generative model can remove or invent detail: "
            "compare with the original.<br>"
            'See the <a href="https://github.com/medidiff/medidiff/tree/main/plugins/slicer">description</a>.'
        )
        parent.acknowledgementText = _("Training data and methods are credited in the models' cards.")


class MediDiffDenoiseWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel in Slicer's life cycle; what it does is in MediDiffDenoiseLib.widget."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: MediDiffDenoiseLogic | None = None
        self.panel: Panel | None = None

    def setup(self) -> None:
        """Makes the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        form = slicer.util.loadUI(self.resourcePath("UI/MediDiffDenoise.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        self.logic = MediDiffDenoiseLogic()
        self.panel = Panel(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        slicer.app.connect("aboutToQuit()", self.panel.kill)
        self.panel.bind()

    def cleanup(self) -> None:
        """The widget goes."""
        self.removeObservers()
        if self.panel is not None:
            slicer.app.disconnect("aboutToQuit()", self.panel.kill)
            self.panel.kill()
            self.panel = None

    def enter(self) -> None:
        """The module is shown."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """Another module is shown; also called after `cleanup`, when Slicer ends."""
        if self.panel is not None:
            self.panel.exit()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """The scene is about to be closed."""
        self.panel.sceneClosing()

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """The scene was closed or loaded: there is another parameter node."""
        if getattr(self.parent, "isEntered", True):
            self.panel.bind()

    def onReload(self) -> None:
        """Reload in developer mode: the library must be read again too, and no job of the old code go on."""
        self.panel.kill()
        for name in [name for name in sys.modules if name.split(".")[0] == "MediDiffDenoiseLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class MediDiffDenoiseLogic(ScriptedLoadableModuleLogic, DenoiseLogic):
    """Denoises without the panel: `MediDiffDenoiseLogic().process(volume)`, with the panel's Python."""

    def __init__(self, *arguments: Any) -> None:
        ScriptedLoadableModuleLogic.__init__(self, *arguments)
        self.machine = MachineSettings()


class MediDiffDenoiseTest(SelfTest, ScriptedLoadableModuleTest):
    """The self-test, to run inside Slicer; see the README."""

    makeLogic = MediDiffDenoiseLogic
