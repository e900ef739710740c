"""Runs as processes: signals, a program that takes back its word, full and read-only file systems."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_scans import ct_series, tree

from medidiff.cli.cancel import Cancellation


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs; skips where this may not be done."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def heeding() -> None:
    """Heeds the signals that whoever started the tests in the background has them ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(args: list[str], environment: dict[str, str], **options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "medidiff", *args], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, **{"preexec_fn": heeding, **options},
    )  # fmt: skip


def events(text: str) -> list[dict]:
    prefix = "@medidiff "
    return [json.loads(line[len(prefix) :]) for line in text.splitlines() if line.startswith(prefix)]


def long_run(tmp_path: Path, model_home: Path) -> list[str]:
    """A command line that takes long enough to be stopped, in slices that do not."""
    source = ct_series(tmp_path / "in", slices=30, shape=(256, 256))
    return [
        "denoise", str(source), "-o", str(tmp_path / "out"), "--model", str(model_home / "models" / "ct"),
        "--sigma", "20", "--mode", "sample", "--steps", "8", "--samples", "4", "--progress", "jsonl",
        "--threads", "1",
    ]  # fmt: skip


def until_denoising(process: subprocess.Popen) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if '"fraction"' in line:
            return
    raise AssertionError("the run ended before it denoised a slice")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, "cancel", "close"], ids=str)
def test_a_stopped_run_leaves_nothing(
    tmp_path: Path, environment: dict[str, str], model_home: Path, how: signal.Signals | str
) -> None:
    pipe = {"stdin": subprocess.PIPE if isinstance(how, str) else subprocess.DEVNULL}
    process = start(long_run(tmp_path, model_home), environment, **pipe)
    try:
        until_denoising(process)
        asked = time.monotonic()
        if how == "cancel":
            assert process.stdin is not None
            process.stdin.write("cancel\n")
            process.stdin.flush()
        elif how == "close":
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        else:
            process.send_signal(how)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - asked < 20
    finally:
        process.kill()
    assert process.returncode == 6
    assert "Traceback" not in err
    assert [e["code"] for e in events(out) if e["event"] == "error"] == ["cancelled"]
    assert "result" not in [e["event"] for e in events(out)]
    assert not (tmp_path / "out").exists()


def second_series(tmp_path: Path) -> None:
    """Puts a small series beside that of the long run, which is denoised before it."""
    (tmp_path / "in").rename(tmp_path / "b")
    ct_series(tmp_path / "in" / "DOE_JOHN", series="small", shape=(128, 128), slices=3)
    (tmp_path / "b").rename(tmp_path / "in" / "b")


def until_first_is_done(args: list[str], environment: dict[str, str], how: signal.Signals) -> int:
    """Starts a run, sends it a signal as soon as it tells of its first output, and gives its exit code."""
    process = start(args, environment, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert any('"result"' in line for line in process.stdout)
        process.send_signal(how)
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_figures_outlive_a_kill(
    run: Callable, tmp_path: Path, model_home: Path, environment: dict[str, str]
) -> None:
    command = [*long_run(tmp_path, model_home), "--report"]
    second_series(tmp_path)
    out = tmp_path / "out"
    assert until_first_is_done(command, environment, signal.SIGKILL) == -signal.SIGKILL
    assert not (out / "report.json").exists()
    kept = sorted((out / "report-unfinished").iterdir())
    assert [p.suffix for p in kept] == [".json", ".npz"]
    assert "DOE" not in kept[0].read_text() + "".join(p.name for p in kept)

    again = ["denoise", str(tmp_path / "in"), "-o", str(out), "--sigma", "20", "--report", "--resume"]
    ran = run(*again)
    assert ran.code == 0, ran.err
    small, big = json.loads((out / "report.json").read_text())["series"]
    assert (small["status"], small["code"], big["status"]) == ("skipped", "DONE", "denoised")
    assert small["notes"][0].startswith("denoised and measured by an earlier run")
    assert "mode sample" in small["notes"][0]  # not the mean of the run that wrote the report
    with np.load(out / "report-images.npz") as images:
        assert {name[0] for name in images} == {"1", "2"}
        pictures = {name: images[name] for name in images if name[0] == "1"}
    page = (out / "report.html").read_text()
    assert "1 denoised, 1 denoised earlier." in page
    assert not (out / "report-unfinished").exists()

    command[command.index("-o") + 1] = str(tmp_path / "whole")
    command[1] = str(tmp_path / "in" / "DOE_JOHN")
    assert run(*command).code == 0
    (alone,) = json.loads((tmp_path / "whole" / "report.json").read_text())["series"]
    for word in ("arms", "nps", "flags", "pictures", "patient", "sigma_text", "model"):
        assert small[word] == alone[word]
    with np.load(tmp_path / "whole" / "report-images.npz") as images:
        assert {*images} == {*pictures}
        assert all(np.array_equal(images[name], pictures[name]) for name in images)


def test_a_run_that_is_stopped_after_its_first_series_leaves_one_report(
    tmp_path: Path, model_home: Path, environment: dict[str, str]
) -> None:
    command = [*long_run(tmp_path, model_home), "--report"]
    second_series(tmp_path)
    assert until_first_is_done(command, environment, signal.SIGTERM) == 6
    found = [p.name for p in (tmp_path / "out").iterdir() if p.is_file()]
    assert sorted(found) == ["report-images.npz", "report.csv", "report.html", "report.json"]
    assert not (tmp_path / "out" / "report-unfinished").exists()


def test_a_run_goes_on_where_figures_cannot_be_kept(run: Callable, tmp_path: Path) -> None:
    """As on a full disk; here a file of somebody else is in the way, and stays."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report-unfinished").write_text("mine")
    command = ("denoise", ct_series(tmp_path / "in"), "-o", tmp_path / "out", "--strength", "0", "--report")
    for more in ((), ("--resume",)):
        ran = run(*command, *more)
        assert ran.code == 0, ran.err
        assert json.loads((tmp_path / "out" / "report.json").read_text())["series"][0]["arms"]
    assert (tmp_path / "out" / "report-unfinished").read_text() == "mine"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_run_that_is_stopped_while_it_still_loads(
    tmp_path: Path, environment: dict[str, str], model_home: Path, how: signal.Signals
) -> None:
    process = start(long_run(tmp_path, model_home), environment, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert "hello" in process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 6
    assert "Traceback" not in err
    assert [e["event"] for e in events(out)] == ["error", "done"]
    assert not (tmp_path / "out").exists()


def test_a_signal_while_the_report_is_written_lets_it_be_finished(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medidiff import report

    whole = report.write

    def write(*args: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return whole(*args, **options)

    monkeypatch.setattr(report, "write", write)
    ran = run("denoise", ct_series(tmp_path / "in"), "-o", tmp_path / "out", "--strength", "0")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "report.json").is_file()


def test_what_nohup_has_a_run_ignore_stays_ignored() -> None:
    old = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGHUP, signal.SIGINT)}
    try:
        with Cancellation() as cancelled:
            for number in old:
                os.kill(os.getpid(), number)
            assert not cancelled()
        assert all(signal.getsignal(number) is signal.SIG_IGN for number in old)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def test_events_for_programs(tmp_path: Path, environment: dict[str, str], model_home: Path) -> None:
    source = ct_series(tmp_path / "in")
    args = [
        "denoise", str(source), "-o", str(tmp_path / "out"), "--model", str(model_home / "models" / "ct"),
        "--sigma", "20", "--progress", "jsonl",
    ]  # fmt: skip
    process = start(args, environment, stdin=subprocess.DEVNULL)  # no pipe: its end does not cancel
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    told = events(out)
    assert len(told) == len(out.splitlines())  # nothing else on stdout
    assert "@medidiff" not in err
    names = [e["event"] for e in told]
    assert names[0] == "hello"
    assert told[0]["protocol"] == 1
    assert names[-1] == "done"
    assert told[-1]["exit_code"] == 0
    begin = next(e for e in told if e["event"] == "start")
    assert begin["shape"] == [4, 64, 64]
    assert begin["licence"] == "Apache-2.0"
    fractions = [e["fraction"] for e in told if "fraction" in e]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    result = next(e for e in told if e["event"] == "result")
    assert Path(result["path"]).parent == tmp_path / "out"
    assert result["path"] == result["outputs"]["denoised"]
    assert len(list(Path(result["path"]).iterdir())) == 4
    assert result["derivation"]["model_id"] == "ct-0.1"
    assert names.index("start") < names.index("result")


def test_an_error_is_an_event_too(tmp_path: Path, environment: dict[str, str]) -> None:
    process = start(
        ["denoise", str(tmp_path), "-o", str(tmp_path / "out"), "--progress", "jsonl"], environment,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    (error,) = [e for e in events(out) if e["event"] == "error"]
    assert error["code"] == "no_image"
    assert error["text"] in err


def test_a_full_disk(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in", slices=30, shape=(256, 256))
    with mounted(tmp_path / "small", "size=1m") as small:
        ran = run("denoise", source, "-o", small / "out", "--strength", "0")
        assert ran.code == 1
        assert "the disk is full" in ran.sentence
        assert tree(small) in (["out", "out/report.json"], [])


def test_a_read_only_file_system(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    with mounted(tmp_path / "locked", "size=1m,ro") as locked:
        ran = run("denoise", source, "-o", locked / "out", "--strength", "0")
        assert ran.code == 1
        assert "read-only" in ran.sentence
