"""The module as Slicer loads it, and its self-test on the stand-ins."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest


def test_metadata(module: Any) -> None:
    import slicer

    loaded = slicer.modules.medidiffdenoise
    assert loaded.title == "MediDiff Denoise"
    assert loaded.categories == ["Filtering"]
    assert "Research use only" in loaded.helpText
    assert loaded.contributors
    assert slicer.util.modulePath("MediDiffDenoise") == loaded.path


def test_logic_works_without_a_panel(module: Any) -> None:
    logic = module.MediDiffDenoiseLogic()
    assert logic.moduleName == "MediDiffDenoise"
    assert logic.getParameterNode().GetModuleName() == "MediDiffDenoise"
    assert logic.checkProblem(None)


def test_the_self_test_passes_with_the_stub(module: Any, application: Any) -> None:
    import qt

    application.environment = qt.QProcessEnvironment()
    application.environment.insert("PATH", "/usr/bin:/bin")
    test = module.MediDiffDenoiseTest()
    test.runTest()
    checks = [name for name in dir(test) if name.startswith("check")]
    assert len(checks) == 4
    for check in checks:
        assert f"{check} with the stub worker" in test.messages
    assert test.messages[-1] == "MediDiffDenoise: all checks passed"
    assert not Path(test._folder).exists()


def test_a_logic_of_a_script_finds_the_python_of_the_panel(module: Any, application: Any) -> None:
    """`MediDiffDenoiseLogic().process(volume)` in the console, and the self-test, with what the panel has."""
    import sys

    import qt

    application.environment = qt.QProcessEnvironment()
    assert not module.MediDiffDenoiseLogic().checkEnvironment().ok
    qt.QSettings().setValue("MediDiff/pythonPath", sys.executable)
    found = module.MediDiffDenoiseLogic().checkEnvironment()
    assert (found.ok, found.source) == (True, "settings")


def test_the_self_test_runs_by_unittest(module: Any, application: Any) -> None:
    """As slicer.testing.runUnitTest does, and without leaving a folder behind."""
    import qt

    application.environment = qt.QProcessEnvironment()
    before = set(Path(tempfile.gettempdir()).glob("mdtest*"))
    suite = unittest.TestLoader().loadTestsFromTestCase(module.MediDiffDenoiseTest)
    result = suite.run(unittest.TestResult())
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    assert set(Path(tempfile.gettempdir()).glob("mdtest*")) == before


def test_the_self_test_can_fail(module: Any, application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt
    from MediDiffDenoiseLib import stubworker

    application.environment = qt.QProcessEnvironment()
    broken = Path(stubworker.__file__).read_text().replace("value = strength * mean", "value = 0 * mean")
    broken = broken.replace("+ (1 - strength) * voxels[at]", "+ 3 * voxels[at]")
    test = module.MediDiffDenoiseTest()

    def worse(folder: str) -> str:
        script = Path(folder) / "worse.py"
        script.write_text(broken)
        return plain(folder, str(script))

    from MediDiffDenoiseLib import selftest

    plain = selftest.stubPython
    monkeypatch.setattr(selftest, "stubPython", worse)
    with pytest.raises(AssertionError):
        test.runTest()
