"""The logic on real MRML nodes, with a worker that does little: geometry, provenance, nothing half-made."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import result

slicer = scenes.slicer_core()
import vtk  # noqa: E402
from MediDiffDenoiseLib import provenance, region, volumes  # noqa: E402
from MediDiffDenoiseLib.environment import Machine  # noqa: E402
from MediDiffDenoiseLib.job import CANCELLED, DONE, FAILED  # noqa: E402
from MediDiffDenoiseLib.logic import DenoiseLogic  # noqa: E402

WORKER = '''#!{python}
"""Halves every voxel in the region. Named medidiff, so that it is started without -m."""
import json, os, sys
import numpy as np, SimpleITK as sitk
def emit(event, **more):
    print("@medidiff " + json.dumps({{"event": event, **more}}), flush=True)
words = sys.argv[1:]
option = {{w: words[n + 1] for n, w in enumerate(words[:-1]) if w.startswith("-")}}
emit("hello", version="0.1.0", protocol=1)
wish = os.environ.get("WISH", "")
source = sitk.ReadImage(words[1]); a = sitk.GetArrayFromImage(source)
emit("start", device="A CPU", model="ct", licence="Apache-2.0", words=words, shape=a.shape)
if wish == "wait":
    sys.stdin.readline()
    sys.exit(6)
if wish == "go":
    sys.stdin.readline()
if wish == "file":
    emit("warning", code="odd", text=words[1] + ": odd slices.")
    emit("error", code="refused", text=words[1] + ": cannot be processed.")
    sys.exit(5)
if wish == "fail":
    emit("error", code="refused", text="is PET.", hint="Say which: --modality ct or --modality mr.")
    sys.exit(5)
if wish == "die":
    os.kill(os.getpid(), 9)
out = a.copy()
i0, i1, j0, j1, k0, k1 = map(int, option.get("--roi", "0,9999,0,9999,0,9999").split(","))
part = out[k0:k1, j0:j1, i0:i1]
part[...] = part // 2 if out.dtype.kind in "iu" else part / 2
image = sitk.GetImageFromArray(out[:, 1:] if wish == "smaller" else out)
image.CopyInformation(source) if wish != "smaller" else None
if wish == "moved":
    image.SetOrigin([x + 1 for x in source.GetOrigin()])
target = option["-o"]
sitk.WriteImage(image, target)
outputs = {{"denoised": target}}
if "--save-uncertainty" in words:
    spread = np.full(a.shape, 3.0, np.float32)
    spread[0, 0] = np.nan if wish == "nan" else 3.0
    sd = sitk.GetImageFromArray(spread); sd.CopyInformation(source)
    outputs["uncertainty"] = target.replace(".nrrd", "_uncertainty.nrrd")
    sitk.WriteImage(sd, outputs["uncertainty"])
if wish == "lost":
    os.remove(target)
if wish == "garbled":
    open(target, "wb").write(b"NRRD0004\\n")
emit("warning", code="spacing", text="pixel size 9 mm is outside the trained range")
how = {{"model_id": "ct-0.1", "model_sha256": "ab"}}
emit("result", path=target, outputs=outputs, stats={{}}, derivation=how)
emit("done", exit_code=0)
'''


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with scenes.tidy_scene(tmp_path, monkeypatch) as scene:
        yield scene


@pytest.fixture
def logic(tmp_path: Path) -> DenoiseLogic:
    """A logic with that worker, in a path with a space and an accent."""
    folder = tmp_path / "mein Rechner é"
    folder.mkdir()
    script = folder / "medidiff"
    script.write_text(WORKER.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    found = DenoiseLogic()
    found.machine = Machine(str(script))
    found.startupEnvironment = lambda: os.environ
    return found


@pytest.fixture
def wish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda word: monkeypatch.setenv("WISH", word)


KINDS = [np.int16, np.uint16, np.float32, np.float64, np.uint8, np.int32]


@pytest.mark.parametrize("axes", [None, scenes.LEFT_HANDED], ids=["axial", "oblique left-handed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_type_and_geometry_are_those_of_the_input(
    scene: Any, logic: DenoiseLogic, kind: type, axes: Any
) -> None:
    values = scenes.body()  # negative HU
    values = values if np.dtype(kind).kind != "u" else np.clip(values + 1000, 0, 255)
    node = scenes.add(scene, values.astype(kind), axes=axes)
    if axes is not None:
        assert np.linalg.det(scenes.matrix(node)[:3, :3]) < 0
    before = scenes.state(node)
    output = result(scene, logic.process(node))
    assert scenes.state(node) == before
    assert scenes.voxels(output).dtype == kind
    expected = values.astype(kind) // 2 if np.dtype(kind).kind in "iu" else values.astype(kind) / 2
    assert np.array_equal(scenes.voxels(output), expected)
    assert np.abs(scenes.matrix(output) - scenes.matrix(node)).max() < 1e-9
    assert output.GetName() == "CT chest denoised"
    shown = output.GetDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel(), shown.GetAutoWindowLevel()) == (355.0, 45.0, 0)
    assert shown is not node.GetDisplayNode()


def test_a_parent_transform_is_kept_and_not_baked_in(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = vtk.vtkTransform()
    turn.RotateZ(30)
    turn.Translate(5, 6, 7)
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    node.SetAndObserveTransformNodeID(transform.GetID())
    own = scenes.matrix(node)
    output = result(scene, logic.process(node))
    assert output.GetTransformNodeID() == transform.GetID()
    assert np.abs(scenes.matrix(output) - own).max() < 1e-9
    assert np.array_equal(scenes.matrix(node), own)


def test_provenance(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    node.SetAttribute("other", "kept")
    output = result(
        scene, logic.process(node, preset="balanced", steps=6, strength=0.5, seed=9, modality="CT")
    )
    assert output.GetAttribute("DICOM.instanceUIDs") is None
    assert node.GetAttribute("DICOM.instanceUIDs") == "1.2.3 1.2.4"
    assert output.GetAttribute("medidiff.sourceInstanceUIDs") == "1.2.3 1.2.4"
    told = {
        n: output.GetAttribute(f"medidiff.{n}") for n in ("version", "model", "steps", "strength", "seed")
    }
    assert told == {"version": "0.1.0", "model": "ct", "steps": "6", "strength": "0.5", "seed": "9"}
    assert output.GetAttribute("medidiff.device") == "A CPU"
    assert output.GetAttribute("medidiff.sourceVolumeID") == node.GetID()
    assert output.GetAttribute("medidiff.date").startswith("20")
    assert json.loads(output.GetAttribute("medidiff.derivation"))["model_id"] == "ct-0.1"
    assert output.GetAttribute("other") == "kept"
    again = result(scene, logic.process(output))
    assert again.GetAttribute("medidiff.sourceInstanceUIDs") is None  # of a result of a result
    assert again.GetAttribute("medidiff.sourceVolumeID") == output.GetID()


def test_difference_and_uncertainty(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    job = logic.process(node, preset="quality", makeDifference=True)
    output = result(scene, job)
    removed, sd = (scene.GetNodeByID(i) for i in (job.differenceNodeID, job.uncertaintyNodeID))
    difference = scenes.voxels(node).astype(float) - scenes.voxels(output)
    assert np.array_equal(scenes.voxels(removed), difference)
    assert scenes.voxels(removed).min() < 0
    shown = removed.GetDisplayNode()
    assert shown.GetLevel() == 0.0
    assert shown.GetWindow() == pytest.approx(2 * np.percentile(np.abs(difference[difference != 0]), 99.5))
    assert (scenes.voxels(sd) == 3.0).all()
    assert removed.GetAttribute("DICOM.instanceUIDs") is None
    assert removed.GetAttribute("medidiff.derivation") is None  # so that it is not exported as the result
    assert scenes.volumes(scene) == [
        "CT chest",
        "CT chest denoised",
        "CT chest removed",
        "CT chest uncertainty",
    ]
    assert ("spacing", "pixel size 9 mm is outside the trained range") in job.warnings


def test_a_chosen_output_is_overwritten(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body(), axes=scenes.LEFT_HANDED)
    target = scenes.add(scene, np.zeros((2, 3, 4), np.uint8), "mine")
    target.SetAttribute("DICOM.instanceUIDs", "9.9")
    job = logic.process(node, target)
    assert result(scene, job) is target
    assert target.GetName() == "mine"
    assert np.array_equal(scenes.voxels(target), scenes.voxels(node) // 2)
    assert np.abs(scenes.matrix(target) - scenes.matrix(node)).max() < 1e-9
    assert target.GetAttribute("DICOM.instanceUIDs") is None
    assert scenes.volumes(scene) == ["CT chest", "mine"]


def test_the_subject_hierarchy_keeps_them_together(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, node)
    output = result(scene, logic.process(node))
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(output)) == study


def test_the_worker_is_told_the_modality_of_the_scene(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    scenes.tell_modality(scene, node, "MR")
    job = logic.process(node)
    words = next(e["words"] for e in job.events if e["event"] == "start")
    assert words[words.index("--modality") + 1] == "mr"
    scenes.tell_modality(scene, node, "PT")
    with pytest.raises(ValueError, match="is PT, for which there is no model"):
        logic.process(node)


# What goes wrong


def test_a_dose_is_no_scan(scene: Any, logic: DenoiseLogic) -> None:
    """Whatever the DICOM data call neither CT nor MR would be taken for one of them by its values."""
    node = scenes.add(scene, scenes.body(), "plan")
    scenes.tell_modality(scene, node, "RTDOSE")
    with pytest.raises(ValueError, match="is RTDOSE, for which there is no model"):
        logic.process(node)
    assert logic.process(node, modality="MR").state == DONE


def test_words_about_the_file_are_words_about_the_volume(
    scene: Any, logic: DenoiseLogic, wish: Callable
) -> None:
    wish("file")
    job = logic.process(scenes.add(scene, scenes.body()))
    assert job.error.text == "Cannot be processed."
    assert job.warnings == [("odd", "Odd slices.")]


def test_temporary_files_go_where_slicer_puts_its_own(
    scene: Any, logic: DenoiseLogic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    disk = tmp_path / "scratch"
    disk.mkdir()
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(temporaryPath=str(disk)), raising=False)
    job = logic.process(scenes.add(scene, scenes.body()), wait=False)
    assert job.folder.parent == disk
    job.kill()
    assert not list(disk.iterdir())


def test_arguments_that_make_no_sense(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body())
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    colour = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    slicer.util.updateVolumeFromArray(colour, np.zeros((2, 3, 4, 3), np.uint8))
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    signed = scenes.add(scene, scenes.body(2, 8).astype(np.int8), "signed")
    loose = slicer.vtkMRMLScalarVolumeNode()
    cases = [
        (None, None, "Choose an input"), (node, node, "another volume"), (empty, None, "is empty"),
        (colour, None, "components|no scalar"), (labels, None, "no scalar volume"),
        (signed, None, "type signed char. Convert"),
        (loose, None, "not in the scene"), (node, labels, "output 'labels' is no scalar"),
    ]  # fmt: skip
    for source, target, words in cases:
        with pytest.raises(ValueError, match=words):
            logic.process(source, target)
        assert logic.checkProblem(source, target)
    with pytest.raises(ValueError, match="strength"):
        logic.process(node, strength=2.0)
    assert logic.checkProblem(node) == ""
    assert "CT chest denoised" not in scenes.volumes(scene)


@pytest.mark.parametrize(
    ("word", "code", "text"),
    [("fail", "refused", "is PET"), ("die", "killed", "killed"), ("lost", "result", "cannot be read"),
     ("garbled", "result", "cannot be read"), ("moved", "result", "mm away"),
     ("smaller", "result", "another size")],
)  # fmt: skip
def test_a_failure_leaves_no_half_made_node(
    scene: Any, logic: DenoiseLogic, wish: Callable, word: str, code: str, text: str
) -> None:
    node = scenes.add(scene, scenes.body())
    target = scenes.add(scene, np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "mine")
    before = [scenes.state(node), scenes.state(target), scene.GetNumberOfNodes()]
    wish(word)
    for output in (None, target):
        job = logic.process(node, output, makeDifference=True)
        assert job.state == FAILED
        assert job.error.code == code
        assert text in job.error.text
        assert job.outputNodeID == ""
        assert [scenes.state(node), scenes.state(target), scene.GetNumberOfNodes()] == before
    if word == "fail":
        assert job.error.hint == "Choose CT or MR as the modality."


def test_an_error_while_nodes_are_made_takes_them_away(
    scene: Any, logic: DenoiseLogic, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = scenes.add(scene, scenes.body())
    before = scene.GetNumberOfNodes()

    def broken(*_: Any) -> None:
        raise RuntimeError("no display")

    monkeypatch.setattr(volumes, "same_window", broken)
    job = logic.process(node, preset="quality", makeDifference=True)
    assert job.state == FAILED
    assert "no display" in job.error.text
    assert scene.GetNumberOfNodes() == before


def running(logic: DenoiseLogic, *nodes: Any, **more: Any) -> Any:
    """A job whose worker waits for a word."""
    job = logic.process(*nodes, wait=False, **more)
    while job.poll() and job.state != "running":
        pass
    assert job.state == "running", job.log
    return job


def go_on(job: Any) -> Any:
    job._runner._stdin().write(b"go\n")
    return job.wait()


def test_a_second_run_into_an_output_makes_no_second_companions(scene: Any, logic: DenoiseLogic) -> None:
    """Every preview of the preset quality would leave a volume of the size of the scan behind."""
    node = scenes.add(scene, scenes.body())
    first = logic.process(node, preset="quality", makeDifference=True)
    output = result(scene, first)
    names = scenes.volumes(scene)
    node.SetOrigin(1.0, 2.0, 3.0)
    second = logic.process(node, output, preset="quality", makeDifference=True, strength=0.5)
    assert result(scene, second) is output
    assert scenes.volumes(scene) == names
    assert (second.differenceNodeID, second.uncertaintyNodeID) == (
        first.differenceNodeID, first.uncertaintyNodeID
    )  # fmt: skip
    removed = scene.GetNodeByID(second.differenceNodeID)
    assert np.array_equal(scenes.voxels(removed), scenes.voxels(node).astype(float) - scenes.voxels(output))
    assert removed.GetOrigin() == output.GetOrigin() == (1.0, 2.0, 3.0)
    assert removed.GetAttribute("medidiff.strength") == "0.5"
    scene.RemoveNode(removed)
    third = logic.process(node, output, makeDifference=True)
    assert scene.GetNodeByID(third.differenceNodeID) is not None
    assert not third.uncertaintyNodeID
    again = logic.process(output, preset="quality", makeDifference=True)  # of a result: a clone of it is made
    assert len({again.differenceNodeID, third.differenceNodeID}) == 2
    fresh = logic.process(node)
    chosen = logic.process(output, result(scene, fresh), preset="quality")
    assert chosen.uncertaintyNodeID not in (first.uncertaintyNodeID, again.uncertaintyNodeID)


def test_an_uncertainty_with_holes_has_a_window(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("nan")
    job = logic.process(scenes.add(scene, scenes.body()), preset="quality")
    shown = scene.GetNodeByID(job.uncertaintyNodeID).GetDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel()) == (3.0, 1.5)


def test_the_units_are_those_of_the_input(scene: Any, logic: DenoiseLogic) -> None:
    """Of a chosen output too, whatever it held; with them the result of a result is known to be CT."""
    node, target = scenes.add(scene, scenes.body()), scenes.add(scene, scenes.body(2, 8), "mine")
    for volume, unit in ((node, "[hnsf'U]"), (target, "Bq/ml")):
        entry = slicer.vtkCodedEntry()
        entry.SetValueSchemeMeaning(unit, "UCUM", unit)
        volume.SetVoxelValueUnits(entry)
    quantity = slicer.vtkCodedEntry()
    quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    node.SetVoxelValueQuantity(quantity)
    for chosen in (None, target):
        job = logic.process(node, chosen, preset="quality", makeDifference=True)
        for made in (job.outputNodeID, job.differenceNodeID, job.uncertaintyNodeID):
            volume = scene.GetNodeByID(made)
            assert volume.GetVoxelValueUnits().GetCodeValue() == "[hnsf'U]"
            assert volume.GetVoxelValueQuantity().GetCodeValue() == "112031"
    plain = scenes.add(scene, scenes.body(), "plain")
    logic.process(plain, target)
    assert target.GetVoxelValueUnits() is None


def test_an_input_removed_meanwhile(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("go")
    node = scenes.add(scene, scenes.body())
    job = running(logic, node)
    scene.RemoveNode(node)
    assert go_on(job).state == FAILED
    assert job.error.code == "input_gone"
    assert scenes.volumes(scene) == []


def test_another_scene_meanwhile(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    """After a close, another volume has the ID of the input."""
    wish("go")
    node = scenes.add(scene, scenes.body())
    job = running(logic, node)
    scene.Clear(True)
    other = scenes.add(scene, scenes.body(), "other")
    assert other.GetID() == job.inputNodeID
    assert go_on(job).state == FAILED
    assert scenes.volumes(scene) == ["other"]


def test_an_output_removed_meanwhile(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("go")
    node, target = scenes.add(scene, scenes.body()), scenes.add(scene, scenes.body(), "mine")
    job = running(logic, node, target)
    scene.RemoveNode(target)
    assert go_on(job).error.code == "output_gone"
    assert scenes.volumes(scene) == ["CT chest"]


def test_an_input_changed_meanwhile_is_told(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("go")
    node = scenes.add(scene, scenes.body())
    before = scenes.voxels(node).copy()
    job = running(logic, node)
    slicer.util.updateVolumeFromArray(node, np.zeros_like(before))
    output = result(scene, go_on(job))
    assert np.array_equal(scenes.voxels(output), before // 2)
    assert "input_changed" in [code for code, _ in job.warnings]


def test_the_difference_is_to_what_was_denoised(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("go")
    node = scenes.add(scene, scenes.body())
    before = scenes.voxels(node).copy()
    job = running(logic, node, makeDifference=True)
    slicer.util.updateVolumeFromArray(node, np.full_like(before, 7))
    output = result(scene, go_on(job))
    removed = scenes.voxels(scene.GetNodeByID(job.differenceNodeID))
    assert np.array_equal(removed, before.astype(float) - scenes.voxels(output))


@pytest.mark.parametrize("other", [None, np.zeros((2, 5, 6), np.int16)], ids=["empty", "cropped"])
def test_an_input_of_another_size_meanwhile(
    scene: Any, logic: DenoiseLogic, wish: Callable, other: Any
) -> None:
    wish("go")
    node = scenes.add(scene, scenes.body())
    job = running(logic, node, makeDifference=True)
    node.SetAndObserveImageData(None)
    if other is not None:
        slicer.util.updateVolumeFromArray(node, other)
    assert go_on(job).error.code == "input_changed"
    assert "another size" in job.error.text
    assert scenes.volumes(scene) == ["CT chest"]


def test_cancel_leaves_nothing(scene: Any, logic: DenoiseLogic, wish: Callable) -> None:
    wish("wait")
    node = scenes.add(scene, scenes.body())
    before = scene.GetNumberOfNodes()
    seen: list[str] = []
    job = running(logic, node, eventCallback=lambda job: seen.append(job.state))
    logic.cancel(job)
    assert job.wait().state == CANCELLED
    assert scene.GetNumberOfNodes() == before
    assert not scenes.alive(job.pid)
    assert seen[-2:] == ["cancelling", "cancelled"]


def test_no_worker_is_a_failure_with_words(scene: Any, tmp_path: Path) -> None:
    logic = DenoiseLogic()
    logic.machine = Machine()
    logic.startupEnvironment = lambda: {"PATH": str(tmp_path)}
    job = logic.process(scenes.add(scene, scenes.body()))
    assert job.state == FAILED
    assert "not found" in job.error.text
    assert "pip install" in job.error.hint
    assert not logic.checkEnvironment().ok


# Region and preview


def roi(scene: Any, centre: tuple[float, ...], size: tuple[float, ...]) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    node.SetCenter(*centre)
    node.SetSize(*size)
    return node


def ras(node: Any, *ijk: float) -> tuple[float, ...]:
    return tuple((scenes.matrix(node) @ [*ijk, 1.0])[:3])


def test_a_region_touches_whole_voxels(scene: Any) -> None:
    node = scenes.add(scene, scenes.body())  # spacing 0.8, 0.7, 2.5
    found = region.bounds_of_roi(roi(scene, ras(node, 20, 30, 2), (8.0, 7.0, 2.5)), node)
    assert found == (15, 26, 25, 36, 2, 3) or found == (15, 26, 25, 36, 1, 4)
    assert region.bounds_of_roi(roi(scene, ras(node, 20, 30, 2), (7.2, 6.3, 2.4)), node) == (
        16,
        25,
        26,
        35,
        2,
        3,
    )
    assert region.bounds_of_roi(roi(scene, ras(node, 0, 0, 0), (1e4, 1e4, 1e4)), node) == (0, 64, 0, 64, 0, 4)
    with pytest.raises(ValueError, match="outside"):
        region.bounds_of_roi(roi(scene, ras(node, 200, 0, 0), (8.0, 8.0, 8.0)), node)
    with pytest.raises(ValueError, match="not placed"):
        region.bounds_of_roi(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"), node)


def test_a_region_follows_both_transforms(scene: Any) -> None:
    node = scenes.add(scene, scenes.body(), axes=scenes.LEFT_HANDED)
    box = roi(scene, ras(node, 20, 30, 2), (0.4, 0.4, 0.4))
    assert region.bounds_of_roi(box, node) == (20, 21, 30, 31, 2, 3)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move = vtk.vtkTransform()
    move.Translate(*(np.array(ras(node, 25, 30, 2)) - ras(node, 20, 30, 2)))
    transform.SetMatrixTransformToParent(move.GetMatrix())
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert region.bounds_of_roi(box, node) == (15, 16, 30, 31, 2, 3)
    box.SetAndObserveTransformNodeID(transform.GetID())
    assert region.bounds_of_roi(box, node) == (20, 21, 30, 31, 2, 3)


def tilted(scene: Any, node: Any, per_slice: float) -> Any:
    """Puts a volume under a grid transform that shifts its slices, as Slicer loads a tilted gantry."""
    from vtk.util.numpy_support import vtk_to_numpy

    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    count = scenes.voxels(node).shape[0]
    grid = vtk.vtkImageData()
    grid.SetDimensions(2, 2, count)
    grid.SetOrigin(bounds[0] - 50, bounds[2] - 50, ras(node, 0, 0, 0)[2])
    grid.SetSpacing(bounds[1] - bounds[0] + 100, bounds[3] - bounds[2] + 100, node.GetSpacing()[2])
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    shift = vtk_to_numpy(grid.GetPointData().GetScalars()).reshape(count, 2, 2, 3)
    shift[:] = 0.0
    shift[..., 1] = (per_slice * np.arange(count))[:, None, None]
    bend = slicer.vtkOrientedGridTransform()
    bend.SetDisplacementGridData(grid)
    transform = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "acquisition transform")
    transform.SetAndObserveTransformToParent(bend)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def test_a_tilted_gantry_is_denoised_on_its_own_voxels(scene: Any, logic: DenoiseLogic) -> None:
    """Slicer's default for it is a grid transform; hardening that would interpolate the noise away."""
    node = scenes.add(scene, scenes.body())
    plain = result(scene, logic.process(node))
    transform = tilted(scene, node, 5.0)
    assert not transform.IsTransformToWorldLinear()
    output = result(scene, logic.process(node))
    assert np.array_equal(scenes.voxels(output), scenes.voxels(plain))
    assert output.GetTransformNodeID() == transform.GetID()


@pytest.mark.parametrize("axes", [None, scenes.LEFT_HANDED], ids=["axial", "oblique left-handed"])
def test_a_sheared_grid_is_denoised_on_its_own_voxels(scene: Any, logic: DenoiseLogic, axes: Any) -> None:
    """What Slicer makes of a tilted gantry where it needs no transform; a NRRD file of it is refused."""
    node = scenes.add(scene, scenes.body(), axes=axes)
    plain = result(scene, logic.process(node))
    sheared = scenes.matrix(node)
    sheared[:3, 2] += 0.6 * sheared[:3, 1]
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    target = scenes.add(scene, np.zeros((2, 2, 2), np.int16), "mine")
    for output in (result(scene, logic.process(node)), result(scene, logic.process(node, target))):
        assert np.array_equal(scenes.voxels(output), scenes.voxels(plain))
        assert np.allclose(scenes.matrix(output), sheared, atol=1e-9)
    found = volumes.upright(sheared)
    lengths = np.linalg.norm(sheared[:3, :3], axis=0)
    assert np.allclose(found[:3, :3].T @ found[:3, :3], np.diag(lengths**2))
    assert np.linalg.det(found) * np.linalg.det(sheared) > 0
    assert np.allclose(found[:3, :2], sheared[:3, :2])
    assert np.array_equal(volumes.upright(scenes.matrix(plain)), scenes.matrix(plain))


def test_a_region_follows_a_bent_transform(scene: Any) -> None:
    node = scenes.add(scene, scenes.body())  # spacing 0.8, 0.7, 2.5: slice 3 moves by 15 mm, 21.4 voxels
    box = roi(scene, ras(node, 20, 30, 3), (0.4, 0.4, 0.4))
    assert region.bounds_of_roi(box, node) == (20, 21, 30, 31, 3, 4)
    tilted(scene, node, 5.0)
    assert region.bounds_of_roi(box, node) == (20, 21, 8, 10, 3, 4)  # 8.3 to 8.9 at its faces
    assert region.bounds_of_slice(node, ras(node, 20, 30, 1))[4:] == (1, 2)


def test_a_region_that_is_not_placed_is_laid_around_the_volume(scene: Any) -> None:
    node = scenes.add(scene, scenes.body(), axes=scenes.LEFT_HANDED)
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    region.fit(box, node)
    assert region.bounds_of_roi(box, node) == (0, 64, 0, 64, 0, 4)
    bounds = [0.0] * 6
    box.GetRASBounds(bounds)
    wanted = [0.0] * 6
    node.GetRASBounds(wanted)
    assert bounds == pytest.approx(wanted)
    box.SetSize(9, 9, 9)
    region.fit(box, node)
    assert box.GetSize() == (9, 9, 9)


def test_outside_of_the_region_nothing_changes(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body(), axes=scenes.LEFT_HANDED)
    box = roi(scene, ras(node, 20, 30, 2), (7.0, 7.0, 7.0))
    i0, i1, j0, j1, k0, k1 = region.bounds_of_roi(box, node)
    output = result(scene, logic.process(node, roi=box))
    inside = np.zeros(scenes.voxels(node).shape, bool)
    inside[k0:k1, j0:j1, i0:i1] = True
    changed = scenes.voxels(output) != scenes.voxels(node)
    assert changed[inside].mean() > 0.9
    assert not changed[~inside].any()
    assert output.GetAttribute("medidiff.roi") == ",".join(map(str, (i0, i1, j0, j1, k0, k1)))
    far = roi(scene, (9999, 0, 0), (1, 1, 1))
    assert "outside" in logic.checkProblem(node, None, far)
    with pytest.raises(ValueError, match="outside"):
        logic.process(node, roi=far)


def test_a_preview_is_one_slice(scene: Any, logic: DenoiseLogic) -> None:
    node = scenes.add(scene, scenes.body(5), axes=scenes.LEFT_HANDED)
    for point, k in (
        (None, 2),
        (ras(node, 3, 4, 1.4), 1),
        (ras(node, 3, 4, -50), 0),
        (ras(node, 3, 4, 70), 4),
    ):
        job = logic.previewSlice(node, rasPoint=point)
        output = result(scene, job)
        changed = (scenes.voxels(output) != scenes.voxels(node)).any(axis=(1, 2))
        assert changed.tolist() == [n == k for n in range(5)]
    assert job.kind == "preview"
    assert output.GetName().startswith("CT chest preview")
    again = result(scene, logic.previewSlice(node, output, rasPoint=None))
    assert again is output


def test_slices_lie_where_medidiff_takes_them() -> None:
    from medidiff.io.grid import slice_axis

    for spacing in (
        (0.8, 0.7, 2.5),
        (2.5, 0.7, 0.8),
        (0.7, 3.0, 0.7),
        (1, 1, 1),
        (1.1, 1, 1),
        (1, 1.3, 1),
        (3, 3, 1),
    ):
        for size in ((9, 8, 7), (1, 8, 7), (9, 1, 7), (9, 8, 1), (1, 1, 7)):
            assert region.slice_axis(spacing, size) == slice_axis(spacing, size)


# Export


def denoised(scene: Any, logic: DenoiseLogic, tmp_path: Path) -> tuple[Any, dict[str, str]]:
    """A result of a volume whose two source files are there."""
    node = scenes.add(scene, scenes.body())
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    paths = {uid: str(tmp_path / f"é {uid}.dcm") for uid in ("1.2.3", "1.2.4")}
    for path in paths.values():
        Path(path).write_bytes(b"DICM")
    return result(scene, logic.process(node)), paths


def test_what_cannot_be_exported(scene: Any, logic: DenoiseLogic, tmp_path: Path) -> None:
    output, paths = denoised(scene, logic, tmp_path)
    resolver = paths.get
    assert logic.exportProblem(output, resolver) == ""
    assert "choose a denoised one" in logic.exportProblem(None, resolver)
    assert "not made by" in logic.exportProblem(scenes.add(scene, scenes.body()), resolver)
    plain = result(scene, logic.process(scenes.add(scene, scenes.body())))
    assert "did not come from the DICOM database" in logic.exportProblem(plain, resolver)
    assert "no DICOM database" in logic.exportProblem(output)
    os.remove(paths["1.2.4"])
    assert "1 of the 2 source files" in logic.exportProblem(output, resolver)
    assert "2 of the 2" in logic.exportProblem(output, lambda uid: "")
    with pytest.raises(ValueError, match="no longer there"):
        logic.exportDicom(output, str(tmp_path), resolver=resolver)


def test_a_volume_changed_after_the_run_is_not_exported(
    scene: Any, logic: DenoiseLogic, tmp_path: Path
) -> None:
    output, paths = denoised(scene, logic, tmp_path)
    values = scenes.voxels(output)
    values[0, 0, 0] += 1
    with pytest.raises(ValueError, match="was changed after it was denoised"):
        logic.exportDicom(output, str(tmp_path), resolver=paths.get)
    values[0, 0, 0] -= 1
    with pytest.raises(RuntimeError):  # the worker of these tests cannot derive
        logic.exportDicom(output, str(tmp_path), resolver=paths.get)


def test_provenance_survives_the_scene_file(scene: Any, logic: DenoiseLogic, tmp_path: Path) -> None:
    output, _ = denoised(scene, logic, tmp_path)
    digest, made = provenance.digest(scenes.voxels(output)), provenance.derivation(output)
    volumes.export(output, tmp_path / "v.nrrd")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(tmp_path / "v.nrrd"))
    output.SetAndObserveStorageNodeID(storage.GetID())
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    other = scenes.new_scene()
    other.SetURL(str(tmp_path / "scene.mrml"))
    other.Import()
    again = other.GetFirstNodeByName("CT chest denoised")
    assert provenance.sources(again) == ["1.2.3", "1.2.4"]
    assert provenance.derivation(again) == made
    assert again.GetAttribute(provenance.VOXELS) == digest == provenance.digest(scenes.voxels(again))
    assert hashlib.sha256(b"").hexdigest() != digest
