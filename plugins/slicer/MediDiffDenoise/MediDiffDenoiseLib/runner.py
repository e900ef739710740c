"""Runner: the worker's process, from start to end. Standard library only; its threads fill a queue, no more.

Neither QProcess nor `slicer.util.launchConsoleProcess` serves: a worker that has started processes of its own
must end with all of them, and stdin is how it is asked to stop.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .protocol import Line, Splitter

GRACE = 2.0
"""Seconds that a worker has to stop after it was asked."""

LINGER = 1.0
"""Seconds that output is waited for after the worker has ended."""

CHUNK = 1 << 16
WINDOWS = sys.platform == "win32"


class Runner:
    """One process and all that it starts.

    Args:
        command: program and arguments.
        environment: all of its variables.
        folder: its working folder.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        more: dict[str, Any] = {"start_new_session": True}
        if WINDOWS:
            more = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
        self._process = subprocess.Popen(
            list(command), env=dict(environment), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0, **more,
        )  # fmt: skip
        self.pid = self._process.pid
        self.returncode: int | None = None
        self._deadline: float | None = None
        self._ended: float | None = None
        self._pieces: queue.Queue[tuple[Splitter, bytes]] = queue.Queue()
        self._open = {Splitter(): self._process.stdout, Splitter(events=False): self._process.stderr}
        for splitter, pipe in self._open.items():
            threading.Thread(target=self._read, args=(splitter, pipe), daemon=True).start()

    @property
    def over(self) -> bool:
        """True once the process has ended and all that it said was given out."""
        return self.returncode is not None

    def poll(self) -> list[Line]:
        """What the worker has said since the last time. Never blocks."""
        lines: list[Line] = []
        if self.over:
            return lines
        if self._ended is None and self._has_ended():
            self._ended = time.monotonic()
            self._kill_group()  # what it has left behind
        while True:
            try:
                splitter, data = self._pieces.get_nowait()
            except queue.Empty:
                break
            if data:
                lines += splitter.feed(data)
            else:
                lines += splitter.close()
                self._open.pop(splitter, None)
        now = time.monotonic()
        if self._ended is not None and (not self._open or now - self._ended > LINGER):
            for splitter in self._open:
                lines += splitter.close()
            self._finish()
        elif self._deadline is not None and now > self._deadline and self._ended is None:
            self._kill_group()
        return lines

    def cancel(self) -> None:
        """Asks the worker to stop; `poll` kills it with all that it started if it has not in 2 s."""
        if self._deadline is None and not self.over:
            self._deadline = time.monotonic() + GRACE
            with contextlib.suppress(OSError, ValueError):
                self._stdin().write(b"cancel\n")
            with contextlib.suppress(OSError, ValueError):
                self._stdin().close()

    def kill(self) -> None:
        """Ends the worker with all that it started, at once, and waits for it."""
        if self.over:
            return
        self._kill_group()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._finish()

    def _finish(self) -> None:
        """The process is gone: takes its status. Its output is closed by the readers, at its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.poll()
        self.returncode = -int(signal.SIGTERM) if status is None else status
        with contextlib.suppress(OSError, ValueError):
            self._stdin().close()

    def _stdin(self) -> Any:
        assert self._process.stdin is not None
        return self._process.stdin

    def _has_ended(self) -> bool:
        """Whether the process has ended. On POSIX it stays a zombie meanwhile: its group keeps its id."""
        if WINDOWS or not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has taken its status
            return True

    def _kill_group(self) -> None:
        """Kills the process and its descendants, also where the process itself has ended."""
        if WINDOWS:
            # Before any other kill: the python.exe of a virtual environment dies without its child.
            if self._process.poll() is None:
                subprocess.run(
                    ["taskkill", "/T", "/F", "/PID", str(self.pid)], capture_output=True, check=False,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )  # fmt: skip
            return
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _read(self, splitter: Splitter, pipe: Any) -> None:
        """Fills the queue; runs in a thread of its own."""
        with contextlib.suppress(OSError, ValueError), pipe:
            while data := os.read(pipe.fileno(), CHUNK):
                self._pieces.put((splitter, data))
        self._pieces.put((splitter, b""))
