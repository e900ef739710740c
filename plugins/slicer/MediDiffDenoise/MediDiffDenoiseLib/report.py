"""Report: what the worker says about itself, for people and for the panel. Standard library only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import protocol
from .environment import FOLDER, Interpreter, setup


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
        command: words that start medidiff; empty if none was found.
        source: where that was found: "settings", "MEDIDIFF_PYTHON", "PATH" or "".
        python, version: of the worker.
        protocol: of the worker; 0 if unknown.
        devices: names for people, CPU first.
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


def missing(log: str = "") -> Report:
    """The report where no medidiff was found."""
    text = "medidiff was not found on this computer."
    hint = (
        f"Install it with the commands below ({FOLDER} is where its source lies), then enter "
        "its Python in Advanced."
    )
    return Report(
        False, problems=(Problem(text, hint, "no_interpreter"),), setup=setup(), log=f"{text}\n{log}"
    )


def broken(found: Interpreter, status: int | None, output: str, why: str = "") -> Report:
    """The report where medidiff did not answer.

    Args:
        found: what was started.
        status: its exit status, None if it was not started or did not end.
        output: what it printed.
        why: the system's words where it was not started.
    """
    problem = not_installed(found, output) or Problem(
        f"{found.python} could not be asked about medidiff." + (f" ({why})" if why else ""),
        "Check the path of the Python in Advanced. See the log." if why else "See the log.", "failed",
    )  # fmt: skip
    log = f"{' '.join(found.command)} ({found.source})\nstatus {status}\n{why}\n{output}"
    return Report(
        False, found.command, found.source, found.python, problems=(problem,), setup=setup(), log=log
    )


def not_installed(found: Interpreter, output: str) -> Problem | None:
    """The problem of a Python without medidiff, if its words say so."""
    if "No module named medidiff" not in output and "No module named 'medidiff'" not in output:
        return None
    text = f"medidiff is not installed in {found.python}."
    hint = "Choose another Python in Advanced. 'Check environment' there shows how to install medidiff."
    return Problem(text, hint, "not_installed")


def parse(found: Interpreter, text: str, log: str = "") -> Report | None:
    """The report of a worker that answered; None where it is no answer.

    Args:
        found: what was started.
        text: its stdout, ``medidiff doctor --json``.
        log: its stderr.
    """
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("tool") != "medidiff":
        return None
    engines = [e for e in _dicts(facts, "engines") if not e.get("missing")]
    versions = facts.get("versions")
    version = protocol.word(versions, "medidiff") if isinstance(versions, dict) else ""
    words, hint = protocol.misfit(version, facts.get("protocol"), found.update)
    problems = [Problem(words, hint, "protocol")] if words else []
    problems += [Problem(f"medidiff: {p}", "", "model_or_engine") for p in _texts(facts, "problems")]
    memory = facts.get("memory_gb")
    known = facts.get("protocol")
    return Report(
        ok=not problems,
        command=found.command,
        source=found.source,
        python=protocol.word(facts, "python") or found.python,
        version=version,
        protocol=known if isinstance(known, int) else 0,
        devices=_devices(facts, engines),
        gpu=any(d.get("device") == "gpu" for d in _dicts(facts, "devices")),
        models=tuple(_model(m) for m in _dicts(facts, "models")),
        engines={protocol.word(e, "name"): protocol.word(e, "version") for e in engines},
        memory_gb=protocol.number(memory, "available") if isinstance(memory, dict) else None,
        problems=tuple(problems),
        setup=found.update if words else "",
        log=f"{' '.join(found.command)} ({found.source})\n{json.dumps(facts, indent=2)}\n{log}",
    )


def _dicts(facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = facts.get(name)
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _texts(facts: dict[str, Any], name: str) -> list[str]:
    values = facts.get(name)
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _devices(facts: dict[str, Any], engines: list[dict[str, Any]]) -> tuple[str, ...]:
    """Names of devices: the CPU, then the GPUs that an engine can use, each once."""
    cpu = facts.get("cpu")
    name = protocol.word(cpu, "name") if isinstance(cpu, dict) else ""
    gpus = [d for e in engines if e.get("gpu") is True for d in _texts(e, "devices")[1:]]
    named = [d if d.upper().startswith("GPU") else f"GPU: {d}" for d in gpus]
    return (f"CPU: {name}" if name else "CPU", *dict.fromkeys(named))


def _model(facts: dict[str, Any]) -> ModelInfo:
    attribution = tuple(_texts(facts, "attribution"))
    problem = protocol.word(facts, "problem")
    return ModelInfo(
        name=protocol.word(facts, "name"),
        version=protocol.word(facts, "version"),
        modality=protocol.word(facts, "modality"),
        licence=protocol.word(facts, "licence"),
        training_data="; ".join(attribution),
        attribution=attribution,
        usable=not problem,
        problem=problem,
    )
