"""The stand-in for PythonQt: it must refuse what Slicer's Qt does not have."""

from __future__ import annotations

import sys
from typing import Any

import pytest

UI = """<?xml version="1.0" encoding="UTF-8"?><ui version="4.0"><class>Top</class>
<widget class="qMRMLWidget" name="Top"><layout class="QVBoxLayout" name="rows">
<item><widget class="ctkCollapsibleButton" name="section">
<property name="text"><string>Part</string></property><property name="collapsed"><bool>true</bool></property>
<layout class="QVBoxLayout" name="inner"><item><widget class="QCheckBox" name="box">
<property name="SlicerParameterName" stdset="0"><string>flag</string></property>
</widget></item></layout></widget></item>
<item><widget class="{kind}" name="selector"/></item></layout></widget>
<connections>
<connection><sender>Top</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>{receiver}</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
<connection><sender>box</sender><signal>toggled(bool)</signal>
<receiver>selector</receiver><slot>setEnabled(bool)</slot></connection></connections></ui>"""


@pytest.fixture
def load(scene: Any, tmp_path: Any) -> Any:
    import slicer

    def run(kind: str = "qMRMLNodeComboBox", receiver: str = "selector") -> Any:
        path = tmp_path / "form.ui"
        path.write_text(UI.format(kind=kind, receiver=receiver))
        return slicer.util.loadUI(str(path))

    return run


def test_properties_are_attributes(scene: Any) -> None:
    import qt

    label = qt.QLabel("a")
    label.text, label.enabled, label.objectName = "b", False, "it"
    assert (label.text, label.enabled, label.name) == ("b", False, "it")
    with pytest.raises(TypeError):
        label.text()
    spin = qt.QSpinBox()
    spin.maximum = 7
    spin.value = 9
    assert spin.value == 7
    assert qt.QTimer.singleShot
    assert label.className() == "QLabel"


def test_what_cannot_be_set_is_an_error(scene: Any) -> None:
    import qt

    with pytest.raises(AttributeError, match="read-only"):
        qt.QComboBox().count = 3


def test_signals_by_signature(scene: Any) -> None:
    import qt

    heard: list[Any] = []
    button = qt.QPushButton("x")
    button.checkable = True
    button.connect("clicked(bool)", heard.append)
    button.click()
    assert heard == [True]
    button.disconnect("clicked(bool)", heard.append)
    button.click()
    assert heard == [True]
    other = qt.QPushButton("y")
    other.connect("clicked()", button, "toggle()")
    other.click()
    assert button.checked


@pytest.mark.parametrize("signature", ["clicked(int)", "nothing()", "currentIndexChanged(QString)"])
def test_an_unknown_signal_is_an_error(scene: Any, signature: str) -> None:
    import qt

    widget = qt.QComboBox() if "Index" in signature else qt.QPushButton()
    with pytest.raises(ValueError, match="has no signal"):
        widget.connect(signature, print)


@pytest.mark.parametrize("name", ["Signal", "Slot", "Property", "QtCore"])
def test_names_that_pythonqt_lacks(scene: Any, name: str) -> None:
    import qt

    assert not hasattr(qt, name)


def test_the_loader_makes_stand_ins_and_keeps_dynamic_properties(load: Any, scene: Any) -> None:
    import ctk
    import slicer

    ui = slicer.util.childWidgetVariables(form := load())
    assert type(form) is slicer.qMRMLWidget
    assert type(ui.section) is ctk.ctkCollapsibleButton
    assert (ui.section.text, ui.section.collapsed) == ("Part", True)
    assert ui.box.property("SlicerParameterName") == "flag"
    form.setMRMLScene(scene)
    assert ui.selector.mrmlScene() is scene
    ui.box.checked = True
    ui.box.checked = False
    assert not ui.selector.enabled


def test_the_loader_refuses_unknown_classes_and_receivers(load: Any) -> None:
    with pytest.raises(RuntimeError, match="ctkNothing"):
        load("ctkNothing")
    with pytest.raises(RuntimeError, match="nobody"):
        load(receiver="nobody")


def test_collapsing_hides_and_shows(load: Any) -> None:
    import slicer

    form = load()
    ui = slicer.util.childWidgetVariables(form)
    form.show()
    assert not ui.box.visible
    ui.section.collapsed = False
    assert ui.box.visible
    ui.section.collapsed = True
    assert not ui.box.visible
    form.close()


def test_slider_and_path(scene: Any) -> None:
    import ctk

    heard: list[Any] = []
    slider = ctk.ctkSliderWidget()
    slider.maximum = 1.0
    slider.connect("valueChanged(double)", heard.append)
    slider.value = 0.25
    assert heard == [0.25]
    assert slider.value == 0.25
    path = ctk.ctkPathLineEdit()
    path.connect("currentPathChanged(QString)", heard.append)
    path.currentPath = "/a b"
    assert heard[-1] == "/a b"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="True and None have no count any more")
def test_the_binding_keeps_its_references(scene: Any) -> None:
    """A PySide6 that loses one reference of True at each call ends the process after some thousand calls."""
    import ctk
    import qt

    section, box = ctk.ctkCollapsibleButton("x"), qt.QComboBox()

    def counts() -> list[int]:
        return [sys.getrefcount(value) for value in (True, False, None)]

    before = counts()
    for _ in range(200):
        section.collapsed = True
        section.collapsed = False
        box.addItem("a", "b")
        box.clear()
        scene.Modified()
    assert min(after - old for old, after in zip(before, counts(), strict=True)) > -100
