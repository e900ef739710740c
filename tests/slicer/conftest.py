"""The stand-ins for 3D Slicer, a scene of its own for every test, and the module's panel."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
MODULE = HERE.parents[1] / "plugins" / "slicer" / "MediDiffDenoise"


def _import_slicer() -> bool:
    """Imports slicer-core without this folder: its package takes in every folder of its name on the path."""
    before = sys.path[:]
    sys.path[:] = [entry for entry in before if not (Path(entry or ".") / HERE.name / "shim").is_dir()]
    try:
        import slicer  # noqa: F401
    except ImportError:
        if os.environ.get("MEDIDIFF_REQUIRE_SLICER"):
            raise
        return False
    finally:
        sys.path[:] = before
    return True


HAS_SLICER = _import_slicer()
sys.path[:0] = [str(p) for p in (HERE, MODULE) if str(p) not in sys.path]


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stand-in application."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if not HAS_SLICER:
        pytest.skip("needs the extra test-slicer")
    import shim
    import slicer

    shim.install(tmp_path_factory.mktemp("settings"))
    return slicer.app


@pytest.fixture
def scene(application: Any) -> Iterator[Any]:
    """A fresh scene, with logics and views; no settings."""
    import qt
    from shim.application import new_scene

    application.environment = None
    qt.QSettings().clear()
    yield new_scene()
    qt.QSettings().clear()


@pytest.fixture
def module(scene: Any) -> Any:
    """MediDiffDenoise.py, loaded as the application loads it."""
    from shim import scripted

    return scripted.load(MODULE, "MediDiffDenoise")


@pytest.fixture
def volume(scene: Any) -> Any:
    """A small CT volume in the scene."""
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT chest")
    noise = np.random.default_rng(3).normal(0, 20, (5, 24, 32))
    slicer.util.updateVolumeFromArray(node, (noise + 40).astype(np.int16))
    node.SetSpacing(0.8, 0.8, 2.5)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(400, 40)
    return node


@pytest.fixture
def until(application: Any) -> Callable[..., None]:
    """Runs the event loop until something holds, for at most some seconds."""

    def run(condition: Callable[[], Any], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            application.processEvents()
            time.sleep(0.005)

    return run
