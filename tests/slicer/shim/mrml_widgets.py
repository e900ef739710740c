"""``slicer.qMRMLWidget`` and ``slicer.qMRMLNodeComboBox``, watching the real scene."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from shim.pythonqt import connectable

NONE = "None"


@connectable
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows a scene and tells others."""

    mrmlSceneChanged = QtCore.Signal(object)
    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Sets the scene."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


def _property(name: str, kind: Any, default: Any) -> Any:
    """A property that decides what the box holds."""

    def put(self: Any, value: Any) -> None:
        if name in ("noneDisplay", "noneEnabled") and self._scene is not None:
            # Slicer takes the row of None out and puts another in, so that the selection is lost.
            raise RuntimeError(f"{name} is set while a scene is shown")
        self._options[name] = value
        self._fill()

    return QtCore.Property(kind, lambda self: self._options.get(name, default), put)


@connectable
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A box with the nodes of some classes in the scene."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
    }

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._told = ""
        self._options: dict[str, Any] = {}
        self._box = QtWidgets.QComboBox()
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.currentIndexChanged.connect(self._tell)
        self.destroyed.connect(lambda: self._forget())
        self._fill()

    nodeTypes = _property("nodeTypes", "QStringList", [])
    noneEnabled = _property("noneEnabled", bool, False)
    noneDisplay = _property("noneDisplay", str, NONE)
    addEnabled = _property("addEnabled", bool, True)
    removeEnabled = _property("removeEnabled", bool, True)
    editEnabled = _property("editEnabled", bool, False)
    renameEnabled = _property("renameEnabled", bool, False)
    showHidden = _property("showHidden", bool, False)
    showChildNodeTypes = _property("showChildNodeTypes", bool, True)
    hideChildNodeTypes = _property("hideChildNodeTypes", "QStringList", [])
    selectNodeUponCreation = _property("selectNodeUponCreation", bool, True)
    baseName = _property("baseName", str, "")

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Watches a scene."""
        self._forget()
        self._scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._tags = [scene.AddObserver(event, self._changed) for event in events]
        self._fill()

    def currentNode(self) -> Any:
        """The node shown, or None."""
        identifier = self._box.property("currentData")
        return self._scene.GetNodeByID(identifier) if identifier and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:
        """Shows a node."""
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, identifier: str | None) -> None:
        """Shows the node of an ID; an ID that is not in the box selects None."""
        self._box.setCurrentIndex(self._box.findData(identifier or ""))
        self._tell()

    currentNodeID = QtCore.Property(
        str, lambda self: self._box.property("currentData") or "", setCurrentNodeID
    )

    def nodeCount(self) -> int:
        """Number of nodes to choose from."""
        return sum(1 for i in range(self._box.property("count")) if self._box.itemData(i))

    def _changed(self, scene: Any, event: str) -> None:
        if not scene.IsBatchProcessing() or event in ("EndCloseEvent", "EndImportEvent"):
            self._fill()

    def _forget(self) -> None:
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._tags = []

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        found = []
        for index in range(self._scene.GetNumberOfNodes()):
            node = self._scene.GetNthNode(index)
            exact = node.GetClassName() in self.nodeTypes
            child = self.showChildNodeTypes and any(node.IsA(t) for t in self.nodeTypes)
            hidden = node.GetHideFromEditors() and not self.showHidden
            if (exact or child) and not hidden and node.GetClassName() not in self.hideChildNodeTypes:
                found.append(node)
        return found

    def _fill(self) -> None:
        kept = self._box.property("currentData")
        blocked = self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, "")
        for node in self._nodes():
            self._box.addItem(node.GetName(), node.GetID())
        if self._box.findData(kept) >= 0:
            self._box.setCurrentIndex(self._box.findData(kept))
        self._box.blockSignals(blocked)
        self._tell()

    def _tell(self, *_: Any) -> None:
        identifier = self._box.property("currentData") or ""
        if identifier != self._told:
            self._told = identifier
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identifier)


CLASSES = {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}


def install() -> None:
    """Puts the classes into the module ``slicer``."""
    vars(slicer).update(CLASSES)
