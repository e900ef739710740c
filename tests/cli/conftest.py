"""A home with tiny models, small scans, and a runner that keeps stdout and stderr apart."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from networks import tiny_bundle

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))


@dataclass(frozen=True)
class Ran:
    """A finished command line."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def sentence(self) -> str:
        """The one error line; fails where there is a traceback, another line, or none."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert "Traceback" not in self.err
        assert len(lines) == 1, self.err
        assert lines[0].startswith("medidiff: error: ")
        return lines[0]


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MEDIDIFF_HOME with two tiny random models, ``ct`` and ``mr``."""
    pytest.importorskip("onnx", reason="the tiny models are written with onnx")
    from medidiff.models import UNetConfig, save

    home = tmp_path_factory.mktemp("home")
    for name in ("ct", "mr"):
        save(tiny_bundle(UNetConfig((8, 12), 1), name=name, modality=name), home / "models" / name)
    return home


@pytest.fixture
def run(model_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs ``medidiff ARGS`` in this process, with the tiny models as the only ones."""
    from medidiff.cli.main import main
    from medidiff.models import store

    monkeypatch.setenv("MEDIDIFF_HOME", str(model_home))
    monkeypatch.setattr(store, "ZOO", model_home / "nothing")
    separate = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    runner = CliRunner(**separate)

    def call(*args: object) -> Ran:
        result = runner.invoke(main, [str(a) for a in args])
        return Ran(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def environment(model_home: Path) -> dict[str, str]:
    """Environment for subprocesses."""
    root = Path(__file__).resolve().parents[2]
    python_path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {
        **os.environ, "MEDIDIFF_HOME": str(model_home), "OMP_NUM_THREADS": "1", "PYTHONPATH": python_path,
    }  # fmt: skip
