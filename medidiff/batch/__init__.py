"""Batch: many inputs, each accounted for. Plan first, then run, then report.

`plan` finds the series, chooses the models and refuses what must not be done before any work starts;
`run` denoises series by series, so that one bad scan does not stop the others; `Account` knows the exit code
and becomes ``report.json``.
"""

from medidiff.batch.account import Account, Outcome
from medidiff.batch.planning import Entry, Plan, plan
from medidiff.batch.pool import Pool
from medidiff.batch.request import Request, check_folder
from medidiff.batch.running import run
from medidiff.batch.series import Observer
from medidiff.batch.skips import nothing_found, skip_groups

__all__ = [
    "Account", "Entry", "Observer", "Outcome", "Plan", "Pool", "Request",
    "check_folder", "nothing_found", "plan", "run", "skip_groups",
]  # fmt: skip
