"""What medidiff, SimpleITK, dcm2niix, dicom2nifti and highdicom make of awkward DICOM series.

    python benchmarks/readers [--peers PYTHON] [--data FOLDER] [--case NAME] [-o docs/readers.md]

Builds every case from one CT series (a real one where MEDIDIFF_DATA or --data names the folder of real
scans, else the synthetic one of sample_data), gives it to every tool in a process of its own, compares what
comes back with the truth slice by slice, and writes the table. A tool that is not installed is named and its
column left out.

Some tools bring decoders that pydicom would then use in medidiff too (dicom2nifti brings GDCM). So they
belong in an environment of their own, which --peers names:

    python3 -m venv .venv-readers && .venv-readers/bin/pip install SimpleITK dcm2niix dicom2nifti highdicom \\
        pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle pyjpegls
    python benchmarks/readers --peers .venv-readers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from readers import files, frames, geometry, pixels
from readers.judge import Verdict, verdict_of
from readers.page import cell, page, plain
from readers.scan import NotBuiltError, copy, load, save
from readers.tools import TOOLS

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parents[1] / "docs" / "readers.md"
SECONDS = 180
"""Time that a tool has for a case."""

NO_PEERS = ("medidiff",)
"""Tools that run in this environment, not in that of --peers."""


def run(tool: str, python: str, folder: Path, out: Path) -> dict[str, Any]:
    """The answer of a tool; a crash or a timeout is an answer too."""
    out.mkdir(parents=True)
    command = [python, str(HERE / "tools.py"), tool, str(folder), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])} if tool.startswith(NO_PEERS) else None
    empty = {"volumes": [], "skipped": [], "said": [], "failed": "", "error": ""}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {**empty, "failed": f"not done after {SECONDS} s", "error": "timeout"}
    if not (out / "answer.json").exists():
        return {**empty, "failed": f"process ends with code {done.returncode}", "error": "crash"}
    answer: dict[str, Any] = json.loads((out / "answer.json").read_text())
    answer["said"] += [x for x in done.stderr.splitlines() if "warning" in x.lower()]
    return answer


def volumes_of(answer: dict[str, Any], out: Path) -> list[tuple[np.ndarray, list[np.ndarray], str]]:
    """The volumes that a tool left in its folder."""
    return [
        (np.load(out / f"{k}.npy"), [np.array(a) for a in volume["affines"]], volume["label"])
        for k, volume in enumerate(answer["volumes"])
    ]


def versions(peers: str) -> tuple[dict[str, str], list[str]]:
    """Versions of the tools that are there, and the names of those that are not."""
    there, missing = {}, []
    for tool in TOOLS:
        python = sys.executable if tool.startswith(NO_PEERS) else peers
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        done = subprocess.run(
            [python, str(HERE / "tools.py"), tool, "--version"],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        if done.returncode:
            missing.append(tool)
        else:
            there[tool] = done.stdout.strip()
    return there, missing


def main() -> None:
    """Builds, runs, judges, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("MEDIDIFF_DATA")
    parser.add_argument(
        "--peers", default=sys.executable, help="Python of the environment with the other tools"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(data) if data else None, help="folder of real scans"
    )
    parser.add_argument("--case", action="append", help="only this case; prints instead of writing")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    if shutil.which(options.peers) is None:
        parser.error(f"--peers is no program. Received: {options.peers}")
    base, label = load(options.data)
    tools, missing = versions(options.peers)
    for name in missing:
        print(f"{name} is not installed: its column is left out", file=sys.stderr)
    table: dict[str, dict[str, Verdict]] = {}
    left_out: list[str] = []
    usual: dict[str, set[str]] = {}
    for build in (*geometry.CASES, *pixels.CASES, *files.CASES, *frames.CASES):
        title = (build.__doc__ or "").rstrip(".")
        if options.case and build.__name__ not in ("regular", *options.case):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "case"
            try:
                images = build(copy(base))
                save(images, folder)
            except NotBuiltError as error:
                print(f"{title}: left out, {error}", file=sys.stderr)
                left_out.append(f"{title}: {error}")
                continue
            table[title] = {}
            for tool in tools:
                out = Path(scratch) / tool.replace(" ", "")
                python = sys.executable if tool.startswith(NO_PEERS) else options.peers
                answer = run(tool, python, folder, out)
                said = {plain(line) for line in answer["said"]}
                verdict = verdict_of(images, answer, volumes_of(answer, out))
                verdict.said = bool(said - usual.setdefault(tool, said))
                table[title][tool] = verdict
                print(f"{build.__name__:22s} {tool:18s} {cell(verdict)}", file=sys.stderr)
    date = datetime.now(timezone.utc).date().isoformat()
    text = page(table, tools, label=label, date=date, missing=missing, left_out=left_out)
    if options.case:
        print(text)
    else:
        options.output.write_text(text, encoding="utf-8")
        print(options.output)


if __name__ == "__main__":
    main()
