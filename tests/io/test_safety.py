"""Hostile files: no memory for what is only claimed, no path from what is only named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = 600 << 20
"""Address space in bytes on top of what the imports take: a claim of 2 GB does not fit."""

SCRIPT = """
import json, resource, sys
from pathlib import Path
import nibabel, numpy, pydicom, SimpleITK
from medidiff.errors import MedidiffError
from medidiff.io import discover, itk, nifti, read
from medidiff.io.dicom import reader as dicom_reader
status = Path("/proc/self/status").read_text()
used = int(status.split("VmSize:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
found = discover([Path(sys.argv[1])])
reasons = {s.path.name: s.reason.name for s in found.skipped}
for item in found.items:
    try:
        read(item)
        reasons[item.path.name] = "read"
    except MedidiffError as error:
        reasons[item.path.name] = type(error).__name__
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(reasons))
"""


def scan(folder: Path) -> dict[str, str]:
    """What becomes of the files in a folder, in a process with little room."""
    root = str(Path(__file__).resolve().parents[2])
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(ROOM)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_no_memory_for_what_is_only_claimed(tmp_path: Path) -> None:
    from hostile import make

    make(tmp_path / "in")
    reasons = scan(tmp_path / "in")
    assert {name: name.split()[0] for name in reasons} == reasons
    assert len(reasons) > 40
