"""The panel with its real logic and real processes: a stub, workers that misbehave, and medidiff itself."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
HELLO = {"event": "hello", "version": "9", "protocol": 1}
START = {"event": "start", "shape": [5, 24, 32], "device": "CPU", "model": "ct", "licence": "Apache-2.0"}
REFUSED = {"event": "error", "code": "refused", "text": "Too small.", "hint": "Take more."}
POSIX = pytest.mark.skipif(os.name == "nt", reason="looks at processes the POSIX way")


@pytest.fixture
def widget(module: Any, volume: Any, application: Any, tmp_path: Path) -> Iterator[Any]:
    """The panel, with no medidiff on the path."""
    import qt

    application.environment = qt.QProcessEnvironment()
    application.environment.insert("PATH", "/usr/bin:/bin")
    widget = module.MediDiffDenoiseWidget()
    widget.setup()
    widget.parent.show()
    widget.panel.parameters.modality = "CT"
    yield widget
    widget.cleanup()
    widget.parent.close()


@pytest.fixture
def stub(widget: Any, tmp_path: Path) -> Any:
    """The panel with the stub worker."""
    from MediDiffDenoiseLib.selftest import stubPython

    folder = tmp_path / "with space and é"
    folder.mkdir()
    widget.ui.pythonPathLineEdit.currentPath = stubPython(str(folder))
    return widget


@pytest.fixture
def fake(widget: Any, application: Any, tmp_path: Path) -> Callable[..., Any]:
    """Starts a run with a worker that does what it is told."""
    from MediDiffDenoiseLib.selftest import stubPython

    def begin(**told: Any) -> Any:
        application.environment.insert("FAKE_WORKER", json.dumps(told))
        widget.ui.pythonPathLineEdit.currentPath = stubPython(str(tmp_path), str(HERE / "fake_worker.py"))
        widget.ui.applyButton.click()
        return widget.panel.driver.job

    return begin


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def volumes() -> list[str]:
    import slicer

    return [n.GetName() for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]


def test_apply_makes_volumes_and_shows_them(
    stub: Any, volume: Any, until: Callable[..., None], application: Any
) -> None:
    import slicer

    before = slicer.util.arrayFromVolume(volume).copy()
    stub.ui.differenceCheckBox.checked = True
    stub.panel.parameters.preset = "quality"
    stub.ui.applyButton.click()
    assert stub.ui.cancelButton.visible
    until(lambda: not stub.panel.driver.busy)
    assert not stub.ui.errorFrame.visible, stub.ui.errorLabel.text + stub.ui.logTextEdit.plainText
    assert sorted(volumes()) == ["CT chest", "CT chest denoised", "CT chest removed", "CT chest uncertainty"]
    output = slicer.util.getNode("CT chest denoised")
    after = slicer.util.arrayFromVolume(output)
    assert np.array_equal(before, slicer.util.arrayFromVolume(volume))
    assert after.std() < before.std()
    assert stub.ui.statusLabel.text.startswith("Done on CPU: 'CT chest denoised'.")
    assert stub.panel.resultID == output.GetID()
    yellow = application.layoutManager().sliceWidget("Yellow").sliceLogic().GetSliceCompositeNode()
    assert yellow.GetBackgroundVolumeID() == output.GetID()
    box = stub.ui.comparisonComboBox
    assert [box.itemData(i) for i in range(box.count)] == ["side", "fade", "removed", "uncertainty"]
    assert slicer.util.getNode("CT chest removed").GetDisplayNode().GetLevel() == pytest.approx(0)
    assert "@medidiff" not in stub.ui.statusLabel.text
    assert "denoise" in stub.ui.logTextEdit.plainText
    assert not stub.ui.exportDicomButton.enabled
    assert "DICOM" in stub.ui.exportDicomButton.toolTip


def test_no_comparison_if_not_wanted(stub: Any, until: Callable[..., None], application: Any) -> None:
    stub.ui.showComparisonCheckBox.checked = False
    stub.ui.applyButton.click()
    until(lambda: not stub.panel.driver.busy)
    assert application.layoutManager().layout == 3
    assert stub.ui.comparisonFrame.visible  # it can still be chosen


def test_preview_changes_the_slice_of_the_red_view(
    stub: Any, volume: Any, until: Callable[..., None], application: Any
) -> None:
    import slicer

    node = application.layoutManager().sliceWidget("Red").mrmlSliceNode()
    node.GetSliceToRAS().SetElement(2, 3, 3 * 2.5 + 0.4)
    node.UpdateMatrices()
    for _ in range(2):
        stub.ui.previewButton.click()
        until(lambda: not stub.panel.driver.busy)
        assert node.GetSliceOffset() == pytest.approx(3 * 2.5)  # seen, where fitting would go elsewhere
    assert volumes() == ["CT chest", "CT chest preview"]
    before = slicer.util.arrayFromVolume(volume)
    after = slicer.util.arrayFromVolume(slicer.util.getNode("CT chest preview"))
    assert [k for k in range(5) if not np.array_equal(before[k], after[k])] == [3]


def test_the_check_lists_models(stub: Any, until: Callable[..., None]) -> None:
    stub.enter()
    until(lambda: stub.panel.machine.report is not None)
    assert stub.ui.environmentLabel.text.startswith("medidiff 0.0.stub is ready.")
    box = stub.ui.modelComboBox
    assert [box.itemData(i) for i in range(box.count)] == ["", "stub"]
    assert "Apache-2.0" in box.itemData(1, 3)


def test_no_medidiff_at_all(widget: Any, until: Callable[..., None]) -> None:
    widget.enter()
    until(lambda: widget.panel.machine.report is not None)
    assert "not found" in widget.ui.applyButton.toolTip
    assert not widget.ui.applyButton.enabled
    assert "pip install" in widget.ui.setupTextEdit.plainText
    widget.ui.pythonPathLineEdit.currentPath = "/nothing/here/python"
    assert widget.ui.applyButton.enabled  # not asked yet
    widget.ui.applyButton.click()
    until(lambda: widget.ui.errorFrame.visible)
    assert "/nothing/here/python" in widget.ui.errorLabel.text
    assert volumes() == ["CT chest"]


def test_progress_of_a_process_moves_the_bar(fake: Any, widget: Any, until: Callable[..., None]) -> None:
    steps = [{"event": "progress", "stage": "denoising", "fraction": f, "eta_s": 9.0} for f in (0.25, 0.75)]
    fake(events=[HELLO, START, *steps], every=0.15, stay=20, noise="some library's warning")
    seen: list[int] = []
    until(lambda: seen.append(widget.ui.progressBar.value) or 750 in seen)
    assert 250 in seen
    assert widget.ui.etaLabel.text == "On CPU, with model ct (Apache-2.0), 9 s left"
    assert "some library's warning" in widget.ui.logTextEdit.plainText


@POSIX
def test_cancel_ends_the_process_and_its_child(
    fake: Any, widget: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    job = fake(events=[HELLO, START], stay=60, child=str(tmp_path / "pid"))
    until(lambda: job.state == "running")
    child = int((tmp_path / "pid").read_text())
    assert alive(job.pid)
    assert alive(child)
    widget.ui.cancelButton.click()
    begin = time.monotonic()
    until(lambda: not widget.panel.driver.busy)
    assert time.monotonic() - begin < 2.0
    assert not alive(job.pid)
    until(lambda: not alive(child), 3)
    assert widget.ui.statusLabel.text == "Cancelled. Nothing was changed."
    assert volumes() == ["CT chest"]


@POSIX
def test_a_stubborn_worker_is_killed(fake: Any, widget: Any, until: Callable[..., None]) -> None:
    job = fake(events=[HELLO, START], stay=60, stubborn=True)
    until(lambda: job.state == "running")
    widget.ui.cancelButton.click()
    assert widget.ui.statusLabel.text == "Cancelling..."
    until(lambda: not widget.panel.driver.busy, 6)
    assert not alive(job.pid)


@POSIX
@pytest.mark.parametrize("stubborn", [False, True])
def test_closing_the_scene_ends_the_process(
    fake: Any, widget: Any, scene: Any, until: Callable[..., None], stubborn: bool
) -> None:
    job = fake(events=[HELLO, START], stay=60, stubborn=stubborn)
    until(lambda: job.state == "running")
    scene.Clear()
    until(lambda: not alive(job.pid), 6)
    until(lambda: not widget.panel.driver.busy)
    assert volumes() == []


@POSIX
def test_quitting_kills_at_once(fake: Any, widget: Any, application: Any, until: Callable[..., None]) -> None:
    job = fake(events=[HELLO], stay=60, stubborn=True)
    until(lambda: job.events)
    application.aboutToQuit.emit()
    assert not alive(job.pid)


@POSIX
def test_two_clicks_start_one_process(fake: Any, widget: Any, until: Callable[..., None]) -> None:
    job = fake(events=[HELLO, START], stay=60)
    widget.panel.apply()
    widget.ui.applyButton.click()
    assert widget.panel.driver.job is job
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        assert str(job.pid) in children.read_text().split()


@pytest.mark.parametrize(
    ("told", "text", "hint"),
    [
        (
            {"events": [HELLO, REFUSED], "status": 5}, "Too small.", "Take more.",
        ),
        ({"events": [HELLO, START], "status": 8}, "memory", ""),
        ({"events": [{**HELLO, "protocol": 99}], "stay": 5}, "99", "Update the extension"),
    ],
)  # fmt: skip
def test_failures_are_told_in_the_panel(
    fake: Any, widget: Any, until: Callable[..., None], told: Any, text: str, hint: str
) -> None:
    fake(**told)
    until(lambda: widget.ui.errorFrame.visible)
    assert text in widget.ui.errorLabel.text
    assert hint in widget.ui.hintLabel.text
    assert widget.ui.applyButton.enabled
    assert volumes() == ["CT chest"]


def test_medidiff_itself(widget: Any, volume: Any, until: Callable[..., None], application: Any) -> None:
    import slicer

    pytest.importorskip("openvino")
    widget.ui.pythonPathLineEdit.currentPath = sys.executable
    pixels = slicer.util.arrayFromVolume(volume).copy()
    widget.ui.applyButton.click()
    until(lambda: not widget.panel.driver.busy, 90)
    assert not widget.ui.errorFrame.visible, widget.ui.errorLabel.text + widget.ui.logTextEdit.plainText
    output = slicer.util.arrayFromVolume(slicer.util.getNode("CT chest denoised"))
    assert output.shape == pixels.shape
    assert output.std() < 0.7 * pixels.std()
