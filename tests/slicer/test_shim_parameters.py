"""The stand-in for parameterNodeWrapper: the rules of Slicer's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest


@pytest.fixture
def node(scene: Any) -> Any:
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "P")


@pytest.fixture
def wrapped(scene: Any) -> Any:
    from slicer import vtkMRMLScalarVolumeNode
    from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

    # Annotations of a class inside a function could not be looked up; those of a module's class can.
    hints = {
        "volume": vtkMRMLScalarVolumeNode, "word": Annotated[str, Choice(["a", "b"])], "text": str,
        "count": Annotated[int, WithinRange(2, 9)], "share": Annotated[float, WithinRange(0.0, 1.0)],
        "flag": bool,
    }  # fmt: skip
    body = {"__annotations__": hints, "text": "free", "count": 4, "share": 0.5, "flag": True}
    return parameterNodeWrapper(type("Values", (), body))


def test_defaults_are_written(wrapped: Any, node: Any) -> None:
    values = wrapped(node)
    written = {name: node.GetParameter(name) for name in ("word", "text", "count", "share", "flag")}
    assert written == {"word": "a", "text": "free", "count": "4", "share": "0.5", "flag": "True"}
    assert values.volume is None
    values.flag = False
    assert node.GetParameter("flag") == "False"
    assert wrapped(node).flag is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("word", "c"),
        ("count", 1),
        ("count", 2.0),
        ("share", 1.1),
        ("flag", "yes"),
        ("text", 3),
        ("volume", "x"),
    ],
)
def test_what_is_out_of_range_is_refused(wrapped: Any, node: Any, name: str, value: Any) -> None:
    values = wrapped(node)
    before = getattr(values, name)
    with pytest.raises(ValueError, match=" is no|not within"):
        setattr(values, name, value)
    assert getattr(values, name) == before


def test_values_and_references_survive_the_scene_file(
    wrapped: Any, node: Any, volume: Any, tmp_path: Path
) -> None:
    import slicer

    values = wrapped(node)
    values.volume, values.share, values.word = volume, 0.25, "b"
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.Commit(str(path))
    slicer.mrmlScene.Clear()
    slicer.mrmlScene.SetURL(str(path))
    slicer.mrmlScene.Connect()
    again = wrapped(slicer.util.getNode("P"))
    assert (again.share, again.word, again.volume.GetName()) == (0.25, "b", volume.GetName())


def widget(kind: str, **properties: Any) -> Any:
    import ctk
    import qt
    import slicer

    made = next(getattr(m, kind) for m in (qt, ctk, slicer) if hasattr(m, kind))()
    for name, value in properties.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("kind", "name", "attribute", "value"),
    [
        ("QSpinBox", "count", "value", 7), ("ctkSliderWidget", "share", "value", 0.75),
        ("QDoubleSpinBox", "share", "value", 0.75), ("QCheckBox", "flag", "checked", False),
        ("QLineEdit", "text", "text", "x"), ("QComboBox", "word", "currentText", "b"),
    ],
)  # fmt: skip
def test_bindings_go_both_ways(
    wrapped: Any, node: Any, kind: str, name: str, attribute: str, value: Any
) -> None:
    values, bound = wrapped(node), widget(kind)
    tag = values.connectParametersToGui({name: bound})
    assert getattr(bound, attribute) == getattr(values, name)
    setattr(bound, attribute, value)
    assert getattr(values, name) == value
    default = {"count": 4, "share": 0.5, "flag": True, "text": "free", "word": "a"}[name]
    setattr(values, name, default)
    assert getattr(bound, attribute) == default
    values.disconnectGui(tag)
    setattr(bound, attribute, value)
    assert getattr(values, name) == default


def test_a_combo_box_is_refilled_from_the_choice(wrapped: Any, node: Any) -> None:
    box = widget("QComboBox")
    box.addItem("old")
    wrapped(node).connectParametersToGui({"word": box})
    assert [box.itemText(i) for i in range(box.count)] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "name"), [("QComboBox", "text"), ("QLineEdit", "count"), ("QLabel", "text")]
)
def test_what_does_not_fit_is_an_error(wrapped: Any, node: Any, kind: str, name: str) -> None:
    with pytest.raises(RuntimeError):
        wrapped(node).connectParametersToGui({name: widget(kind)})


def test_an_unknown_name_and_a_subclass_are_errors(wrapped: Any, node: Any) -> None:
    import qt

    class Mine(qt.QCheckBox):
        pass

    with pytest.raises(RuntimeError, match="no parameter"):
        wrapped(node).connectParametersToGui({"nothing": widget("QCheckBox")})
    with pytest.raises(RuntimeError, match="No connector"):
        wrapped(node).connectParametersToGui({"flag": Mine()})


def test_a_wrong_default_is_found_at_once(scene: Any) -> None:
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    wrong = type("Wrong", (), {"__annotations__": {"n": Annotated[int, WithinRange(2, 9)]}, "n": 1})
    with pytest.raises(ValueError, match="not within"):
        parameterNodeWrapper(wrong)
