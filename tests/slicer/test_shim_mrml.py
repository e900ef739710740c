"""The stand-ins that watch the scene: node boxes, layouts, scripted modules."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def box(scene: Any) -> Any:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.showChildNodeTypes = False
    box.setMRMLScene(scene)
    yield box
    box.setMRMLScene(None)


def test_a_box_follows_the_scene(box: Any, scene: Any) -> None:
    heard: list[Any] = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    assert box.currentNode() is None
    first = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "one")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert box.nodeCount() == 1
    assert box.currentNode() is first
    assert heard == [first]
    scene.RemoveNode(first)
    assert box.currentNode() is None
    assert heard == [first, None]


def test_none_can_be_chosen(box: Any, scene: Any) -> None:
    with pytest.raises(RuntimeError, match="while a scene is shown"):
        box.noneEnabled = True
    box.setMRMLScene(None)
    box.noneEnabled = True
    box.setMRMLScene(scene)
    first = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "one")
    assert box.currentNode() is None
    box.setCurrentNode(first)
    assert box.currentNodeID == first.GetID()
    box.setCurrentNode(None)
    assert box.currentNode() is None


def test_child_classes_on_request(box: Any, scene: Any) -> None:
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    box.showChildNodeTypes = True
    assert box.nodeCount() == 1


def test_closing_the_scene_empties_it(box: Any, scene: Any) -> None:
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "one")
    scene.Clear()
    assert box.nodeCount() == 0


def test_layouts_are_real(scene: Any, application: Any) -> None:
    manager = application.layoutManager()
    before = manager.layout
    assert set(manager.sliceViewNames()) == {"Red", "Green", "Yellow"}
    with pytest.raises(ValueError, match="no layout"):
        manager.setLayout(4711)
    manager.setLayout(29)
    assert manager.layout == 29
    manager.layout = before
    red = manager.sliceWidget("Red")
    assert red.mrmlSliceNode().GetLayoutName() == "Red"
    assert red.mrmlSliceCompositeNode() is not None
    assert manager.sliceWidget("Purple") is None


def test_one_parameter_node(scene: Any) -> None:
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    class SomeLogic(ScriptedLoadableModuleLogic):
        pass

    node = SomeLogic().getParameterNode()
    assert node is SomeLogic().getParameterNode()
    assert node.GetModuleName() == "Some"
    node.SetParameter("kept", "no")
    scene.Clear()
    assert not SomeLogic().getParameterNode().HasParameter("kept")
