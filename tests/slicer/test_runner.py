"""The worker's process: what it says arrives, and it always ends, with all that it has started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from MediDiffDenoiseLib.environment import Interpreter
from MediDiffDenoiseLib.job import CANCELLED, DONE, FAILED, LOG_LIMIT, RUNNING, Job
from MediDiffDenoiseLib.runner import Runner
from scenes import alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

HEAD = """
import json, os, subprocess, sys, time
def emit(event, **more):
    print("@medidiff " + json.dumps({"event": event, **more}), flush=True)
emit("hello", version="0.1.0", protocol=1)
"""
CHILD = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
emit("start", device="CPU", model="m", licence="L", child=child.pid)
"""
OBEYS = (
    HEAD
    + CHILD
    + "sys.stdin.readline(); child.kill(); child.wait(); emit('error', code='cancelled'); sys.exit(6)"
)
LEAVES_CHILD = HEAD + CHILD + "sys.stdin.readline(); sys.exit(6)"
STUBBORN = (
    HEAD
    + CHILD
    + """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    time.sleep(1)
"""
)


@pytest.fixture
def worker(tmp_path: Path) -> Callable[..., Job]:
    """Starts a job whose worker is a script, in a folder with a space and an accent."""
    folder = tmp_path / "mit Lücke é"
    folder.mkdir()

    def start(code: str, finish: Any = lambda job, result: None, words: tuple[str, ...] = ()) -> Job:
        script = folder / "worker é.py"
        script.write_text(code, encoding="utf-8")
        job = Job("denoise")
        job.start(Interpreter((sys.executable, str(script)), "settings"), words, dict(os.environ), finish)
        return job

    return start


def child_of(job: Job) -> int:
    """Waits for the worker's own child; gives its pid."""
    until(lambda: not job.poll() or any("child" in e for e in job.events))
    return next(e["child"] for e in job.events if "child" in e)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_success(worker: Callable) -> None:
    taken: list[dict] = []
    states: list[str] = []
    job = worker(
        HEAD + "emit('start', device='CPU', model='ct', licence='Apache-2.0')\n"
        "print('tea')\nprint('milk', file=sys.stderr)\nemit('unheard_of', x=1)\n"
        "emit('progress', stage='denoising', fraction=0.5, eta_s=3.0)\n"
        "emit('warning', code='spacing', text='w')\n"
        "emit('result', path='x')\nemit('done', exit_code=0)",
        lambda job, result: taken.append(result),
    )
    job.eventCallback = lambda job: states.append(job.state)
    pid = job.pid
    assert job.wait().state == DONE
    assert taken == [{"event": "result", "path": "x"}]
    assert (job.device, job.model, job.licence, job.version) == ("CPU", "ct", "Apache-2.0", "0.1.0")
    assert job.warnings == [("spacing", "w")]
    assert "tea" in job.log
    assert "milk" in job.log
    assert states[-2:] == ["importing", "done"]
    assert not alive(pid)
    assert not job.folder.exists()
    assert job.poll() is False


def test_progress_moves_while_it_runs(worker: Callable) -> None:
    job = worker(
        HEAD + "emit('start', device='CPU')\nemit('progress', stage='denoising', fraction=0.25, eta_s=9)\n"
        "sys.stdin.readline()"
    )
    until(lambda: job.poll() and job.fraction == 0.25)
    assert job.state == RUNNING
    assert job.stage == "denoising"
    assert job.eta_s == 9.0
    job.kill()


@pytest.mark.parametrize(
    ("tail", "code", "text"),
    [("emit('error', code='refused', text='No.', hint='Do.'); sys.exit(5)", "refused", "No."),
     ("emit('error', code='refused', text='No.', hint='Do.')", "refused", "No."),  # whatever the status
     ("sys.exit(8)", "out_of_memory", "Out of memory."),
     ("sys.exit(2)", "usage", "medidiff did not accept its options."),
     ("sys.exit(0)", "no_result", "medidiff ended without a result."),
     ("os.kill(os.getpid(), 9)", "killed", "medidiff was killed."),
     ("raise ImportError(\"No module named 'medidiff'\")", "not_installed", "medidiff is not installed in"),
     ("emit('result', path='x'); sys.exit(1)", "failed", "medidiff failed.")],
)  # fmt: skip
def test_failures_are_told_apart(worker: Callable, tail: str, code: str, text: str) -> None:
    job = worker(HEAD + tail).wait()
    assert job.state == FAILED
    assert job.error.code == code
    assert job.error.text.startswith(text)
    assert not job.folder.exists()


def test_a_worker_that_prints_without_end_holds_nobody_up(worker: Callable) -> None:
    """It took 11 s of one poll, during which a window would not answer."""
    job = worker(HEAD + "print(('x' * 80 + chr(10)) * 200_000); sys.exit(8)")
    worst = 0.0
    while True:
        began = time.process_time()
        goes_on = job.poll()
        worst = max(worst, time.process_time() - began)
        if not goes_on:
            break
        time.sleep(0.2)
    assert job.error.code == "out_of_memory"
    assert len(job.log) <= LOG_LIMIT
    assert worst < 2.0


def test_a_worker_of_another_protocol_is_ended(worker: Callable) -> None:
    job = worker(HEAD.replace("protocol=1", "protocol=2") + CHILD + "time.sleep(60)")
    pid = job.pid
    job.wait()
    assert job.state == FAILED
    assert job.error.code == "protocol"
    assert not alive(pid)


def test_a_result_that_cannot_be_taken_over_is_a_failure(worker: Callable) -> None:
    def broken(job: Job, result: dict) -> None:
        raise RuntimeError("odd\nscene")

    job = worker(HEAD + "emit('result', path='x')", broken).wait()
    assert job.state == FAILED
    assert "odd scene" in job.error.text


def test_cancelled_in_time_with_all_that_it_started(worker: Callable) -> None:
    for code in (OBEYS, LEAVES_CHILD, STUBBORN):
        job = worker(code)
        child = child_of(job)
        assert alive(job.pid)
        assert alive(child)
        asked = time.monotonic()
        job.cancel()
        assert job.state == "cancelling"
        job.cancel()  # twice is once
        assert job.wait().state == CANCELLED
        assert time.monotonic() - asked < 3.0
        assert not alive(job.pid)
        until(lambda child=child: not alive(child), 1.0)
        assert not job.folder.exists()


def test_a_cancelled_run_that_was_done_is_still_cancelled(worker: Callable) -> None:
    taken: list[dict] = []
    job = worker(
        HEAD + CHILD + "sys.stdin.readline(); child.kill(); emit('result', path='x')",
        lambda job, result: taken.append(result),
    )
    child_of(job)
    job.cancel()
    assert job.wait().state == CANCELLED
    assert taken == []


def test_killed_at_once(worker: Callable) -> None:
    job = worker(STUBBORN)
    child = child_of(job)
    job.kill()
    assert job.state == CANCELLED
    assert not alive(job.pid)
    until(lambda: not alive(child), 1.0)


def test_killed_from_outside(worker: Callable) -> None:
    job = worker(STUBBORN)
    child = child_of(job)
    os.kill(job.pid, signal.SIGKILL)
    assert job.wait().state == FAILED
    assert "memory" in job.error.hint
    until(lambda: not alive(child), 1.0)


def test_the_end_of_stdin_is_the_word_to_stop(worker: Callable) -> None:
    """A worker sees its end too when Slicer dies: the pipe closes with it."""
    job = worker(HEAD + CHILD + "assert sys.stdin.read() == 'cancel\\n'; child.kill(); sys.exit(6)")
    child_of(job)
    job.cancel()
    job.wait()
    assert "AssertionError" not in job.log
    assert "status 6" in job.log


def test_a_silent_worker_blocks_nobody(worker: Callable) -> None:
    job = worker("import time; time.sleep(60)")
    for _ in range(20):
        before = time.monotonic()
        assert job.poll()
        assert time.monotonic() - before < 0.1
    assert job.state == "starting"
    job.kill()


def test_a_talkative_worker_blocks_nobody(worker: Callable) -> None:
    job = worker(
        HEAD + "print('x' * 3_000_000)\nfor n in range(30_000): print('é', n)\nemit('result', path='x')"
    )
    assert job.wait().state == DONE
    assert len(job.log) <= 256 * 1024
    assert "é 29999" in job.log


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    job = Job("denoise")
    job.start(Interpreter((str(tmp_path / "nothing"), "-m", "medidiff"), "settings"), (), {}, lambda *_: None)
    assert job.state == FAILED
    assert "nothing cannot be started" in job.error.text
    assert not job.folder.exists()
    job = Job("denoise")
    job.start(None, (), {}, lambda *_: None)
    assert job.error.code == "no_interpreter"
    assert "pip install" in job.error.hint


def test_words_arrive_as_they_are(worker: Callable) -> None:
    words = ("a b", "é", 'quote"d', "$HOME", "", "*")
    job = worker(HEAD + "emit('result', path='x', words=sys.argv[1:], cwd=os.getcwd())", words=words).wait()
    (result,) = [e for e in job.events if e["event"] == "result"]
    assert tuple(result["words"]) == words
    assert result["cwd"] == str(job.folder)  # no folder of the user, from which Python would import


def test_no_pipe_and_no_process_is_left(worker: Callable) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        worker(HEAD + "emit('result', path='x')").wait()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before, 2.0)


def test_output_of_an_escaped_child_is_not_waited_for_long(tmp_path: Path) -> None:
    """A child in a session of its own escapes the group and keeps the pipes open."""
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(8)'], start_new_session=True)\n"
        "print(p.pid, flush=True)"
    )
    runner = Runner([sys.executable, "-c", code], dict(os.environ), str(tmp_path))
    lines: list[Any] = []
    threads = threading.active_count() - 2
    begun = time.monotonic()
    while not runner.over:
        lines += runner.poll()
        time.sleep(0.01)
    assert time.monotonic() - begun < 6.0
    assert runner.returncode == 0
    os.kill(int(lines[0].text), signal.SIGKILL)
    until(lambda: threading.active_count() == threads, 5.0)  # its pipes are closed by then
