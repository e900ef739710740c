"""What the panel remembers: in the scene (`DenoiseParameters`) and on the machine (`MachineSettings`)."""

from __future__ import annotations

from typing import Annotated, Any

import qt
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from .command import CHOICES

LARGEST_SEED = 2**31 - 1
"""Of a spin box in Qt."""


@parameterNodeWrapper
class DenoiseParameters:
    """What the scene remembers: saved and loaded with it.

    `steps` counts network evaluations a slice and holds for the presets balanced and quality; fast takes one.
    `model` is a name of the worker's `doctor`, a folder, or empty for the one of the modality; it has no
    `Choice` because its list is the worker's, so the panel binds it by hand.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    roi: vtkMRMLMarkupsROINode
    modality: Annotated[str, Choice(list(CHOICES["modality"]))] = "auto"
    model: str = ""
    preset: Annotated[str, Choice(list(CHOICES["preset"]))] = "fast"
    steps: Annotated[int, WithinRange(1, 1000)] = 2
    strength: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    seed: Annotated[int, WithinRange(0, LARGEST_SEED)] = 0
    device: Annotated[str, Choice(list(CHOICES["device"]))] = "auto"
    showComparison: bool = True
    makeDifference: bool = False


def load(node: Any) -> DenoiseParameters:
    """The parameters that a node keeps; a choice that this version does not know becomes the first one."""
    found: Any = DenoiseParameters(node)
    for name, known in CHOICES.items():
        if getattr(found, name) not in known:
            setattr(found, name, known[0])
    return found


def bound(ui: Any) -> dict[str, Any]:
    """The widgets by the parameter that their property SlicerParameterName names.

    For `connectParametersToGui`, which returns the tag that `disconnectGui` needs. `connectGui` returns None
    in many versions of Slicer (Slicer#7547): its binding stays, and writes the first choice of every box into
    the scene when the next binding fills the boxes again.
    """
    named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
    return {name: widget for name, widget in named.items() if name}


class MachineSettings:
    """What this machine remembers, in Slicer's application settings under ``MediDiff/``.

    It has the attributes of `environment.Machine`, so that the logic takes either.

    Args:
        store: a QSettings; None for the application's own.
    """

    GROUP = "MediDiff"

    def __init__(self, store: Any = None) -> None:
        self._store = qt.QSettings() if store is None else store

    @property
    def pythonPath(self) -> str:
        """The Python in which medidiff is installed; empty to look for one."""
        return self._text("pythonPath")

    @pythonPath.setter
    def pythonPath(self, value: str) -> None:
        self._set("pythonPath", value)

    @property
    def modelFolder(self) -> str:
        """Folder with further models (MEDIDIFF_HOME of the worker); empty for none."""
        return self._text("modelFolder")

    @modelFolder.setter
    def modelFolder(self, value: str) -> None:
        self._set("modelFolder", value)

    @property
    def threads(self) -> int:
        """CPU threads of the worker; 0 for all cores."""
        text = self._text("threads")
        return int(text) if text.isdecimal() else 0

    @threads.setter
    def threads(self, value: int) -> None:
        self._set("threads", str(int(value)))

    @property
    def lastDevice(self) -> str:
        """The device of the last run, for people."""
        return self._text("lastDevice")

    @lastDevice.setter
    def lastDevice(self, value: str) -> None:
        self._set("lastDevice", value)

    def _text(self, name: str) -> str:
        value = self._store.value(f"{self.GROUP}/{name}")
        return "" if value is None else str(value)

    def _set(self, name: str, value: str) -> None:
        self._store.setValue(f"{self.GROUP}/{name}", value)
