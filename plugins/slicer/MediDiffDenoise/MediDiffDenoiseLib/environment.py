"""Environment: the Python that runs medidiff, its clean variables, and what it says about itself.

INTERFACE; the body follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROTOCOL = 1
"""Version of the worker's events that this module understands."""


@dataclass
class Machine:
    """What the logic must know about this machine; `parameters.MachineSettings` has the same attributes."""

    pythonPath: str = ""
    modelFolder: str = ""
    threads: int = 0
    lastDevice: str = ""


@dataclass(frozen=True)
class Problem:
    """Something to tell the user: one sentence, and what to do about it."""

    text: str
    hint: str = ""
    code: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """A model of the worker. `usable` is False for a damaged one; `problem` says why."""

    name: str
    version: str = ""
    modality: str = ""  # "ct" or "mr"
    licence: str = ""
    training_data: str = ""
    attribution: tuple[str, ...] = ()
    usable: bool = True
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """What `checkEnvironment` found out.

    Attributes:
        ok: denoising can start.
        command: words that start medidiff, ``[python, -m, medidiff]``; empty if none was found.
        source: where that was found: "settings", "MEDIDIFF_PYTHON", "PATH" or "".
        python, version: of the worker.
        protocol: of the worker; 0 if unknown.
        devices: names for people, CPU first ("CPU", "GPU: NVIDIA ...").
        gpu: a usable GPU is there.
        models: all models, damaged ones too.
        engines: engine to version; missing ones are left out.
        memory_gb: free memory; None if unknown.
        problems: what stands in the way, most important first; empty if ok.
        setup: commands to copy where medidiff is missing or too old; empty otherwise.
        log: all of the above as text to copy into a bug report.
    """

    ok: bool
    command: tuple[str, ...] = ()
    source: str = ""
    python: str = ""
    version: str = ""
    protocol: int = 0
    devices: tuple[str, ...] = ()
    gpu: bool = False
    models: tuple[ModelInfo, ...] = ()
    engines: dict[str, str] = field(default_factory=dict)
    memory_gb: float | None = None
    problems: tuple[Problem, ...] = ()
    setup: str = ""
    log: str = ""

    def modelsFor(self, modality: str) -> tuple[ModelInfo, ...]:
        """Usable models of ``"CT"``, ``"MR"`` or ``"auto"`` (all)."""
        wanted = modality.lower()
        return tuple(m for m in self.models if m.usable and wanted in ("auto", m.modality))
