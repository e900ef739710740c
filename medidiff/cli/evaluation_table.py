"""The tables of ``medidiff evaluate`` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medidiff.report import ArmFigures

FORMATS = {"PSNR": ".2f", "SSIM": ".4f", "RMSE": ".4g", "VIF": ".3f", "HaarPSI": ".4f"}


def print_table(reference: Path, arms: Sequence[ArmFigures]) -> None:
    """One row a scan, then what the figures mean.

    Args:
        reference: where the reference lies.
        arms: the scans with their figures.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    first = arms[0].comparison
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("test", overflow="fold")
    for score in first.scores:
        table.add_column(f"{score.metric} {score.unit}".rstrip(), justify="right", no_wrap=True)
    bins = first.bias or ()
    for b in bins:
        table.add_column(f"bias {b.name}", justify="right")
    for arm in arms:
        cells = [format(s.mean, FORMATS[s.metric]) for s in arm.comparison.scores]
        cells += ["-" if b.bias is None else f"{b.bias:+.2f}" for b in arm.comparison.bias or ()]
        table.add_row(Text(arm.name), *cells)
    shared = Console()
    console = Console(width=shared.width if shared.is_terminal else 150)
    console.print(table)
    click.echo(f"Reference: {reference}")
    click.echo(f"Protocol: {first.protocol}.")
    for note in dict.fromkeys(s.note for arm in arms for s in arm.comparison.scores if s.note):
        click.echo(f"Note: {note}.")
    if bins:
        edges = ", ".join(f"{b.name} {b.low:g} to {b.high:g}" for b in bins)
        click.echo(f"Bias: mean of test - reference in HU, by HU of the smoothed reference ({edges}).")
    for arm in arms:
        if arm.reliability is not None:
            covered = f"{arm.reliability.coverage_90:.1%}"
            click.echo(
                f"Uncertainty of {arm.name}: the 90 % interval covers {covered} ({arm.reliability.text})."
            )
