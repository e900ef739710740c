"""Makes the extension's icons and its screenshot: ``python tests/slicer/pictures.py`` (extra test-slicer).

The screenshot is the panel, rendered offscreen on the stand-ins of this folder, beside two slices as MRML's
slice logic draws them, after a real run on sample_data. It is not how Slicer itself looks.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PLUGIN = HERE.parents[1] / "plugins" / "slicer"
MODULE = PLUGIN / "MediDiffDenoise"
SIDE = 128
LESIONS = -13.0
"""Millimetres: the slice of the sample study with low-contrast lesions in the liver."""


def icon() -> np.ndarray:
    """A disk, noisy on the left and clean on the right, as RGBA ``[y, x, 4]``."""
    rng = np.random.default_rng(1)
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE * 2 - 1
    radius = np.hypot(x, y)
    grey = np.where(radius < 0.9, 0.42, 0.0)
    for cx, cy, r, value in ((-0.3, -0.3, 0.24, 0.72), (0.35, -0.25, 0.28, 0.78), (0.0, 0.42, 0.3, 0.15)):
        grey = np.where(np.hypot(x - cx, y - cy) < r, value, grey)
    noisy = np.clip(grey + np.repeat(np.repeat(rng.normal(0, 0.2, (64, 64)), 2, 0), 2, 1), 0, 1)
    share = np.clip((x + 0.04) / 0.08, 0, 1)
    grey = noisy * (1 - share) + grey * share
    tint = np.array([0.55, 0.78, 1.0]) * share[..., None] + np.array([1.0, 1.0, 1.0]) * (1 - share[..., None])
    colour = grey[..., None] * tint
    line = np.abs(x) < 0.012
    colour[line] = [1.0, 0.75, 0.2]
    alpha = np.clip((0.95 - radius) * SIDE / 2, 0, 1)
    return (np.dstack([colour, alpha]) * 255).round().astype(np.uint8)


def save_icons() -> None:
    """Writes both icons."""
    from PIL import Image

    for path in (PLUGIN / "MediDiff.png", MODULE / "Resources" / "Icons" / "MediDiffDenoise.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(icon(), "RGBA").save(path, optimize=True)


def sample() -> Any:
    """The study of sample_data at a quarter of the dose, as a volume node with the usual abdomen window."""
    import slicer
    import vtk

    import medidiff

    study = medidiff.discover([PLUGIN.parents[1] / "sample_data" / "ct" / "dose25"])
    scan = medidiff.read(study.items[0])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT 25% dose")
    slicer.util.updateVolumeFromArray(node, np.rint(scan.array).astype(np.int16))
    matrix = vtk.vtkMatrix4x4()
    for (row, column), value in np.ndenumerate(np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine):
        matrix.SetElement(row, column, value)
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(350, 60)
    return node


def panel(module: Any, volume: Any) -> Any:
    """The panel after it has denoised a volume with the medidiff of this Python."""
    import slicer

    widget = module.MediDiffDenoiseWidget()
    widget.setup()
    widget.ui.pythonPathLineEdit.currentPath = sys.executable
    widget.panel.parameters.inputVolume = volume
    widget.panel.parameters.modality = "CT"
    widget.enter()
    for begin in (None, widget.ui.applyButton.click):
        if begin is not None:
            begin()
        while widget.panel.machine.busy or widget.panel.driver.busy:
            slicer.app.processEvents()
            time.sleep(0.01)
    if widget.ui.errorFrame.visible or not widget.panel.resultID:
        raise RuntimeError(widget.ui.errorLabel.text + widget.ui.logTextEdit.plainText)
    return widget


def grab(widget: Any, width: int = 460) -> Any:
    """The panel at its natural height, as a QImage."""
    import slicer

    form = widget.parent
    form.resize(width, 400)
    form.show()
    slicer.app.processEvents()
    layout = form.layout()
    form.resize(width, layout.totalHeightForWidth(width))
    slicer.app.processEvents()
    image = form.grab().toImage()
    form.hide()
    return image


def view(name: str, width: int, height: int, offset: float) -> Any:
    """What a slice view shows, drawn by MRML's own slice logic, as a QImage."""
    import qt
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    widget = slicer.app.layoutManager().sliceWidget(name)
    widget.mrmlSliceNode().SetDimensions(width, height, 1)
    widget.sliceLogic().FitSliceToBackground()
    widget.mrmlSliceNode().SetSliceOffset(offset)
    flip = vtk.vtkImageFlip()
    flip.SetFilteredAxis(1)
    flip.SetInputConnection(widget.sliceLogic().GetImageDataConnection())
    flip.Update()
    scalars = flip.GetOutput().GetPointData().GetScalars()
    pixels = np.ascontiguousarray(vtk_to_numpy(scalars).reshape(height, width, 4)[..., :3])
    return qt.QImage(pixels.data, width, height, 3 * width, qt.QImage.Format_RGB888).copy()


def beside(left: Any, views: list[tuple[str, str, Any]]) -> Any:
    """A panel and slice views under coloured headers in one picture."""
    import qt

    bar, gap = 22, 3
    width = left.width() + sum(image.width() + gap for _, _, image in views)
    canvas = qt.QImage(width, left.height(), qt.QImage.Format_RGB32)
    canvas.fill(qt.QColor("#1b1b1b"))
    painter = qt.QPainter(canvas)
    painter.drawImage(0, 0, left)
    x = left.width() + gap
    for title, colour, image in views:
        painter.fillRect(x, 0, image.width(), bar, qt.QColor(colour))
        painter.setPen(qt.QColor("black"))
        painter.drawText(x + 8, 16, title)
        painter.drawImage(x, bar, image)
        x += image.width() + gap
    painter.end()
    return canvas


def screenshot(path: Path) -> None:
    """Denoises the sample study in the panel and writes panel and comparison."""
    import slicer
    from shim import scripted

    widget = panel(scripted.load(MODULE, "MediDiffDenoise"), sample())
    left = grab(widget)
    size = left.height() - 22, left.height() - 22
    views = [
        ("R: input", "#f34a33", view("Red", *size, LESIONS)),
        ("Y: output", "#edd54c", view("Yellow", *size, LESIONS)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside(left, views).save(str(path))
    widget.cleanup()
    assert slicer.app is not None


def main() -> None:
    """Writes the icons and the screenshot."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    save_icons()
    import slicer  # noqa: F401, before this folder is on the path: see conftest.py

    sys.path[:0] = [str(MODULE)]
    import shim

    with tempfile.TemporaryDirectory() as folder:
        shim.install(Path(folder))
        screenshot(PLUGIN / "Screenshots" / "1.png")


if __name__ == "__main__":
    main()
