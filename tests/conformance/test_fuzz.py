"""A bounded fuzz run, and proof that the run would notice: `fuzz.py` is also a script for longer ones."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fuzz import Worker, run
from jpeg_lossless import encode
from mutations import mutate

TRACEBACK = 'Traceback\n  File "/x/medidiff/io/dicom/pixels.py", line 3, in f\nKeyError: 1'
SCRIPT = """
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    {}
"""


def test_damaged_files_are_refused_or_read() -> None:
    outcomes, failures = run(1, cases=1000)
    assert [(f.case, f.seed_name, f.what) for f in failures] == []
    assert sum(outcomes.values()) == 1000
    assert len(outcomes) > 20  # many ways to be refused
    assert outcomes["same"] > 50


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("os.abort()", "the process died (-6)"),
        ("time.sleep(60)", "hang"),
        (f"print('bad', repr({TRACEBACK!r}))", "KeyError at pixels.py, line 3, f"),
        ("print('ok same')", ""),
    ],
)
def test_the_run_notices(answer: str, what: str) -> None:
    timeout = 1.0 if what == "hang" else 60.0
    worker = Worker([sys.executable, "-u", "-c", SCRIPT.format(answer)], timeout)
    try:
        for case in range(2):  # a worker that is gone comes back
            outcome, found, _ = worker.run(case)
            assert found == what
            assert outcome == ("" if what else "same")
    finally:
        worker.close()


def test_a_case_follows_from_its_number() -> None:
    data = bytes(128) + b"DICM" + encode(np.arange(64, dtype=np.uint16).reshape(8, 8), 12)
    copies = [mutate(data, np.random.default_rng([1, 7])) for _ in range(2)]
    assert copies[0] == copies[1] != data
