"""The panel on stand-ins, with a job that goes where the test sends it: names, states, bindings."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

MODULE = Path(__file__).resolve().parents[2] / "plugins" / "slicer" / "MediDiffDenoise"
FORM = ElementTree.parse(MODULE / "Resources" / "UI" / "MediDiffDenoise.ui")
NAMES = {w.get("name") for w in FORM.iter("widget")}
SECTIONS = {
    "inputsCollapsibleButton": ("inputSelector", "modalityComboBox", "modelComboBox"),
    "outputsCollapsibleButton": ("outputSelector", "differenceCheckBox", "showComparisonCheckBox"),
    "runCollapsibleButton": (
        "previewButton", "applyButton", "cancelButton", "progressBar", "etaLabel", "statusLabel",
    ),
    "advancedCollapsibleButton": (
        "presetComboBox", "stepsSpinBox", "strengthSlider", "seedSpinBox", "deviceComboBox", "threadsSpinBox",
        "roiSelector", "pythonPathLineEdit", "checkEnvironmentButton", "openModelsFolderButton",
        "exportDicomButton",
    ),
    "logCollapsibleButton": ("logTextEdit", "copyLogButton"),
}  # fmt: skip
RUNNING = {"state": "running", "fraction": 0.4, "stage": "denoising", "eta_s": 75.0, "device": "CPU"}


def info(name: str, modality: str = "ct", **more: Any) -> Any:
    from MediDiffDenoiseLib.report import ModelInfo

    return ModelInfo(name, "1.0", modality, "Apache-2.0", "eight patients", **more)


def report(**more: Any) -> Any:
    from MediDiffDenoiseLib.report import Report

    facts = {
        "version": "0.1.0",
        "python": "python3",
        "source": "PATH",
        "devices": ("CPU",),
        "log": "the report",
    }
    return Report(**{"ok": True, "models": (info("ct"), info("mr", "mr")), **facts, **more})


@pytest.fixture
def widget(module: Any, volume: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from doubles import ScriptedLogic

    monkeypatch.setattr(module, "MediDiffDenoiseLogic", ScriptedLogic)
    widget = module.MediDiffDenoiseWidget()
    widget.setup()
    widget.logic.report = report()
    widget.parent.show()
    yield widget
    widget.cleanup()
    widget.parent.close()


@pytest.fixture
def running(widget: Any, until: Callable[..., None]) -> Any:
    """The widget, and its job in state running."""
    widget.logic.steps = [RUNNING]
    widget.ui.applyButton.click()
    job = widget.logic.jobs[0]
    until(lambda: job.state == "running" and widget.ui.progressBar.value)
    return widget, job


def flags(box: Any, index: int) -> bool:
    """Whether an item can be chosen."""
    import qt

    return bool(box.model().flags(box.model().index(index, 0)) & qt.Qt.ItemIsEnabled)


# The form ------------------------------------------------------------------------


def test_every_object_is_in_its_section() -> None:
    sections = [w for w in FORM.iter("widget") if w.get("class") == "ctkCollapsibleButton"]
    assert [s.get("name") for s in sections] == list(SECTIONS)
    for section in sections:
        inside = {w.get("name") for w in section.iter("widget")}
        assert set(SECTIONS[section.get("name")]) <= inside


def test_every_name_used_in_the_code_is_in_the_form() -> None:
    used = set()
    for path in MODULE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] in ("ui", "_ui"):
                used.add(node.attr)
        used |= set(re.findall(r'"(\w+(?:Button|Frame|Label|Selector|Box|Slider|Edit))"', text))
    assert len(used) > 30
    assert used <= NAMES
    assert {"applyButton", "logTextEdit"} <= used


def test_bound_widgets_name_parameters(scene: Any) -> None:
    from MediDiffDenoiseLib.parameters import DenoiseParameters

    bound = {}
    for node in FORM.iter("widget"):
        for entry in node.findall("property"):
            if entry.get("name") == "SlicerParameterName":
                bound[entry.findtext("string")] = node.get("name")
    assert set(bound) == set(DenoiseParameters.members) - {"model"}
    assert "modelComboBox" not in bound.values()


def test_the_banner_warns(widget: Any) -> None:
    assert widget.ui.bannerLabel.text == (
        "Research use only. Denoising with a generative model can remove or invent detail - "
        "compare with the original."
    )


def test_every_control_explains_itself() -> None:
    kinds = ("QPushButton", "QComboBox", "QSpinBox", "QCheckBox", "ctkSliderWidget", "qMRMLNodeComboBox")
    silent = {
        w.get("name") for w in FORM.iter("widget")
        if w.get("class") in (*kinds, "ctkPathLineEdit")
        and not any(p.get("name") == "toolTip" for p in w.findall("property"))
    }  # fmt: skip
    assert silent <= {"applyButton", "modelComboBox"}  # theirs says what would happen


# Idle -----------------------------------------------------------------------------


def test_it_starts_with_the_volume_at_hand(widget: Any, volume: Any) -> None:
    assert widget.panel.parameters.inputVolume is volume
    assert widget.ui.inputSelector.currentNode() is volume
    assert widget.ui.outputSelector.noneDisplay == "Create new volume"
    assert widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Denoise 'CT chest' and make 'CT chest denoised'."
    assert not widget.ui.cancelButton.visible
    assert not widget.ui.progressBar.visible
    assert not widget.ui.errorFrame.visible


def test_apply_is_disabled_with_a_reason(widget: Any) -> None:
    widget.logic.problem = "The volume has no voxels."
    widget.panel.refresh()
    ui = widget.ui
    assert not ui.applyButton.enabled
    assert not ui.previewButton.enabled
    assert ui.applyButton.toolTip == ui.statusLabel.text == "The volume has no voxels."
    widget.panel.apply()
    assert widget.logic.calls == []


def test_removing_the_volume_disables_apply(widget: Any, scene: Any, volume: Any) -> None:
    scene.RemoveNode(volume)
    assert widget.panel.parameters.inputVolume is None
    assert not widget.ui.applyButton.enabled
    assert "Choose" in widget.ui.applyButton.toolTip


@pytest.mark.parametrize(
    ("facts", "settings", "words"),
    [
        ({"models": ()}, {}, "no model"),
        ({}, {"device": "gpu"}, "graphics card"),
        ({}, {"model": "gone"}, "not installed"),
        ({}, {"model": "mr", "modality": "CT"}, "is for MR"),
        ({}, {"model": "mr", "modality": "MR"}, ""),
        ({"gpu": True}, {"device": "gpu"}, ""),
        ({}, {"model": "/some/folder"}, ""),
    ],
)
def test_what_the_worker_would_refuse_is_told_before(
    widget: Any, facts: Any, settings: Any, words: str
) -> None:
    for name, value in settings.items():
        setattr(widget.panel.parameters, name, value)
    widget.panel.machine.take(report(**facts))
    assert words in widget.ui.applyButton.toolTip
    assert widget.ui.applyButton.enabled == (not words)


def test_little_memory_is_told_but_does_not_hinder(widget: Any) -> None:
    widget.panel.machine.take(report(memory_gb=0.3))
    assert "0.3 GB are free" in widget.ui.statusLabel.text
    assert widget.ui.applyButton.enabled


def test_a_sequence_frame_is_told(widget: Any, volume: Any) -> None:
    import types

    import slicer

    assert not widget.ui.sequenceLabel.visible
    logic = types.SimpleNamespace(GetFirstBrowserNodeForProxyNode=lambda node: node)
    slicer.modules.sequences = types.SimpleNamespace(logic=lambda: logic)
    widget.panel.refresh()
    assert widget.ui.sequenceLabel.visible


def test_presets_bring_their_steps(widget: Any) -> None:
    ui, parameters = widget.ui, widget.panel.parameters
    assert not ui.stepsSpinBox.enabled
    for preset, steps in (("quality", 8), ("balanced", 2)):
        index = ui.presetComboBox.findText(preset)
        ui.presetComboBox.setCurrentIndex(index)
        ui.presetComboBox.activated.emit(index)
        assert (parameters.preset, parameters.steps, ui.stepsSpinBox.enabled) == (preset, steps, True)
        assert ui.presetHintLabel.text
    assert not ui.seedSpinBox.enabled


# Models ----------------------------------------------------------------------------


def test_models_are_listed_with_licence_and_data(widget: Any) -> None:
    import qt

    box = widget.ui.modelComboBox
    broken = info("old", usable=False, problem="sha256 differs")
    widget.panel.machine.take(report(models=(info("ct"), info("mr", "mr"), broken)))
    texts = [box.itemText(i) for i in range(box.count)]
    assert texts == ["Automatic, by modality", "ct 1.0", "mr 1.0", "old (damaged)"]
    assert [flags(box, i) for i in range(4)] == [True, True, True, False]
    tip = box.itemData(1, qt.Qt.ToolTipRole)
    assert "Apache-2.0" in tip
    assert "eight patients" in tip
    widget.panel.parameters.modality = "MR"
    assert [box.itemText(i) for i in range(box.count)] == [texts[0], "mr 1.0", "old (damaged)"]


def test_choosing_a_model_is_remembered(widget: Any) -> None:
    widget.panel.machine.take(report())
    box = widget.ui.modelComboBox
    box.setCurrentIndex(2)
    box.activated.emit(2)
    assert widget.panel.parameters.model == "mr"
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert widget.panel.parameters.model == ""


def test_a_saved_model_that_is_absent_stays_visible(widget: Any) -> None:
    widget.panel.parameters.model = "theirs"
    box = widget.ui.modelComboBox
    assert box.currentText == "theirs"  # nobody has asked the worker yet
    widget.panel.machine.take(report())
    assert box.currentText == "theirs (not installed)"
    assert not flags(box, box.currentIndex)
    assert widget.panel.parameters.model == "theirs"
    assert not widget.ui.applyButton.enabled


# Running ---------------------------------------------------------------------------


def test_apply_passes_the_settings(widget: Any, volume: Any) -> None:
    p = widget.panel.parameters
    p.strength, p.seed, p.device, p.modality, p.preset, p.steps = 0.5, 9, "cpu", "CT", "quality", 12
    widget.ui.differenceCheckBox.checked = True
    widget.ui.applyButton.click()
    (kind, arguments, settings), *others = widget.logic.calls
    assert (kind, others) == ("denoise", [])
    assert arguments[0] is volume
    assert arguments[1] is None
    assert settings == {
        "model": "", "modality": "CT", "preset": "quality", "steps": 12, "strength": 0.5, "seed": 9,
        "device": "cpu", "roi": None, "makeDifference": True, "wait": False,
    }  # fmt: skip


def test_fast_takes_the_steps_of_the_worker(widget: Any) -> None:
    widget.ui.applyButton.click()
    assert widget.logic.calls[0][2]["steps"] is None


def test_apply_and_cancel_swap(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    ui = widget.ui
    assert (ui.applyButton.visible, ui.cancelButton.visible) == (False, True)
    assert not ui.inputSelector.enabled
    assert not ui.strengthSlider.enabled
    ui.cancelButton.click()
    assert job.cancelled == 1
    assert ui.statusLabel.text == "Cancelling..."
    assert not ui.cancelButton.enabled
    until(lambda: ui.applyButton.visible)
    assert not ui.cancelButton.visible
    assert ui.statusLabel.text == "Cancelled. Nothing was changed."
    assert ui.inputSelector.enabled


def test_starting_is_busy(widget: Any) -> None:
    widget.ui.applyButton.click()
    assert widget.ui.statusLabel.text == "Starting medidiff..."
    assert widget.ui.progressBar.maximum == 0
    assert widget.ui.cancelButton.enabled


def test_the_bar_moves(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    ui = widget.ui
    assert (ui.progressBar.value, ui.progressBar.maximum) == (400, 1000)
    assert ui.etaLabel.text == "On CPU, 1 min left"
    assert ui.statusLabel.text == "Denoising..."
    job.steps = [{"fraction": 0.8, "eta_s": 12.4}]
    until(lambda: ui.progressBar.value == 800)
    assert "12 s left" in ui.etaLabel.text
    job.steps = [{"state": "importing"}]
    until(lambda: "scene" in ui.statusLabel.text)
    assert not ui.cancelButton.enabled


def test_a_second_apply_starts_nothing(running: Any) -> None:
    widget, _ = running
    widget.panel.apply()
    widget.panel.preview()
    widget.ui.applyButton.click()
    assert len(widget.logic.jobs) == 1


@pytest.mark.parametrize("kind", [ValueError, OSError, RuntimeError])
def test_a_refused_start_is_shown(widget: Any, kind: type[Exception]) -> None:
    widget.logic.refusal = kind("The volume has two components.")
    widget.ui.applyButton.click()
    assert not widget.ui.statusLabel.visible
    assert widget.ui.errorFrame.visible
    assert widget.ui.errorLabel.text == "The volume has two components."
    assert widget.ui.applyButton.visible


def test_an_error_of_the_module_before_the_run_is_shown(widget: Any) -> None:
    widget.logic.refusal = KeyError("oops")
    widget.ui.applyButton.click()
    assert "error in this module" in widget.ui.errorLabel.text
    assert "oops" in widget.ui.hintLabel.text
    assert "Preparing" not in widget.ui.statusLabel.text
    assert widget.ui.applyButton.enabled


def test_a_failure_says_what_and_what_to_do(running: Any, until: Callable[..., None]) -> None:
    from MediDiffDenoiseLib.joberror import JobError

    widget, job = running
    ui = widget.ui
    log = "\n".join(f"line {n}" for n in range(100))
    job.steps = [{"state": "failed", "error": JobError("Out of memory.", "Choose a region."), "log": log}]
    until(lambda: ui.errorFrame.visible)
    assert (ui.errorLabel.text, ui.hintLabel.text) == ("Out of memory.", "Choose a region.")
    assert not ui.detailsTextEdit.visible
    ui.detailsButton.click()
    assert ui.detailsTextEdit.visible
    assert ui.detailsTextEdit.plainText.splitlines()[-1] == "line 99"
    assert len(ui.detailsTextEdit.plainText.splitlines()) == 40
    assert "Traceback" not in ui.errorLabel.text
    assert ui.applyButton.enabled
    ui.applyButton.click()
    assert not ui.errorFrame.visible


def test_an_error_of_the_module_ends_the_job(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    job.steps = [{"raise": KeyError("oops")}]
    until(lambda: widget.ui.errorFrame.visible)
    assert job.killed == 1
    assert widget.ui.applyButton.visible
    assert "oops" in widget.ui.hintLabel.text


def test_warnings_are_shown_at_the_end(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    warning = ("spacing", "The slices are 12 mm apart.")
    job.steps = [{"state": "done", "outputNodeID": job.inputNodeID, "warnings": [warning]}]
    until(lambda: widget.ui.applyButton.visible)
    assert widget.ui.statusLabel.text == "Done on CPU: 'CT chest'.\nNote: The slices are 12 mm apart."
    assert widget.panel.logic.machine.lastDevice == "CPU"


def test_the_noise_level_is_told(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    job.steps = [{"state": "done", "outputNodeID": job.inputNodeID, "noise": "24.9 HU (auto)"}]
    until(lambda: widget.ui.applyButton.visible)
    assert widget.ui.statusLabel.text == "Done on CPU: 'CT chest', noise level 24.9 HU (auto)."


def test_the_log_grows_and_stays_bounded(running: Any, until: Callable[..., None]) -> None:
    import qt
    from MediDiffDenoiseLib.logbox import CAP

    widget, job = running
    ui = widget.ui
    job.steps = [{"log": "one"}, {"log": "one\ntwo"}]
    until(lambda: "two" in ui.logTextEdit.plainText)
    assert ui.logTextEdit.plainText == "one\ntwo"
    assert ui.logTextEdit.readOnly
    job.steps = [{"log": "x" * (CAP + 5) + "end"}]
    until(lambda: ui.logTextEdit.plainText.endswith("end"))
    assert len(ui.logTextEdit.plainText) <= CAP
    widget.panel.log.environment = "the report"
    ui.copyLogButton.click()
    assert qt.QApplication.clipboard().text().startswith("the report\n\nx")


def test_closing_the_scene_cancels(running: Any, scene: Any, until: Callable[..., None]) -> None:
    widget, job = running
    scene.Clear()
    assert job.cancelled == 1
    until(lambda: widget.ui.applyButton.visible)
    assert not widget.ui.applyButton.enabled
    assert widget.panel.parameters.inputVolume is None


def test_leaving_the_module_lets_the_job_go_on(running: Any, until: Callable[..., None]) -> None:
    widget, job = running
    widget.exit()
    job.steps = [{"state": "done", "log": "over", "outputNodeID": job.inputNodeID}]
    until(lambda: not widget.panel.driver.busy)
    assert not job.killed
    assert not job.cancelled
    widget.enter()
    assert widget.ui.applyButton.enabled
    assert widget.ui.statusLabel.text.startswith("Done")


def test_a_preview_does_not_take_the_views_of_another_module(
    widget: Any, scene: Any, until: Callable[..., None], application: Any
) -> None:
    made = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT chest preview")
    layout = application.layoutManager().layout
    widget.logic.steps = [RUNNING, {"state": "done", "outputNodeID": made.GetID()}]
    widget.ui.previewButton.click()
    widget.exit()
    until(lambda: not widget.panel.driver.busy)
    assert application.layoutManager().layout == layout
    widget.enter()
    assert widget.ui.comparisonFrame.visible  # to be chosen


def test_leaving_and_coming_back_keeps_the_settings(widget: Any) -> None:
    """Bindings that were not undone would write the first choice of every box (Slicer#7547)."""
    p = widget.panel.parameters
    p.preset, p.modality, p.device, p.strength, p.seed = "quality", "MR", "cpu", 0.5, 7
    node, before = p.parameterNode, {n: p.parameterNode.GetParameter(n) for n in p.members}
    for _ in range(2):
        widget.exit()
        widget.ui.strengthSlider.value = 0.9  # nobody is bound to it
        assert {n: node.GetParameter(n) for n in p.members} == before
        widget.enter()
        assert {n: node.GetParameter(n) for n in p.members} == before


def test_a_seed_cannot_be_negative(widget: Any) -> None:
    """Slicer's binding replaces the bounds of the form by those of the parameter."""
    widget.ui.seedSpinBox.value = -5
    assert widget.ui.seedSpinBox.value == 0
    widget.ui.seedSpinBox.value = 2**31 - 1
    assert widget.panel.parameters.seed == 2**31 - 1


@pytest.mark.parametrize("how", ["cleanup", "quit"])
def test_the_end_of_the_application_kills(running: Any, application: Any, how: str) -> None:
    widget, job = running
    if how == "cleanup":
        widget.cleanup()
    else:
        application.aboutToQuit.emit()
    assert job.killed == 1


def test_parameters_survive_the_scene_file(widget: Any, scene: Any, volume: Any, tmp_path: Path) -> None:
    p = widget.panel.parameters
    p.strength, p.preset, p.model, p.seed, p.showComparison = 0.3, "balanced", "theirs", 5, False
    path = tmp_path / "scene.mrml"
    scene.Commit(str(path))
    scene.Clear()
    assert widget.ui.strengthSlider.value == 1.0
    scene.SetURL(str(path))
    scene.Connect()
    p = widget.panel.parameters
    kept = (p.strength, p.preset, p.model, p.seed, p.showComparison, p.inputVolume.GetName())
    assert kept == (0.3, "balanced", "theirs", 5, False, "CT chest")
    assert widget.ui.strengthSlider.value == pytest.approx(0.3)
    assert widget.ui.presetComboBox.currentText == "balanced"
    assert widget.ui.inputSelector.currentNode().GetName() == "CT chest"
    assert widget.ui.modelComboBox.currentText.startswith("theirs")


def test_a_choice_of_another_version_does_not_break_the_panel(
    widget: Any, scene: Any, tmp_path: Path
) -> None:
    node = widget.panel.parameters.parameterNode
    widget.exit()
    node.SetParameter("preset", "ultra")
    node.SetParameter("device", "npu")
    widget.enter()
    assert (widget.panel.parameters.preset, widget.panel.parameters.device) == ("fast", "auto")
    assert widget.ui.presetComboBox.currentText == "fast"
    assert widget.ui.applyButton.enabled
    path = tmp_path / "scene.mrml"
    scene.Commit(str(path))
    saved = path.read_text()
    assert "preset fast" in saved
    path.write_text(saved.replace("preset fast", "preset ultra"))
    scene.Clear()
    scene.SetURL(str(path))
    scene.Connect()
    assert widget.ui.presetComboBox.currentText == widget.panel.parameters.preset == "fast"
    assert widget.ui.applyButton.enabled


def test_slicer_may_leave_the_module_after_its_end(widget: Any) -> None:
    widget.cleanup()
    widget.exit()
    widget.enter()


def test_a_new_region_is_laid_around_the_volume(widget: Any, scene: Any, volume: Any) -> None:
    """The selector makes a ROI that is nowhere; nothing in the panel could place it."""
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    widget.panel.parameters.roi = box
    assert box.GetNumberOfControlPoints() == 1
    assert box.GetSize() == pytest.approx([32 * 0.8, 24 * 0.8, 5 * 2.5])


def test_a_region_that_is_moved_is_looked_at_again(
    module: Any, widget: Any, scene: Any, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MediDiffDenoiseLib.logic import DenoiseLogic

    monkeypatch.setattr(widget.logic, "checkProblem", DenoiseLogic().checkProblem)
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    widget.panel.parameters.roi = box
    assert widget.ui.applyButton.enabled
    box.SetCenter(999, 0, 0)
    assert "lies outside" in widget.ui.applyButton.toolTip
    assert not widget.ui.applyButton.enabled
    box.SetCenter(0, 0, 0)
    assert widget.ui.applyButton.enabled
    volume.SetName("CT knee")
    assert "CT knee" in widget.ui.applyButton.toolTip


# Preview, export, machine -----------------------------------------------------------


def test_preview_asks_for_the_red_slice(widget: Any, volume: Any, application: Any) -> None:
    node = application.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.GetSliceToRAS().SetElement(2, 3, 5.0)
    node.UpdateMatrices()
    widget.ui.previewButton.click()
    (kind, arguments, settings), *_ = widget.logic.calls
    assert kind == "preview"
    assert arguments[0] is volume
    assert settings["rasPoint"] == (0.0, 0.0, 5.0)
    assert "roi" not in settings


def test_a_second_preview_reuses_the_volume(widget: Any, scene: Any, until: Callable[..., None]) -> None:
    made = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT chest preview")
    made.SetAttribute("medidiff.sourceVolumeID", widget.panel.parameters.inputVolume.GetID())
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MR head")
    widget.logic.steps = [{"state": "done", "outputNodeID": made.GetID()}]
    for chosen in (None, None, other):
        widget.panel.parameters.inputVolume = chosen or widget.panel.parameters.inputVolume
        widget.ui.previewButton.click()
        until(lambda: not widget.panel.driver.busy)
    # A preview of another volume would stand under the name of the first.
    assert [call[1][1] for call in widget.logic.calls] == [None, made, None]


def test_export_is_disabled_with_a_reason_and_then_works(
    widget: Any, scene: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import qt

    ui = widget.ui
    assert not ui.exportDicomButton.enabled
    assert ui.exportDicomButton.toolTip.startswith("Denoise a volume first")
    made = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT chest denoised")
    widget.panel.parameters.outputVolume = made
    assert ui.exportDicomButton.toolTip == widget.logic.noExport
    widget.logic.noExport = ""
    made.Modified()
    widget.panel.refresh()
    assert ui.exportDicomButton.enabled
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    widget.logic.steps = [{"state": "done", "files": ["out/a", "out/b"]}]
    ui.exportDicomButton.click()
    until(lambda: not widget.panel.driver.busy)
    assert widget.logic.calls[0][:2] == ("export", (made, str(tmp_path)))
    assert ui.statusLabel.text == "Done: 2 DICOM files in out."


def test_entering_asks_the_worker_once(widget: Any, until: Callable[..., None]) -> None:
    widget.enter()
    assert not widget.ui.checkEnvironmentButton.enabled
    until(lambda: widget.panel.machine.report is not None)
    assert widget.ui.environmentLabel.text.startswith("medidiff 0.1.0 is ready.")
    assert widget.ui.checkEnvironmentButton.enabled
    widget.enter()
    assert not widget.panel.machine.busy


def test_a_missing_worker_shows_how_to_get_it(widget: Any, until: Callable[..., None]) -> None:
    import qt
    from MediDiffDenoiseLib.report import Problem

    problem = Problem("medidiff was not found.", "Install it with the commands below.")
    widget.logic.report = report(ok=False, problems=(problem,), setup="python -m venv x")
    ui = widget.ui
    assert ui.advancedCollapsibleButton.collapsed
    widget.enter()
    until(lambda: widget.panel.machine.report is not None)
    assert not ui.advancedCollapsibleButton.collapsed
    assert "Install it" in ui.environmentLabel.text
    assert ui.setupTextEdit.plainText == "python -m venv x"
    assert not ui.applyButton.enabled
    assert "not found" in ui.applyButton.toolTip
    ui.copySetupButton.click()
    assert qt.QApplication.clipboard().text() == "python -m venv x"


def test_machine_settings_stay_on_the_machine(widget: Any, module: Any) -> None:
    import qt

    widget.panel.machine.take(report())
    widget.ui.pythonPathLineEdit.currentPath = "/opt/medidiff python"
    widget.ui.threadsSpinBox.value = 3
    widget.ui.modelFolderLineEdit.currentPath = "/models"
    assert widget.panel.machine.report is None
    assert "Check environment" in widget.ui.environmentLabel.text
    assert qt.QSettings().value("MediDiff/pythonPath") == "/opt/medidiff python"
    node = widget.panel.parameters.parameterNode
    assert "opt" not in " ".join(node.GetParameter(n) for n in node.GetParameterNames())
    other = module.MediDiffDenoiseWidget()
    other.setup()
    assert other.ui.pythonPathLineEdit.currentPath == "/opt/medidiff python"
    assert other.ui.threadsSpinBox.value == 3
    other.cleanup()


def test_the_models_folder_is_opened_or_explained(
    widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    opened: list[str] = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    ui = widget.ui
    ui.openModelsFolderButton.click()
    assert "models folder above" in ui.environmentLabel.text
    ui.modelFolderLineEdit.currentPath = str(tmp_path)
    ui.openModelsFolderButton.click()
    assert "There is no folder" in ui.environmentLabel.text
    (tmp_path / "models").mkdir()
    ui.openModelsFolderButton.click()
    assert opened == [str(tmp_path / "models")]


def test_the_picture_of_the_panel(widget: Any, tmp_path: Path) -> None:
    import pictures

    image = pictures.grab(widget)
    assert image.save(str(tmp_path / "panel.png"))
    assert image.width() == 460
    assert image.height() > 300
    colours = {image.pixel(x, y) for x in range(0, 460, 5) for y in range(0, image.height(), 5)}
    assert len(colours) > 5


def test_long_names_do_not_widen_the_panel(widget: Any, volume: Any, application: Any) -> None:
    """Slicer makes the module panel as wide as its content must be, and takes the width from the views."""
    path = r"C:\Users\firstname.lastname\AppData\Local\Programs\medidiff\medidiff-env\Scripts\python.exe"
    application.processEvents()
    before = widget.parent.minimumSizeHint().width()
    widget.ui.advancedCollapsibleButton.collapsed = False
    widget.panel.machine.take(report(python=path))
    volume.SetName("1.2.840.113619.2.55.3.2831217736.525_T1_MPRAGE_SAG_ISO_p2_fs_very_long_description")
    widget.panel.parameters.model = path
    widget.panel.run.outcome(f"Done: '{volume.GetName()}_denoised'.")
    widget.panel.run.error(f"{path} cannot be started.", path, "")
    widget.panel.refresh()
    widget.ui.etaLabel.text = path
    widget.ui.etaLabel.visible = True
    application.processEvents()
    for name in ("statusLabel", "errorLabel", "environmentLabel", "etaLabel"):
        assert getattr(widget.ui, name).visible
    assert widget.parent.minimumSizeHint().width() == before


@pytest.mark.parametrize("line", ["pythonPathLineEdit", "modelFolderLineEdit"])
def test_an_emptied_path_is_forgotten(widget: Any, line: str) -> None:
    """CTK tells no change of an emptied line: the Python that it named would be started for ever."""
    machine, edit = widget.logic.machine, getattr(widget.ui, line)
    edit.currentPath = "/opt/medidiff"
    assert "/opt/medidiff" in (machine.pythonPath, machine.modelFolder)
    edit.currentPath = ""
    assert (machine.pythonPath, machine.modelFolder) == ("", "")
    assert "was changed" in widget.ui.environmentLabel.text


@pytest.fixture
def dark(application: Any) -> Iterator[None]:
    """The application in dark colours; a panel takes them when it is made."""
    from PySide6 import QtGui

    before = QtGui.QPalette(application.palette())
    application.setPalette(QtGui.QPalette(QtGui.QColor("#353535")))
    yield
    application.setPalette(before)


@pytest.mark.parametrize("checked", [False, True])
def test_the_details_button_is_readable_on_a_dark_theme(
    dark: None, widget: Any, application: Any, checked: bool
) -> None:
    """Contrast of text and background as in WCAG 2.1, 1.4.3: at least 4.5."""
    form, button = widget.parent, widget.ui.detailsButton
    widget.panel.run.error("It failed.", "", "the last lines")
    button.checked = checked
    application.processEvents()
    image = form.grab().toImage()
    corner = button.mapTo(form, button.rect.topLeft())
    inner = button.rect.translated(corner).adjusted(4, 3, -4, -3)
    lights = sorted(
        _luminance(image.pixelColor(x, y))
        for x in range(inner.left(), inner.right())
        for y in range(inner.top(), inner.bottom())
    )
    background = lights[len(lights) // 2]  # most of a button is no text
    assert max(_contrast(background, text) for text in (lights[0], lights[-1])) >= 4.5
    assert background > 0.5  # it belongs to the light frame around it


def _luminance(colour: Any) -> float:
    """Relative luminance of an sRGB colour."""
    parts = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
