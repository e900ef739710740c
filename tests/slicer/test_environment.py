"""Which Python, with which variables, and what it says about itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from MediDiffDenoiseLib import command, joberror, report
from MediDiffDenoiseLib.check import CheckJob
from MediDiffDenoiseLib.command import Settings
from MediDiffDenoiseLib.environment import Interpreter, Machine, added, clean, find, setup

HOME = "/opt/Slicer 5.12"
LAUNCHED = {
    "HOME": "/home/me",
    "LANG": "C.UTF-8",
    "HTTP_PROXY": "http://proxy",
    "CUDA_VISIBLE_DEVICES": "0",
    "PYTHONHOME": f"{HOME}/lib/Python",
    "PYTHONNOUSERSITE": "1",
    "PYTHONPATH": f"{HOME}/lib/Python/Lib:/home/me/own",
    "ITK_AUTOLOAD_PATH": f"{HOME}/lib/ITKFactories",
    "SSL_CERT_FILE": f"{HOME}/share/Slicer.crt",
    "SLICER_HOME": HOME,
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "QTWEBENGINE_DISABLE_SANDBOX": "1",
    "QT_PLUGIN_PATH": f"{HOME}/plugins",
    "QT_SCALE_FACTOR": "2",
    "LibraryPaths": f"{HOME}/lib",
    "PATH": f"{HOME}/bin:/usr/bin:{HOME}:/opt/Slicer 5.12 other/bin:{HOME}/../Slicer 5.12/lib",
    "LD_LIBRARY_PATH": f"{HOME}/lib:/usr/lib/cuda:{HOME}/lib/Teem",
    "DYLD_LIBRARY_PATH": f"{HOME}/lib",
}


def test_nothing_of_slicer_is_left() -> None:
    found = clean(LAUNCHED, HOME)
    assert found == {
        "HOME": "/home/me",
        "LANG": "C.UTF-8",
        "HTTP_PROXY": "http://proxy",
        "CUDA_VISIBLE_DEVICES": "0",
        "PATH": "/usr/bin:/opt/Slicer 5.12 other/bin",
        "LD_LIBRARY_PATH": "/usr/lib/cuda",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def test_without_its_folder_library_paths_go_as_a_whole() -> None:
    unknown = {k: v for k, v in LAUNCHED.items() if k != "SLICER_HOME"}
    found = clean(unknown)
    assert "LD_LIBRARY_PATH" not in found
    assert found["PATH"] == LAUNCHED["PATH"]
    assert clean(LAUNCHED) == clean(LAUNCHED, HOME)  # SLICER_HOME tells


def test_the_cpu_hides_every_gpu_and_models_have_a_home() -> None:
    assert clean(LAUNCHED, HOME, device="cpu")["CUDA_VISIBLE_DEVICES"] == "-1"
    assert clean(LAUNCHED, HOME, device="gpu")["CUDA_VISIBLE_DEVICES"] == "0"
    assert clean(LAUNCHED, HOME, models="/m é")["MEDIDIFF_HOME"] == "/m é"
    assert added({"PYTHONHOME": "x"}, device="auto")["PYTHONHOME"] == "x"
    assert LAUNCHED["PYTHONHOME"]  # the argument is not changed


def test_a_clean_environment_runs_python(tmp_path: Path) -> None:
    """What would break another Python is gone: the same variables, not cleaned, keep it from starting."""

    poison = {**os.environ, "PYTHONHOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "SLICER_HOME": HOME}
    args = [sys.executable, "-c", "import encodings"]
    assert subprocess.run(args, env=poison, capture_output=True, check=False).returncode != 0
    assert subprocess.run(args, env=clean(poison), capture_output=True, check=False).returncode == 0


def test_the_interpreter_of_the_settings_wins(tmp_path: Path) -> None:
    tool = tmp_path / "medidiff"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    environment = {"MEDIDIFF_PYTHON": "/env/python", "PATH": str(tmp_path)}
    assert find(Machine("/my venv/bin/python"), environment) == Interpreter(
        ("/my venv/bin/python", "-m", "medidiff"), "settings"
    )
    assert find(Machine(' "/my venv/bin/python" '), {}).python == "/my venv/bin/python"
    assert find(Machine(), environment).source == "MEDIDIFF_PYTHON"
    assert find(Machine(), {"PATH": str(tmp_path)}) == Interpreter((str(tool),), "PATH")
    assert find(Machine(), {"PATH": str(tmp_path / "no")}) is None
    assert find(Machine("/venv/bin/medidiff"), {}).command == ("/venv/bin/medidiff",)
    assert find(Machine("~/v/bin/python"), {}).python == os.path.expanduser("~/v/bin/python")


def test_the_folder_of_a_virtual_environment_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one called medidiff-env, as the commands to copy call it."""
    venv = tmp_path / "medidiff-env ü"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    found = find(Machine(str(venv)), {})
    assert found is not None
    assert found.command == (str(venv / "bin" / "python"), "-m", "medidiff")
    monkeypatch.setenv("PLACE", str(tmp_path))  # on Windows %USERPROFILE% in the same way
    assert find(Machine("$PLACE/medidiff-env ü/bin/python"), {}) == found
    assert CheckJob(find(Machine(sys.prefix), {}), dict(os.environ)).wait().ok


def test_any_other_folder_is_called_one(tmp_path: Path) -> None:
    found = find(Machine(str(tmp_path)), {})
    assert "(a folder without a Python in it)" in CheckJob(found, {}).wait().problems[0].text
    with pytest.raises(PermissionError) as caught:
        subprocess.Popen([str(tmp_path)])
    assert found is not None
    assert "a folder without a Python" in joberror.not_started(found, caught.value).text


def test_on_windows_the_case_of_a_name_means_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt gives "Path" there."""
    tool = tmp_path / "medidiff"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    variables = {"Path": str(tmp_path), "Slicer_Home": HOME, "librarypaths": HOME}
    assert find(Machine(), variables) is None
    monkeypatch.setattr("MediDiffDenoiseLib.environment.WINDOWS", True)
    assert find(Machine(), variables) == Interpreter((str(tool),), "PATH")
    assert set(clean(variables)) == {"PATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING"}


@pytest.mark.parametrize("windows", [True, False])
def test_the_commands_to_copy_fetch_nothing_by_name(windows: bool) -> None:
    """medidiff is on no package index; a path with a space is quoted."""
    import shlex

    make, install, ask = (shlex.split(line) for line in setup(windows).splitlines())
    assert make[1:3] == ["-m", "venv"]
    assert install[1:] == ["-m", "pip", "install", "FOLDER_OF_MEDIDIFF"]
    assert install[0] == ask[0]
    if windows:
        assert '"%USERPROFILE%' in setup(windows).splitlines()[0]


def test_the_command_to_update_is_one_to_copy() -> None:
    assert Interpreter(("/a b/python", "-m", "medidiff"), "").update == (
        '"/a b/python" -m pip install --upgrade FOLDER_OF_MEDIDIFF'
    )
    assert Interpreter(("/v/bin/medidiff",), "").update == (
        "/v/bin/python -m pip install --upgrade FOLDER_OF_MEDIDIFF"
    )
    assert Interpreter(("/Slicer/bin/PythonSlicer", "-m", "medidiff"), "").is_slicer
    assert not Interpreter(("/v/bin/python3.12", "-m", "medidiff"), "").is_slicer


# The command line


def options(*words: str, **settings: Any) -> list[str]:
    return command.denoise("in.nrrd", "out.nrrd", Settings(**settings))


def test_presets_are_the_modes_of_the_product() -> None:
    fast, balanced, quality = (options(preset=p) for p in ("fast", "balanced", "quality"))
    for words, mode, steps in ((fast, "mean", "1"), (balanced, "natural", "2"), (quality, "sample", "8")):
        assert words[words.index("--mode") + 1] == mode
        assert words[words.index("--steps") + 1] == steps
    tiers = [w[w.index("--tier") + 1] for w in (fast, balanced, quality)]
    assert tiers == ["fast", "fast", "standard"]
    assert ["--save-uncertainty" in w for w in (fast, balanced, quality)] == [False, False, True]
    assert options(preset="balanced", steps=7)[options().index("--steps") + 1] == "7"
    assert options(preset="fast", steps=7)[options().index("--steps") + 1] == "1"


def test_every_word_is_one_that_medidiff_takes() -> None:
    """The worker's own parser reads the command lines of the extension."""
    import click

    from medidiff.cli.denoise import command as denoise
    from medidiff.cli.derive import command as derive

    here = str(Path(__file__))
    for preset in command.PRESETS:
        settings = Settings("ct", "CT", preset, 3, 0.25, 11, "gpu")
        words = command.denoise(here, "o.nrrd", settings, roi=(1, 2, 3, 4, 5, 6), threads=2)
        with click.Context(denoise) as context:
            denoise.parse_args(context, words[1:])
            found = context.params
        assert found["roi"] == (1, 2, 3, 4, 5, 6)
        assert (found["modality"], found["model"], found["device"]) == ("ct", "ct", "gpu")
        assert (found["strength"], found["seed"], found["threads"]) == (0.25, 11, 2)
        assert found["progress"] == "jsonl"
    with click.Context(derive) as context:
        derive.parse_args(context, command.derive(here, here, here, "out")[1:])
        assert str(context.params["listed"]) == here


@pytest.mark.parametrize(
    "wrong",
    [{"modality": "ct"}, {"preset": "best"}, {"device": "tpu"}, {"strength": 1.5}, {"strength": float("nan")},
     {"steps": 0}, {"seed": -1}],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must .* Received: "):
        Settings(**wrong)


def test_hints_speak_of_the_panel() -> None:
    for hint in (
        "Say which: --modality ct or --modality mr.", "Use --overwrite, or another output folder (-o).",
        "Use --device cpu or auto: the CPU always works.", "Give it: --sigma 20.",
        "Use -v for the traceback.",
        "Close other programs, or use a smaller --tile, or --tier fast.",
    ):  # fmt: skip
        assert "-" not in command.for_panel(hint).replace("can-", "")
    assert command.for_panel("Do this.") == "Do this."


# What the worker says


def doctor(tmp_path: Path, code: str) -> report.Report:
    script = tmp_path / "python é"
    script.write_text(f"#!{sys.executable}\nimport sys\n{code}\n", encoding="utf-8")
    script.chmod(0o755)
    return CheckJob(Interpreter((str(script), "-m", "medidiff"), "settings"), dict(os.environ)).wait()


FACTS: dict[str, Any] = {
    "tool": "medidiff", "protocol": 1, "versions": {"medidiff": "0.1.0"}, "python": "/v/bin/python",
    "cpu": {"name": "A CPU"}, "memory_gb": {"total": 8.0, "available": 3.5}, "problems": [],
    "engines": [
        {"name": "openvino", "version": "2026.1", "missing": None, "devices": ["A CPU", "Arc"], "gpu": True},
        {"name": "tract", "version": None, "missing": "not installed", "devices": [], "gpu": False},
    ],
    "devices": [{"device": "cpu", "engines": ["openvino"]}, {"device": "gpu", "engines": ["openvino"]}],
    "models": [
        {"name": "ct", "version": "0.1", "modality": "ct", "licence": "Apache-2.0", "attribution": ["LIDC"],
         "problem": None},
        {"name": "bad", "problem": "damaged"},
    ],
}  # fmt: skip


def test_a_good_answer(tmp_path: Path) -> None:
    found = doctor(tmp_path, f"print({json.dumps(json.dumps(FACTS))})")
    assert found.ok
    assert found.devices == ("CPU: A CPU", "GPU: Arc")
    assert found.gpu
    assert found.engines == {"openvino": "2026.1"}
    assert found.memory_gb == 3.5
    assert [m.name for m in found.modelsFor("CT")] == ["ct"]
    assert found.modelsFor("MR") == ()
    assert found.models[0].training_data == "LIDC"
    assert (found.models[1].usable, found.models[1].problem) == (False, "damaged")
    assert found.setup == ""
    assert "2026.1" in found.log


@pytest.mark.parametrize(
    ("change", "text", "hint"),
    [({"protocol": 0}, "protocol 0", "--upgrade FOLDER_OF_MEDIDIFF"),
     ({"protocol": 2}, "protocol 2", "Extensions Manager"),
     ({"problems": ["no model can be used."]}, "no model can be used", "")],
    ids=str,
)  # fmt: skip
def test_an_answer_with_a_problem(tmp_path: Path, change: dict[str, Any], text: str, hint: str) -> None:
    found = doctor(tmp_path, f"print({json.dumps(json.dumps({**FACTS, **change}))}); sys.exit(7)")
    assert not found.ok
    assert text in found.problems[0].text
    assert hint in found.problems[0].hint


@pytest.mark.parametrize(
    ("code", "text"),
    [("sys.exit(\"No module named medidiff\")", "is not installed in"), ("print('[]')", "could not be asked"),
     ("print('{}')", "could not be asked"), ("print('garbage')", "could not be asked"),
     ("sys.exit(3)", "could not be asked")],
)  # fmt: skip
def test_no_answer(tmp_path: Path, code: str, text: str) -> None:
    found = doctor(tmp_path, code)
    assert not found.ok
    assert text in found.problems[0].text
    assert found.problems[0].hint
    assert "pip install FOLDER_OF_MEDIDIFF" in found.setup


def test_facts_of_any_shape_do_not_break_the_panel(tmp_path: Path) -> None:
    for name in FACTS:
        if name != "tool":
            for odd in (None, 3, "x", [None, 3], {"a": 1}):
                report.parse(Interpreter(("p", "-m", "medidiff"), ""), json.dumps({**FACTS, name: odd}))


def test_no_interpreter_and_one_that_is_not_there(tmp_path: Path) -> None:
    found = CheckJob(None, {}).wait()
    assert not found.ok
    assert "not found" in found.problems[0].text
    assert "venv" in found.setup
    gone = CheckJob(Interpreter((str(tmp_path / "no"), "-m", "medidiff"), "settings"), {}).wait()
    assert "could not be asked" in gone.problems[0].text
    assert "No such file" in gone.problems[0].text


def test_a_check_can_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from MediDiffDenoiseLib import check
    from scenes import alive

    sleeper = Interpreter((sys.executable, "-c", "import time; time.sleep(60)"), "settings")
    job = CheckJob(sleeper, dict(os.environ))
    assert job.poll()
    job.kill()
    assert job.over
    assert not alive(job.pid)
    monkeypatch.setattr(check, "PATIENCE", 0.3)
    begun = time.monotonic()
    found = CheckJob(sleeper, dict(os.environ)).wait()
    assert time.monotonic() - begun < 10
    assert "no answer" in found.problems[0].text
