"""Makes the extension's icons and its screenshot: ``python tests/slicer/pictures.py`` (extra test-slicer).

The screenshot is the panel, rendered offscreen on the stand-ins of this folder: it is not Slicer's own look.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PLUGIN = HERE.parents[1] / "plugins" / "slicer"
MODULE = PLUGIN / "MediDiffDenoise"
SIDE = 128


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


def report() -> Any:
    """What a worker with the shipped models says."""
    from MediDiffDenoiseLib.report import ModelInfo, Report

    credit = "patients of public collections, see the card"
    models = (
        ModelInfo("ct", "0.1.0", "ct", "Apache-2.0", credit),
        ModelInfo("mr", "0.1.0", "mr", "Apache-2.0", credit),
    )
    return Report(
        ok=True, command=("python3", "-m", "medidiff"), source="PATH", python="python3", version="0.1.0",
        protocol=1, devices=("CPU",), models=models, engines={"openvino": "2025"}, memory_gb=11.4,
    )  # fmt: skip


def panel(module: Any, volume: Any) -> Any:
    """The module's widget as after a run, with every section open."""
    widget = module.MediDiffDenoiseWidget()
    widget.setup()
    widget.panel.machine.take(report())
    widget.panel.parameters.inputVolume = volume
    widget.ui.advancedCollapsibleButton.collapsed = False
    widget.ui.logCollapsibleButton.collapsed = False
    return widget


def grab(widget: Any, path: Path, width: int = 460) -> None:
    """Renders the panel at its natural height."""
    import slicer

    form = widget.parent
    form.resize(width, 400)
    form.show()
    slicer.app.processEvents()
    layout = form.layout()
    height = (
        layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
    )
    form.resize(width, height)
    slicer.app.processEvents()
    path.parent.mkdir(parents=True, exist_ok=True)
    form.grab().save(str(path))
    form.hide()


def main() -> None:
    """Writes the icons and the screenshot."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    save_icons()
    import slicer  # before this folder is on the path: see conftest.py

    sys.path[:0] = [str(MODULE)]
    import shim

    with tempfile.TemporaryDirectory() as folder:
        shim.install(Path(folder))
        from MediDiffDenoiseLib.selftest import phantom
        from shim import scripted

        widget = panel(scripted.load(MODULE, "MediDiffDenoise"), phantom("CT chest low dose"))
        grab(widget, PLUGIN / "Screenshots" / "1.png")
        widget.cleanup()
        assert slicer.app is not None


if __name__ == "__main__":
    main()
