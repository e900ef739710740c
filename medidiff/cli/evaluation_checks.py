"""Which options of ``medidiff evaluate`` go together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from medidiff.errors import UsageError

Tests = tuple[tuple[str | None, Path], ...]
"""Names, where the user gave some, and paths of what is judged."""


def check_combination(
    reference: Path | None,
    scan: Path | None,
    tests: Tests,
    slices: tuple[int, ...],
    report_dir: Path | None,
    options: Mapping[str, Any],
) -> None:
    """Refuses options without those that they go with.

    Raises:
        UsageError: there are some.
    """
    if slices and report_dir is None:
        raise UsageError(
            "--slices chooses slices that the page of --report shows",
            received=f"--slices {','.join(map(str, slices))} without --report",
            hint="Add --report DIR, or leave --slices out: figures are those of all slices.",
        )
    if (reference is None and scan is None) or not tests:
        raise UsageError("Please specify --reference or --scan and at least one --test, or --cohort")
    if report_dir is not None and reference is None:
        raise UsageError(
            "--report needs --reference", hint="medidiff denoise --report makes a report without one."
        )
    if options["reference_sd"] and options["uncertainty"] is None:
        raise UsageError("--reference-sd goes with --uncertainty", received="--reference-sd alone")


def check_cohort_alone() -> None:
    """Refuses options that --cohort would leave unused.

    Raises:
        UsageError: there are some.
    """
    ctx = click.get_current_context()
    known = {"cohort", "identify", "quiet", "verbose"}
    given = [
        param.opts[0]
        for param in ctx.command.params
        if param.name not in known
        and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            "--cohort puts reports onto one page and measures nothing", received=", ".join(given),
            hint="Leave --cohort out, or the other options.",
        )  # fmt: skip
