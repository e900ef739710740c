"""Signals that end a program: heard within a block alone, and never where they are to be ignored."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from medidiff.training.stopping import stop_signals

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """Whatever happens, the tests behind have the handlers that they had."""
    before = {s: signal.getsignal(s) for s in ENDING}
    yield
    after = {s: signal.getsignal(s) for s in ENDING}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize("number", ENDING, ids=lambda s: s.name)
def test_training_hears_a_terminal_that_is_closed_too(number: signal.Signals) -> None:
    old = signal.signal(number, signal.default_int_handler)
    with stop_signals() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
    assert signal.getsignal(number) is signal.default_int_handler
    signal.signal(number, old)


def test_training_in_the_background_of_a_script_ignores_ctrl_c() -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_signals() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopped()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, old)


def test_an_error_beside_the_main_thread_is_alone() -> None:
    """No signal can be heard there; what goes wrong in the block is told without an error about that."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with stop_signals() as stopped:
                assert not stopped()
                raise LookupError("of the work")
        except LookupError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (error,) = errors
    assert error.__context__ is None
