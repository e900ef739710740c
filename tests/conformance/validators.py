"""Judges of derived DICOM files: dciodvfy and dcentvfy, two second parsers, and highdicom's attribute tables.

Real sources are never without faults, so a derived file is compared with its source: it must add none.
A tool that is not installed makes its test skip, with the Debian package that has it; the attribute tables
need no tool.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from derived import load
from pydicom.datadict import tag_for_keyword

FALSE_ALARM = re.compile(
    r"present when condition unsatisfied.*Module=<(MRPulseSequence|BulkMotionSynchronization)>"
)
"""PS3.3 allows these "otherwise"; dciodvfy does not."""

PACKAGES = {
    "dciodvfy": "dicom3tools", "dcentvfy": "dicom3tools", "dcmftest": "dcmtk", "dcmconv": "dcmtk",
    "dcmcjpeg": "dcmtk", "gdcminfo": "libgdcm-tools", "gdcmdump": "libgdcm-tools",
    "gdcmconv": "libgdcm-tools",
}  # fmt: skip


def tool(name: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Runs a validator; skips the test where it is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (Debian package {PACKAGES[name]})")
    return subprocess.run([name, *map(str, arguments)], capture_output=True, check=False)


def introduced(sources: Iterable[Path], derived: Iterable[Path]) -> set[str]:
    """dciodvfy errors of the derived files that no source file has."""

    def errors(paths: Iterable[Path]) -> set[str]:
        texts = (tool("dciodvfy", path).stderr.decode("latin-1") for path in paths)
        return {line for text in texts for line in text.splitlines() if line.startswith("Error -")}

    return {line for line in errors(derived) - errors(sources) if not FALSE_ALARM.search(line)}


def inconsistent(paths: Sequence[Path]) -> str:
    """What dcentvfy says of the instances of a series; "" where they agree."""
    run = tool("dcentvfy", *paths)
    return (run.stdout + run.stderr).decode("latin-1").strip()


def unreadable(path: Path) -> str:
    """What DCMTK and GDCM, which share no code with pydicom, say against a file; "" where both read it."""
    test = tool("dcmftest", path)
    if test.returncode or not test.stdout.startswith(b"yes:"):
        return f"dcmftest: {test.stdout + test.stderr!r}"
    for name in ("gdcminfo", "gdcmdump"):
        run = tool(name, path)
        if run.returncode or b"rror" in run.stderr or b"arning" in run.stderr:
            return f"{name}: {run.stderr[:300]!r}"
    return ""


@cache
def required(sop_class: str) -> tuple[tuple[str, str], ...]:
    """(keyword, type) of the type 1 and 2 attributes at the root of the mandatory modules of an IOD (PS3.3).

    From highdicom's tables, which are made of the standard.
    """
    import highdicom

    folder = Path(highdicom.__file__).parent / "_standard"

    def table(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    modules = [m["key"] for m in table("iod_module_map")[table("sop_class_iod_map")[sop_class]]
               if m["usage"] == "M"]  # fmt: skip
    attributes = _attributes()
    return tuple(
        (a["keyword"], a["type"]) for m in modules for a in attributes[m]
        if not a["path"] and a["type"] in ("1", "2")
    )  # fmt: skip


@cache
def _attributes() -> Any:
    import highdicom

    path = Path(highdicom.__file__).parent / "_standard" / "module_attribute_map.json"
    return json.loads(path.read_text(encoding="utf-8"))  # 22 MB


def missing(path: Path) -> set[str]:
    """Keywords of required attributes that a file lacks: type 1 absent or empty, type 2 absent."""
    ds = load(path)
    found = set()
    for keyword, kind in required(str(ds.SOPClassUID)):
        element = ds.get_item(tag_for_keyword(keyword))
        if element is None or (kind == "1" and not element.value):
            found.add(keyword)
    return found


def newly_missing(sources: Iterable[Path], derived: Iterable[Path]) -> set[str]:
    """Required attributes that a derived file lacks and no source does."""
    return set().union(*map(missing, derived)) - set().union(*map(missing, sources))
