"""Workers: processes that stop when they are asked to, and end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

_stop: Any = None
"""Set in a worker: an event that asks it to stop."""


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """A pool of processes; an error or Ctrl-C in the block makes them stop after what they are at.

    Args:
        count: processes.
    """
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(stop,))
    try:
        yield pool
    except BaseException:
        stop.set()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def stopped() -> bool:
    """In a worker: whether it should stop."""
    return _stop is not None and bool(_stop.is_set())


def _begin(stop: Any) -> None:
    """Makes a process a worker."""
    global _stop
    _stop = stop
    # Ctrl-C reaches the whole group of processes; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent cannot say so, and a worker would wait for work forever
