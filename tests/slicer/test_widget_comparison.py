"""The comparison on the real layout logic and slice nodes: two linked views, fading, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def pair(scene: Any, volume: Any) -> tuple[Any, Any]:
    import slicer

    other = slicer.modules.volumes.logic().CloneVolume(scene, volume, "denoised")
    other.GetDisplayNode().SetWindowLevel(1, 2)
    return volume, other


@pytest.fixture
def comparison(scene: Any) -> Any:
    from MediDiffDenoiseLib.comparison import Comparison

    return Comparison()


@pytest.fixture
def views(scene: Any, application: Any) -> Any:
    """Slice node and layers of a view."""

    def of(name: str) -> tuple[Any, Any]:
        view = application.layoutManager().sliceWidget(name)
        return view.mrmlSliceNode(), view.sliceLogic().GetSliceCompositeNode()

    return of


def matrix(node: Any) -> list[float]:
    return [node.GetSliceToRAS().GetElement(r, c) for r in range(4) for c in range(4)]


def test_input_and_output_stand_side_by_side(
    comparison: Any, pair: Any, views: Any, application: Any
) -> None:
    left, right = pair
    views("Red")[0].SetOrientationToCoronal()
    assert comparison.sideBySide(left, right)
    manager = application.layoutManager()
    assert manager.layout == 29  # Side by side, of Slicer itself
    logic = manager.layoutLogic()
    shown = [logic.GetViewNodes().GetItemAsObject(i).GetLayoutName() for i in range(2)]
    assert shown == ["Red", "Yellow"]
    assert logic.GetViewNodes().GetNumberOfItems() == 2
    (red, red_layers), (yellow, yellow_layers) = views("Red"), views("Yellow")
    assert red_layers.GetBackgroundVolumeID() == left.GetID()
    assert yellow_layers.GetBackgroundVolumeID() == right.GetID()
    assert red.GetOrientation() == yellow.GetOrientation() == "Coronal"
    assert matrix(red) == matrix(yellow)
    assert red.GetFieldOfView() == yellow.GetFieldOfView()
    assert red_layers.GetLinkedControl()
    assert yellow_layers.GetLinkedControl()
    assert yellow_layers.GetHotLinkedControl()
    display = right.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (400, 40)
    assert not display.GetAutoWindowLevel()


def test_linked_views_move_together(comparison: Any, pair: Any, views: Any, application: Any) -> None:
    comparison.sideBySide(*pair)
    red, yellow = views("Red")[0], views("Yellow")[0]
    logic = application.layoutManager().sliceWidget("Red").sliceLogic()
    logic.StartSliceOffsetInteraction()
    logic.SetSliceOffset(5.0)
    logic.EndSliceOffsetInteraction()
    assert red.GetSliceOffset() == pytest.approx(5.0)
    assert yellow.GetSliceOffset() == pytest.approx(5.0)


def test_everything_comes_back(comparison: Any, pair: Any, views: Any, application: Any, volume: Any) -> None:
    manager = application.layoutManager()
    manager.setLayout(3)
    views("Red")[1].SetBackgroundVolumeID(volume.GetID())
    views("Green")[1].SetForegroundVolumeID(volume.GetID())
    views("Green")[1].SetForegroundOpacity(0.7)

    def state() -> list[Any]:
        found: list[Any] = [manager.layout]
        for name in ("Red", "Green", "Yellow"):
            node, layers = views(name)
            found += [matrix(node), node.GetOrientation(), node.GetFieldOfView()]
            found += [
                layers.GetBackgroundVolumeID(),
                layers.GetForegroundVolumeID(),
                layers.GetForegroundOpacity(),
            ]
            found += [layers.GetLinkedControl(), layers.GetHotLinkedControl()]
        return found

    before = state()
    assert not comparison.active
    comparison.sideBySide(*pair)
    comparison.sideBySide(pair[1], pair[0])
    assert comparison.active
    assert state() != before
    comparison.restore()
    assert state() == before
    assert not comparison.active
    comparison.restore()
    assert state() == before


def test_a_volume_that_is_gone_is_not_put_back(
    comparison: Any, pair: Any, views: Any, scene: Any, volume: Any
) -> None:
    views("Yellow")[1].SetBackgroundVolumeID(volume.GetID())
    comparison.sideBySide(*pair)
    scene.RemoveNode(volume)
    comparison.restore()
    assert views("Yellow")[1].GetBackgroundVolumeID() is None


def test_fading(comparison: Any, pair: Any, views: Any, application: Any) -> None:
    left, right = pair
    before = application.layoutManager().layout
    assert comparison.fade(left, right, 0.3)
    for name in ("Red", "Green", "Yellow"):
        layers = views(name)[1]
        assert layers.GetBackgroundVolumeID() == left.GetID()
        assert layers.GetForegroundVolumeID() == right.GetID()
        assert layers.GetForegroundOpacity() == pytest.approx(0.3)
    comparison.restore()
    assert views("Red")[1].GetForegroundVolumeID() is None
    assert application.layoutManager().layout == before


def test_a_scene_saved_with_it_has_views_where_the_module_is_not(
    comparison: Any, pair: Any, scene: Any, tmp_path: Path
) -> None:
    import slicer
    from shim.application import new_scene

    comparison.sideBySide(*pair)
    path = str(tmp_path / "scene.mrml")
    scene.Commit(path)
    other = new_scene()
    other.SetURL(path)
    other.Connect()
    layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetCurrentLayoutDescription()
    assert "Red" in layout
    assert "Yellow" in layout


def test_without_views_nothing_happens(comparison: Any, pair: Any, application: Any) -> None:
    application.attach(None)
    assert not comparison.sideBySide(*pair)
    assert not comparison.fade(*pair, 0.5)
    comparison.restore()


# The row in the panel ----------------------------------------------------------------


@pytest.fixture
def row(module: Any, pair: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel after a run that made a difference and an uncertainty volume, and its widgets."""
    import slicer
    from doubles import ScriptedJob, ScriptedLogic

    monkeypatch.setattr(module, "MediDiffDenoiseLogic", ScriptedLogic)
    widget = module.MediDiffDenoiseWidget()
    widget.setup()
    widget.parent.show()
    job = ScriptedJob("denoise", pair[0].GetID(), [])
    clone = slicer.modules.volumes.logic().CloneVolume
    job.outputNodeID = pair[1].GetID()
    job.differenceNodeID = clone(slicer.mrmlScene, pair[0], "removed").GetID()
    job.uncertaintyNodeID = clone(slicer.mrmlScene, pair[0], "uncertainty").GetID()
    widget.panel.compare.offer(job, show=True)
    yield widget.ui, job
    widget.cleanup()
    widget.parent.close()


def choose(box: Any, kind: str) -> None:
    index = box.findData(kind)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_each_comparison_can_be_chosen(row: Any, views: Any) -> None:
    ui, job = row
    assert ui.comparisonFrame.visible
    assert ui.restoreLayoutButton.enabled
    assert not ui.fadeSlider.visible
    assert views("Yellow")[1].GetBackgroundVolumeID() == job.outputNodeID
    for kind, node in (("removed", job.differenceNodeID), ("uncertainty", job.uncertaintyNodeID)):
        choose(ui.comparisonComboBox, kind)
        assert views("Yellow")[1].GetBackgroundVolumeID() == node
        assert views("Red")[1].GetBackgroundVolumeID() == job.inputNodeID


def test_the_slider_fades(row: Any, views: Any) -> None:
    ui, job = row
    choose(ui.comparisonComboBox, "fade")
    assert ui.fadeSlider.visible
    ui.fadeSlider.value = 0.25
    layers = views("Red")[1]
    assert layers.GetForegroundVolumeID() == job.outputNodeID
    assert layers.GetForegroundOpacity() == pytest.approx(0.25)


def test_the_button_restores(row: Any, views: Any, application: Any) -> None:
    ui, _ = row
    ui.restoreLayoutButton.click()
    assert application.layoutManager().layout == 3
    assert not ui.restoreLayoutButton.enabled


def test_a_deleted_result_hides_the_row(row: Any, scene: Any) -> None:
    ui, job = row
    scene.RemoveNode(scene.GetNodeByID(job.outputNodeID))
    choose(ui.comparisonComboBox, "side")
    assert not ui.comparisonFrame.visible


def test_closing_the_scene_hides_the_row(row: Any, scene: Any) -> None:
    ui, _ = row
    scene.Clear()
    assert not ui.comparisonFrame.visible
