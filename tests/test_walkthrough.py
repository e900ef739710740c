"""The notebook in docs/ runs from top to bottom, and says what its text promises."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "walkthrough.ipynb"


def printed(notebook: Any) -> str:
    """What the cells of a notebook print."""
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", ()))


def psnr_of(text: str) -> dict[str, float]:
    """The figures that a printed table holds, dB."""
    return {name: float(value) for name, value in re.findall(r"^(\w+) +PSNR +([\d.]+)", text, re.MULTILINE)}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's own libraries
def test_the_walkthrough_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat")
    path = os.pathsep.join([str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    shown = psnr_of(printed(notebook))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    text = printed(notebook)
    assert "(12, 384, 384) HU" in text
    assert "2_Noise_of_25_dose_88473545 12 files" in text
    psnr = psnr_of(text)
    assert shown == pytest.approx(psnr, abs=0.2)  # what readers see is what this version gives
    assert psnr["mean"] > psnr["scan"] + 8
    assert psnr["natural"] > psnr["scan"] + 8
    covered = re.search(r"covers ([\d.]+)%", text)
    assert covered is not None
    assert 85 < float(covered[1]) < 97
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1
