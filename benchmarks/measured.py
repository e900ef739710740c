"""Runs a module in this process as `python -m` would, and writes its wall time and peak memory to a file.

    python benchmarks/measured.py FILE MODULE ARGUMENTS...

A process of its own for each measurement: peak memory is that of its own address space, start-up included.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

START = time.perf_counter()


def peak_mb() -> float:
    """Peak resident memory of this process in MB.

    Linux keeps it by address space (VmHWM); what `getrusage` and `wait4` give carries over the peak of the
    process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return float(line.split()[1]) / 1024.0
    import resource

    unit = 1024.0**2 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def run(module: str, arguments: Sequence[str]) -> tuple[float, float]:
    """Wall seconds of a process from its start to its end, and its peak memory in MB.

    Raises:
        RuntimeError: it failed; with the last line of what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "measured.json"
        command = [sys.executable, __file__, str(file), module, *arguments]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode or not file.exists():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise RuntimeError(f"{module} ended with code {done.returncode}: {said[-1] if said else ''}")
        return seconds, float(json.loads(file.read_text())["peak_mb"])


def main() -> None:
    """The process that is measured."""
    file, module, *arguments = sys.argv[1:]
    sys.path.pop(0)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(file).write_text(json.dumps({"peak_mb": peak_mb(), "seconds": time.perf_counter() - START}))


if __name__ == "__main__":
    main()
