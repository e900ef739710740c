"""Every way in which a job fails has a sentence, a hint in the panel's words, and a code."""

from __future__ import annotations

import pytest
from MediDiffDenoiseLib import joberror
from MediDiffDenoiseLib.environment import Interpreter, setup

FOUND = Interpreter(("/opt/env/bin/python", "-m", "medidiff"), "settings")


def test_a_worker_that_cannot_be_started() -> None:
    assert setup() in joberror.not_found().hint
    error = joberror.not_started(FOUND, PermissionError(13, "Permission denied"))
    assert error.text == f"{FOUND.python} cannot be started (Permission denied)."
    assert "cannot be started (odd)" in joberror.not_started(FOUND, OSError("odd")).text
    assert {joberror.not_found().code, error.code} == {"no_interpreter"}


def test_another_protocol() -> None:
    assert joberror.misfit("0.1.0", 1, FOUND) is None
    error = joberror.misfit("0.0.1", 0, FOUND)
    assert error is not None
    assert error.code == "protocol"
    assert error.hint == f"Update it: {FOUND.update}"


def test_what_the_worker_says_is_taken_in_the_words_of_the_panel() -> None:
    event = {"event": "error", "text": "is PET.", "hint": "Say which: --modality ct.", "code": "refused"}
    assert joberror.told(event, 5) == joberror.JobError(
        "is PET.", "Choose CT or MR as the modality.", "refused"
    )
    assert joberror.told({"event": "error", "text": 7}, 8) == joberror.JobError("Out of memory.")


@pytest.mark.parametrize(
    ("status", "log", "code", "hint"),
    [(0, "", "no_result", "See the log."), (8, "", "out_of_memory", "smaller region"),
     (2, "", "usage", FOUND.update), (-9, "", "killed", "out of memory"),
     (1, "No module named medidiff", "not_installed", "Choose another Python")],
)  # fmt: skip
def test_a_worker_that_ends_without_a_word(status: int, log: str, code: str, hint: str) -> None:
    error = joberror.untold(FOUND, status, log)
    assert error.code == code
    assert hint in error.hint


def test_a_result_that_slicer_does_not_take() -> None:
    assert joberror.not_imported(RuntimeError("odd\n  scene")).text.endswith("taken over: odd scene")
    assert joberror.not_imported(KeyError()).text.endswith("taken over: KeyError")
    assert joberror.Discarded("Gone.").error == joberror.JobError("Gone.", "", "discarded")
