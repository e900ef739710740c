"""Run: denoises the planned series one after the other; one bad scan does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from medidiff.batch.account import Account, Outcome
from medidiff.batch.failures import cancelled_outcome, left_out
from medidiff.batch.planning import Plan
from medidiff.batch.pool import Pool
from medidiff.batch.series import Observer, SeriesRun


def run(
    plan: Plan,
    pool: Pool,
    observer: Observer,
    cancelled: Callable[[], bool] = lambda: False,
    keep: Callable[[Account], None] = lambda _: None,
) -> Account:
    """Does what was planned.

    Args:
        plan: from `medidiff.batch.plan`.
        pool: the models that the plan was made with.
        observer: told about everything that happens.
        cancelled: asked between slices and before each output; True ends the run without half an output.
        keep: given each denoised series at once, in an account of its own that tells no other file.

    Returns:
        one outcome for each series of the plan.

    Raises:
        EngineError: the engine cannot be started; nothing was done then.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    for name in dict.fromkeys(e.model for e in plan.planned if e.model is not None):
        pool.denoiser(name)
    alone = replace(plan, discovery=replace(plan.discovery, skipped=()))
    outcomes: list[Outcome] = []
    stopped = False
    for entries in plan.series:
        first = len(outcomes) + 1
        if stopped:
            done = [cancelled_outcome(e) if e.decision == "planned" else left_out(e) for e in entries]
        else:
            done = SeriesRun(plan, pool, observer, cancelled, first).all(entries)
        for index, outcome in enumerate(done, start=first):
            if outcome.status == "denoised":
                keep(Account(alone, (outcome,), started, time.monotonic() - clock))
            observer.finished(index, len(plan.entries), outcome)
        outcomes += done
        stopped = stopped or any(o.status == "cancelled" for o in done)
    return Account(plan, tuple(outcomes), started, time.monotonic() - clock, stopped)
