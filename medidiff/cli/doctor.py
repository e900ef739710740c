"""``medidiff doctor``: what works on this machine."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from medidiff.cli.options import ENGINES, HelpfulCommand, json_flag, talk_options

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")
"""Instruction sets that decide how fast a CPU computes a network."""


@click.command(cls=HelpfulCommand, short_help="Show what works on this machine.")
@click.option(
    "--engine", type=click.Choice(("all", *ENGINES)), default="all",
    help="Look at one engine alone. auto: at all but TensorFlow, which takes seconds to start, unless a GPU "
    "may be there or no other can be used.",
)  # fmt: skip
@json_flag
@talk_options
def command(engine: str, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Show versions, engines, devices, codecs and models of this machine, and what is missing.

    Ends with 7 where no engine or no model can be used, so that `medidiff denoise` would not run.
    """
    facts = _facts(engine)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 7 if facts["problems"] else 0


def _facts(engine: str) -> dict[str, Any]:
    """Everything, as plain values."""
    from medidiff.cli.events import PROTOCOL
    from medidiff.cli.models import summaries
    from medidiff.engines.select import available, quick
    from medidiff.report import versions

    known = {"all": available, "auto": quick}
    engines = [asdict(info) for info in (known[engine]() if engine in known else available([engine]))]
    models = summaries()
    usable = [e for e in engines if e["missing"] is None]
    problems = []
    if not usable:
        problems += [f"no engine can be used. {' '.join(str(e['missing']) for e in engines)}"]
    if all(m["problem"] for m in models):
        why = " ".join(str(m["problem"]) for m in models) or "Reinstall medidiff, or set MEDIDIFF_HOME."
        problems += [f"no model can be used. {why}"]
    return {
        "tool": "medidiff",
        "protocol": PROTOCOL,
        "versions": versions(),
        "python": sys.executable,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "devices": _devices(usable),
        "memory_gb": _memory(),
        "engines": engines,
        "models": models,
        "codecs": _codecs(),
        "ct_projector": _projector(),
        "problems": problems,
    }


def _devices(usable: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `--device` can choose from: the kind, and the engines that compute on it."""
    found = [{"device": "cpu", "engines": [e["name"] for e in usable]}]
    gpu = [e["name"] for e in usable if e["gpu"]]
    return [*found, {"device": "gpu", "engines": gpu}] if gpu else found


def _cpu() -> dict[str, Any]:
    """Name, cores and instruction sets, as far as the system tells."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": name, "cores": cores, "features": [f for f in CPU_FLAGS if f in flags]}


def _memory() -> dict[str, float | None]:
    """Total and available memory in GB; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = {k: round(int(v.split()[0]) / 1e6, 1) for k, _, v in (line.partition(":") for line in lines)}
    except (OSError, ValueError, IndexError):
        values = _pages()
    return {"total": values.get("MemTotal"), "available": values.get("MemAvailable")}


def _pages() -> dict[str, float]:
    """Memory in GB as POSIX tells it, as far as it does."""
    found = {}
    for name, key in (("MemTotal", "SC_PHYS_PAGES"), ("MemAvailable", "SC_AVPHYS_PAGES")):
        with suppress(AttributeError, ValueError, OSError):  # no POSIX, or not this number
            found[name] = round(os.sysconf(key) * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    return found


def _codecs() -> list[dict[str, Any]]:
    """Each compressed transfer syntax that medidiff reads, and what decodes it here."""
    from pydicom.pixels.decoders.base import get_decoder

    from medidiff.io.dicom.pixels import DECODABLE, NATIVE

    found = []
    for uid, name in DECODABLE.items():
        if uid in NATIVE or "Deflated" in name:
            continue
        decoder = get_decoder(uid)
        found.append({"uid": uid, "name": name, "decoders": list(decoder.available_plugins)})
    return found


def _projector() -> dict[str, Any]:
    """What `simulate ct` projects with."""
    from medidiff.noise.projector import choose

    astra: str | None
    try:
        astra = version("astra-toolbox")
    except PackageNotFoundError:
        astra = "unknown" if find_spec("astra") else None
    return {"astra": astra, "used": choose()}


def _print(facts: dict[str, Any]) -> None:
    """For people, on stdout."""

    def row(name: str, text: object) -> None:
        click.echo(f"{name:<14} {text}")

    for name, number in facts["versions"].items():
        row(name, number or "not installed")
    row("platform", facts["platform"])
    cpu, memory = facts["cpu"], facts["memory_gb"]
    row("cpu", f"{cpu['name']}, {cpu['cores']} cores, {' '.join(cpu['features']) or 'no known features'}")
    row("devices", ", ".join(f"{d['device']} ({', '.join(d['engines'])})" for d in facts["devices"]))
    row("memory", f"{memory['available'] or '?'} of {memory['total'] or '?'} GB available")
    click.echo("\nengines")
    for e in facts["engines"]:
        if e["missing"]:
            row(f"  {e['name']}", e["missing"])
        else:
            row(f"  {e['name']}", f"{e['version']}, {', '.join(e['devices'])} ({', '.join(e['precisions'])})")
    click.echo("\nmodels")
    for m in facts["models"]:
        good = m["problem"] is None
        row(f"  {m['name']}", f"{m['version']}, {m['modality']}, {m['licence']}" if good else m["problem"])
    click.echo("\ncodecs")
    for c in facts["codecs"]:
        click.echo(f"  {c['name']:<24} {', '.join(c['decoders']) or 'missing: pip install medidiff'}")
    click.echo(f"\nCT simulation projects with {facts['ct_projector']['used']}.")
    for problem in facts["problems"]:
        click.echo(f"medidiff: error: {problem}", err=True)
