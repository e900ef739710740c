"""Environment: which Python runs medidiff, and with which variables. Standard library only.

Slicer's launcher sets variables that break another Python (its PYTHONHOME, its libraries, ITK's plugin
path), so the worker gets those that Slicer itself was started with, cleaned of Slicer.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

SLICER_ALONE = {
    "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPATH", "ITK_AUTOLOAD_PATH", "SSL_CERT_FILE", "SLICER_HOME",
    "PIP_REQUIRE_VIRTUALENV", "PIP_DISABLE_PIP_VERSION_CHECK", "QTWEBENGINE_DISABLE_SANDBOX", "LibraryPaths",
}  # fmt: skip
"""Variables that Slicer's launcher sets for itself; ITK_AUTOLOAD_PATH makes the ITK of a wheel crash."""

LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH")

WINDOWS = sys.platform == "win32"

FOLDER = "FOLDER_OF_MEDIDIFF"
"""Stands for a clone of the repository. medidiff is on no package index: its bare name would fetch whatever
somebody else puts there."""


def setup(windows: bool = WINDOWS) -> str:
    """What to type in a terminal where medidiff is missing."""
    venv = '"%USERPROFILE%\\medidiff-env"' if windows else "~/medidiff-env"
    python = '"%USERPROFILE%\\medidiff-env\\Scripts\\python"' if windows else f"{venv}/bin/python"
    start = "py" if windows else "python3"
    return f"{start} -m venv {venv}\n{python} -m pip install {FOLDER}\n{python} -m medidiff doctor\n"


@dataclass
class Machine:
    """What the logic must know about this machine; `parameters.MachineSettings` has the same attributes."""

    pythonPath: str = ""
    modelFolder: str = ""
    threads: int = 0
    lastDevice: str = ""


@dataclass(frozen=True)
class Interpreter:
    """How medidiff is started.

    Attributes:
        command: the words, ``[python, -m, medidiff]`` or the command itself.
        source: where it was found: ``"settings"``, ``"MEDIDIFF_PYTHON"`` or ``"PATH"``.
    """

    command: tuple[str, ...]
    source: str

    @property
    def python(self) -> str:
        """The program that is started."""
        return self.command[0]

    @property
    def update(self) -> str:
        """The command that installs or updates medidiff there."""
        python = (
            self.python if len(self.command) > 1 else os.path.join(os.path.dirname(self.python), "python")
        )
        quoted = f'"{python}"' if " " in python else python
        return f"{quoted} -m pip install --upgrade {FOLDER}"

    def refusal(self, error: OSError) -> str:
        """Why the system does not start it."""
        if os.path.isdir(self.python):
            return "a folder without a Python in it"
        return error.strerror or str(error)

    @property
    def is_slicer(self) -> bool:
        """True for Slicer's own Python, which needs the variables that others must not see."""
        return os.path.basename(self.python).lower().startswith("pythonslicer")


def find(machine: Machine, environment: Mapping[str, str]) -> Interpreter | None:
    """The Python with medidiff: that of the settings, of MEDIDIFF_PYTHON, or the command on the PATH.

    Args:
        machine: the settings.
        environment: the variables that Slicer was started with.

    Returns:
        None where nothing is set and nothing is found; what is set is not tried here.
    """
    environment = names(environment)
    for path, source in (
        (machine.pythonPath, "settings"),
        (environment.get("MEDIDIFF_PYTHON", ""), "MEDIDIFF_PYTHON"),
    ):
        path = _program(os.path.expanduser(os.path.expandvars(path.strip().strip('"'))))
        if path:
            command = os.path.basename(path).lower().startswith("medidiff")
            return Interpreter((path,) if command else (path, "-m", "medidiff"), source)
    found = shutil.which("medidiff", path=environment.get("PATH", ""))
    return Interpreter((found,), "PATH") if found else None


def clean(
    environment: Mapping[str, str], slicer_home: str = "", *, models: str = "", device: str = "auto"
) -> dict[str, str]:
    """The variables for the worker.

    Args:
        environment: those that Slicer was started with.
        slicer_home: Slicer's folder; where it is unknown, library paths are left out as a whole.
        models: MEDIDIFF_HOME; empty for what it is.
        device: ``"cpu"`` hides every GPU.
    """
    environment = names(environment)
    slicer_home = slicer_home or environment.get("SLICER_HOME", "")
    alone = names(dict.fromkeys(SLICER_ALONE, ""))
    kept = {k: v for k, v in environment.items() if k not in alone and not k.startswith("QT_")}
    for name in ("PATH", *LIBRARY_PATHS):
        if name not in kept:
            continue
        if slicer_home:
            parts = kept[name].split(os.pathsep)
            kept[name] = os.pathsep.join(p for p in parts if p and not _inside(p, slicer_home))
        elif name != "PATH":
            kept[name] = ""
        if not kept[name] and name != "PATH":
            del kept[name]
    return added(kept, models=models, device=device)


def added(environment: Mapping[str, str], *, models: str = "", device: str = "auto") -> dict[str, str]:
    """The variables with those that every worker gets."""
    found = {**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if models:
        found["MEDIDIFF_HOME"] = models
    if device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = "-1"
    return found


def names(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables, with names in upper case on Windows, where their case means nothing ("Path")."""
    return {name.upper() if WINDOWS else name: value for name, value in environment.items()}


def _program(path: str) -> str:
    """The Python in the folder of a virtual environment, where such a folder was given; else the path."""
    if os.path.isdir(path):
        for inside in ("bin/python", "Scripts/python.exe", "bin/python3", "python.exe"):
            if os.path.isfile(os.path.join(path, inside)):
                return os.path.join(path, inside)
    return path


def _inside(path: str, folder: str) -> bool:
    """True for a path in a folder, or the folder itself; by name, whether it is there or not."""
    try:
        path, folder = (os.path.normcase(os.path.abspath(p)) for p in (path, folder))
        return os.path.commonpath([path, folder]) == folder
    except ValueError:  # on different drives
        return False
