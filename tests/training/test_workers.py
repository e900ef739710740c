"""Worker processes: a killed parent leaves none behind, and an error stops them after what they are at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, time
from medidiff.training.workers import workers
if __name__ == "__main__":
    with workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 60).result()
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()  # ended, and nobody has asked how
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20.0
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(worker)


def busy(path: str) -> int:
    """Works in small parts, as the preparation of a scan does."""
    from medidiff.training.workers import stopped

    for part in range(600):
        Path(path).write_text(str(part))
        if stopped():
            return part
        time.sleep(0.1)
    return 600


def test_an_error_stops_them_after_a_part(tmp_path: Path) -> None:
    from medidiff.training.workers import workers

    note = tmp_path / "part"

    def run() -> None:
        with workers(1) as pool:
            pool.submit(busy, str(note))
            until = time.monotonic() + 60.0
            while not note.exists() and time.monotonic() < until:
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert int(note.read_text()) < 100
