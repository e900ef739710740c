"""Feeds damaged images to medidiff: only medidiff errors and skips may come out, in bounded time and memory.

A worker process, with a limit on its memory, takes one case after the other: it damages a seed, then finds,
reads and writes (strength 0) whatever is left of it. The parent waits for its answer. A case fails where

* an exception other than a `MedidiffError` comes out, or a warning, or anything is printed,
* the worker dies (a native decoder that crashes), or does not answer in time,
* a file that was found is in no item and no skip, or in both,
* an image that was read and written unchanged reads back as other values.

A case follows from its seed and number alone: ``fuzz.py --seed 1 --case 123`` repeats it in this process.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mutations import mutate
from seeds import Seed, make_seeds

if TYPE_CHECKING:
    from medidiff.io import Discovery, SeriesItem
    from medidiff.volume import Volume

MEMORY = 2 << 30
"""Bytes that a case may take on top of the imported libraries."""

CPU_SECONDS = 5.0
"""Processor time for one case, which takes about 0.02 s."""

TIMEOUT = 60.0
"""Seconds after which a worker that does not answer hangs, also on a busy machine."""


@dataclass(frozen=True)
class Failure:
    """A case that went wrong.

    Attributes:
        case: its number.
        seed_name: the image that was damaged.
        what: the last line of a traceback, ``"hang"`` or the signal that ended the worker.
        detail: the traceback.
    """

    case: int
    seed_name: str
    what: str
    detail: str = ""


def damaged(seeds: list[Seed], seed: int, case: int) -> tuple[str, dict[str, bytes]]:
    """The name of the seed of a case, and its files, one of them damaged."""
    rng = np.random.default_rng([seed, case])
    chosen = seeds[int(rng.integers(len(seeds)))]
    files = dict(chosen.files)
    victim = sorted(files)[int(rng.integers(len(files)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files[victim] = mutate(files[victim], rng)
    return chosen.name, files


def check(files: dict[str, bytes], folder: Path) -> str:
    """Finds, reads and writes the files of a case; gives a word on what came of it.

    Raises:
        BaseException: anything, where medidiff fails.
    """
    from medidiff.errors import MedidiffError
    from medidiff.io import by_series, discover

    root = folder / "in"
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found = discover([root])
    _account(root, found)
    words = {s.reason.name for s in found.skipped}
    assert all(s.sentence.isprintable() for s in found.skipped)
    assert all(item.label.isprintable() for item in found.items)
    for path in root.rglob("DICOMDIR"):
        discover([path])
    for k, stacks in enumerate(by_series(found.items)):
        try:
            _copy(stacks, folder / f"out{k}")
            words.add("same")
            _change(stacks, folder / f"out{k}", sum(map(len, files.values())))
        except MedidiffError as error:
            str(error).encode()
            words.add(error.code)
    return "+".join(sorted(words))


def _change(stacks: list[SeriesItem], out: Path, number: int) -> None:
    """Writes other values as a map or in another format; which, a number says."""
    from medidiff.io import Derivation, WriteOptions, open_output, read

    suffix, form = (("residual", "same"), ("denoised", "nifti"), ("dose25", "mha"), ("denoised", "same"))[
        number % 4
    ]
    options = WriteOptions(suffix, form, overwrite=True, keep_private=number % 3 == 0)  # type: ignore[arg-type]
    with open_output(stacks[0], out, options) as output:
        for item in stacks:
            volume = read(item)
            with np.errstate(over="ignore"):  # what the fuzz run asks for, not medidiff
                output.add(volume.with_array(volume.array * np.float32(0.7)), Derivation("m"))


def _copy(stacks: list[SeriesItem], out: Path) -> None:
    """Writes a series with strength 0 and makes sure that it reads back as it was."""
    from medidiff.io import Derivation, WriteOptions, discover, open_output, read

    volumes = [read(item) for item in stacks]
    with open_output(stacks[0], out, WriteOptions()) as output:
        done = [output.add(v, Derivation("none", operation="copy", context=0)) for v in volumes]
    again = [read(item) for item in discover([done[0].path]).items]
    assert sum(written.clipped for written in done) == 0
    assert _slices(again) == _slices(volumes)
    if len(again) == len(volumes):  # a writer that completes Image Type may join two stacks
        for old, new in zip(volumes, again, strict=True):
            np.testing.assert_allclose(new.affine, old.affine, rtol=1e-9, atol=1e-9)


def _slices(volumes: list[Volume]) -> list[bytes]:
    return sorted(plane.tobytes() for volume in volumes for plane in volume.array)


def _account(root: Path, found: Discovery) -> None:
    """Every file is in one item, or in the stacks of one multi-frame file, or in one skip.

    A member of an archive stands for the archive.
    """
    used = {f for item in found.items for f in item.files}
    skipped = Counter(s.path for s in found.skipped)
    twice = [path.name for path, count in skipped.items() if count > 1 or path in used]
    assert not twice, f"counted twice: {twice}"
    named = {f.resolve() for path in (*used, *skipped) for f in (path, *path.parents)}
    lost = [path.name for path in root.rglob("*") if path.is_file() and path.resolve() not in named]
    assert not lost, f"not accounted for: {lost}"


def _worker(seed: int, only: str) -> None:
    """Answers case numbers on stdin with one line each on stdout."""
    with tempfile.TemporaryDirectory() as name, open(os.dup(1), "w", encoding="utf-8") as answers:
        seeds = make_seeds(Path(name, "seeds"), only)
        for k, chosen in enumerate(seeds):  # warm: every lazy import is done before the limit is set
            check(dict(chosen.files), Path(name, str(k)))
        noise = os.open(Path(name, "noise"), os.O_RDWR | os.O_CREAT)
        os.dup2(noise, 1)
        os.dup2(noise, 2)
        _limit_memory()
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(_answer(damaged(seeds, seed, int(line))[1], noise), file=answers, flush=True)


def _answer(files: dict[str, bytes], noise: int) -> str:
    """``ok WORD`` or ``bad TRACEBACK`` in one line.

    Args:
        files: of the case.
        noise: descriptor of the file that standard output and error go to.
    """
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            word = check(files, Path(folder))
            taken = time.process_time() - start
            assert taken < CPU_SECONDS, f"took {taken:.1f} s"
            printed = os.pread(noise, 500, 0)
            assert not printed, f"printed {printed!r}"
            return f"ok {word}"
        except BaseException:  # also what a native library raises past Exception
            return f"bad {traceback.format_exc()!r}"
        finally:
            os.ftruncate(noise, 0)
            os.lseek(noise, 0, os.SEEK_SET)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Worker:
    """A worker process, restarted after it dies or hangs.

    Args:
        command: prints "ready", then a line for each line that it is given.
        timeout: seconds to wait for a line.
    """

    def __init__(self, command: Sequence[str], timeout: float = TIMEOUT) -> None:
        self._command, self._timeout = command, timeout
        self._start()

    def _start(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        if self._line(2 * TIMEOUT) != "ready":
            raise RuntimeError("the worker does not start: maybe an undamaged seed fails")

    def _line(self, timeout: float) -> str | None:
        """A line of the answer, "" where the worker died, None where it does not answer."""
        assert self._process.stdout is not None
        if not self._selector.select(timeout):
            return None
        return self._process.stdout.readline().strip()

    def run(self, case: int) -> tuple[str, str, str]:
        """What came of a case; or, where it failed, "", what happened and the traceback."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{case}\n")
        answer = self._line(self._timeout)
        if answer:
            word, rest = answer.split(" ", 1)
            if word == "ok":
                return rest, "", ""
            detail = ast.literal_eval(rest)
            return "", _kind(detail), detail
        what = "hang" if answer is None else f"the process died ({self._process.wait()})"
        self._restart()
        return "", what, ""

    def _restart(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def _kind(text: str) -> str:
    """The error and the place in medidiff, or in the checks above, where a traceback ends."""
    lines = text.strip().splitlines()
    places = [x for x in lines if x.startswith("  File") and ("/medidiff/io" in x or "/conformance/" in x)]
    place = re.sub(r'.*/(\S+)", (line \d+), in (.*)', r"\1, \2, \3", places[-1]) if places else ""
    return f"{lines[-1].split(':')[0]} at {place}"


def run(
    seed: int, *, seconds: float | None = None, cases: int | None = None, only: str = ""
) -> tuple[Counter[str], list[Failure]]:
    """Runs cases from 0 on until time or number is used up.

    Args:
        seed: of the run.
        seconds: time.
        cases: number.
        only: takes the seeds whose name this regular expression finds.

    Returns:
        how often each outcome came, and the failures.
    """
    outcomes: Counter[str] = Counter()
    failures: list[Failure] = []
    end = None if seconds is None else time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        seeds = make_seeds(Path(folder), only)
    worker = Worker([sys.executable, __file__, "--worker", "--seed", str(seed), "--only", only])
    try:
        for case in _numbers(cases, end):
            outcome, what, detail = worker.run(case)
            outcomes[outcome] += 1
            if what:
                failures.append(Failure(case, damaged(seeds, seed, case)[0], what, detail))
    finally:
        worker.close()
    return outcomes, failures


def _numbers(cases: int | None, end: float | None) -> Iterator[int]:
    case = 0
    while (cases is None or case < cases) and (end is None or time.monotonic() < end):
        yield case
        case += 1


def main() -> int:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="takes the seeds whose name this regular expression finds")
    parser.add_argument("--case", type=int, help="runs one case here and shows its traceback")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _worker(options.seed, options.only)
        return 0
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            name, files = damaged(make_seeds(Path(folder, "seeds"), options.only), options.seed, options.case)
            print(name, {k: len(v) for k, v in files.items()})
            warnings.simplefilter("error")
            print(check(files, Path(folder)))
        return 0
    started = time.monotonic()
    outcomes, failures = run(options.seed, seconds=options.seconds, only=options.only)
    for outcome, count in outcomes.most_common():
        print(f"{count:7d} {outcome or 'FAILED'}")
    kinds: dict[str, list[Failure]] = {}
    for failure in failures:
        kinds.setdefault(failure.what, []).append(failure)
    for what, group in kinds.items():
        cases = ", ".join(f"{f.case} ({f.seed_name})" for f in group[:5])
        print(f"\n{len(group)} x {what}\n  cases {cases}")
        print("  " + "\n  ".join(group[0].detail.splitlines()[-9:]))
    taken = time.monotonic() - started
    print(f"\n{sum(outcomes.values())} cases in {taken:.0f} s, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
