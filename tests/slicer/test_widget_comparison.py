"""The comparison on the real layout logic and slice nodes: two linked views, fading, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes


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


def look(views: Any, volume: Any, offset: float, zoom: float = 3.0) -> Any:
    """Shows a volume in the Red view, zoomed and moved, as somebody looks at a finding."""
    import slicer

    slicer.util.setSliceViewerLayers(background=volume)
    slicer.app.layoutManager().sliceWidget("Red").sliceLogic().FitSliceToBackground()
    red = views("Red")[0]
    red.SetSliceOffset(offset)
    x, y, z = red.GetFieldOfView()
    red.SetFieldOfView(x / zoom, y / zoom, z)
    red.SetXYZOrigin(4.0, -3.0, 0.0)
    return red


def pose(node: Any) -> list[Any]:
    return [matrix(node), node.GetFieldOfView(), node.GetXYZOrigin()]


def test_the_slice_that_is_looked_at_stays(comparison: Any, pair: Any, views: Any) -> None:
    """Fitting a view would go to the middle of the volume, and so away from the slice just previewed."""
    red = look(views, pair[0], 10.0)
    before = pose(red)
    comparison.sideBySide(*pair)
    assert pose(red) == pose(views("Yellow")[0]) == before
    comparison.restore()
    assert pose(red) == before


def test_a_view_of_something_else_goes_to_the_input(
    comparison: Any, pair: Any, views: Any, scene: Any
) -> None:
    import slicer

    other = slicer.modules.volumes.logic().CloneVolume(scene, pair[0], "far away")
    other.SetOrigin(0, 0, 900)
    red = look(views, other, 905.0)
    comparison.sideBySide(*pair)
    bounds = [0.0] * 6
    pair[0].GetRASBounds(bounds)
    assert bounds[4] < red.GetSliceOffset() < bounds[5]
    red.SetSliceOffset(700.0)  # out of the volume, which it shows by now
    comparison.sideBySide(*pair)
    assert bounds[4] < red.GetSliceOffset() < bounds[5]


def test_fading_stays_at_the_slice(comparison: Any, pair: Any, views: Any, application: Any) -> None:
    red = look(views, pair[0], 10.0)
    first, yellow = pose(red), pose(views("Yellow")[0])
    layout = application.layoutManager().layout
    comparison.sideBySide(*pair)
    red.SetSliceOffset(2.5)
    found = pose(red)
    comparison.fade(*pair, 0.5)
    assert pose(red) == found
    assert pose(views("Yellow")[0]) == yellow
    assert application.layoutManager().layout == layout
    red.SetSliceOffset(7.5)
    comparison.setOpacity(0.25)
    assert red.GetSliceOffset() == pytest.approx(7.5)
    assert views("Green")[1].GetForegroundOpacity() == pytest.approx(0.25)
    comparison.restore()
    assert pose(red) == first


AXES = {"axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "sagittal": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
        "oblique": ((0.6, 0, 0.8), (0, 1, 0), (-0.8, 0, 0.6))}  # fmt: skip


@pytest.mark.parametrize("kind", AXES)
def test_a_preview_is_seen_whole(comparison: Any, pair: Any, views: Any, kind: str) -> None:
    """Of a sagittal scan, an axial view would show one column of the slice that was denoised."""
    from MediDiffDenoiseLib import region

    left, right = pair
    for node in pair:
        node.SetIJKToRASDirections(*np.array(AXES[kind]).T.ravel().tolist())
        node.SetOrigin(-20.0, 35.0, 70.0)
    red = look(views, left, 70.0)
    before = pose(red)
    bounds = (0, 32, 0, 24, 3, 4)
    place = region.place_of_slice(left, bounds)
    ijk_to_ras = scenes.matrix(left)
    assert place.point == pytest.approx((ijk_to_ras @ [15.5, 11.5, 3.0, 1.0])[:3])
    assert abs(np.dot(place.normal, AXES[kind][2])) == pytest.approx(1.0)
    comparison.sideBySide(left, right, place=place)
    corners = ijk_to_ras @ np.array([[0, 0, 3, 1], [31, 0, 3, 1], [0, 23, 3, 1], [31, 23, 3, 1.0]]).T
    for view in ("Red", "Yellow"):
        to_plane = np.linalg.inv(np.array(matrix(views(view)[0])).reshape(4, 4))
        assert np.abs((to_plane @ corners)[2]).max() < 1e-6  # mm
    comparison.restore()
    assert pose(red) == before


def test_one_window_for_both(comparison: Any, pair: Any, views: Any) -> None:
    """As long as they are compared, whichever of the two is changed."""
    left, right = (node.GetDisplayNode() for node in pair)
    comparison.sideBySide(*pair)
    for one, other, window in ((left, right, (1500.0, -600.0)), (right, left, (80.0, 35.0))):
        one.SetWindowLevel(*window)
        assert (other.GetWindow(), other.GetLevel()) == (one.GetWindow(), one.GetLevel()) == window
    comparison.fade(*pair, 0.5)
    left.SetWindowLevel(300, 30)
    assert right.GetWindow() == 300
    comparison.sideBySide(*pair, sameWindow=False)
    left.SetWindowLevel(200, 20)
    assert right.GetWindow() == 300
    comparison.sideBySide(*pair)
    comparison.restore()
    left.SetWindowLevel(100, 10)
    assert right.GetWindow() == 200


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
    red, layers = views("Red")
    red.SetSliceOffset(7.5)
    ui.fadeSlider.value = 0.25
    assert red.GetSliceOffset() == pytest.approx(7.5)
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
