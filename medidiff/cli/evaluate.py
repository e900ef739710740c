"""``medidiff evaluate``: how far scans are from a reference, with the protocol printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.options import INPUT, HelpfulCommand, modality_option, talk_options

if TYPE_CHECKING:
    from medidiff.evaluation import Comparison
    from medidiff.volume import Volume


@click.command(cls=HelpfulCommand, short_help="Compare scans with a reference.")
@click.option("--reference", required=True, type=INPUT, help="The clean or full-dose scan.")
@click.option(
    "--test", "tests", required=True, multiple=True, type=INPUT,
    help="A scan to judge, such as the noisy and the denoised one; may be given several times.",
)  # fmt: skip
@click.option(
    "--window", default=None, show_default="abdomen for CT, none for MR",
    metavar="abdomen|chest|neuro|C,W|none", help="Display window in which PSNR and SSIM are computed.",
)  # fmt: skip
@click.option(
    "--data-range", type=click.FloatRange(0.0, min_open=True), default=None,
    show_default="99.5th percentile of the reference", help="Range of the values, without a window.",
)  # fmt: skip
@modality_option
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), default=None,
    show_default="none", metavar="FILE",
    help="Also write the figures, slice by slice, to FILE; - for stdout.",
)  # fmt: skip
@talk_options
def command(
    reference: Path,
    tests: tuple[Path, ...],
    window: str | None,
    data_range: float | None,
    modality: str,
    json_file: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compare scans with a reference: PSNR, SSIM, RMSE, and for CT the HU bias by tissue.

    Figures of different protocols must not be compared, so the protocol is printed with them.

    \b
    medidiff evaluate --reference clean/ --test noisy/ --test out/4_Abdomen_12345678
    """
    from medidiff.batch.account import check_report
    from medidiff.batch.planning import read_one
    from medidiff.cli.messages import located
    from medidiff.errors import GeometryError
    from medidiff.evaluation import Protocol, compare

    if json_file is not None and str(json_file) != "-":
        check_report(json_file)
    truth = _taken(read_one(reference, "The reference"), modality)
    protocol = Protocol.for_volume(truth, window, data_range)
    results: list[tuple[Path, Comparison]] = []
    for path in tests:
        volume = _taken(read_one(path, "The test scan"), modality)
        try:
            results.append((path, compare(truth, volume, protocol)))
        except GeometryError as error:
            raise located(error, path) from None
    content = {
        "tool": "medidiff",
        "reference": str(reference),
        "protocol": str(results[0][1].protocol),
        "tests": [{"path": str(p), **c.as_dict()} for p, c in results],
    }
    text = json.dumps(content, indent=2) + "\n"
    if json_file is not None and str(json_file) == "-":
        click.echo(text, nl=False)
        return 0
    _print(reference, results)
    if json_file is not None:
        from medidiff.io.atomic import staged

        with staged(json_file, folder=False, overwrite=True, inputs=()) as new:
            new.write_text(text, encoding="utf-8")
    return 0


def _taken(volume: Volume, modality: str) -> Volume:
    from medidiff.batch.planning import taken_as

    return volume if modality == "auto" else taken_as(volume, "CT" if modality == "ct" else "MR")


def _print(reference: Path, results: list[tuple[Path, Any]]) -> None:
    """The tables, on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = _names([path for path, _ in results])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("test", overflow="fold")
    for title in ("PSNR dB", "SSIM", f"RMSE {results[0][1].rmse.unit}"):
        table.add_column(title, justify="right", no_wrap=True)
    bins = results[0][1].bias or ()
    for b in bins:
        table.add_column(f"bias {b.name}", justify="right")
    for name, (_, c) in zip(names, results, strict=True):
        cells = [f"{c.psnr.mean:.2f}", f"{c.ssim.mean:.4f}", f"{c.rmse.mean:.4g}"]
        cells += ["-" if b.bias is None else f"{b.bias:+.2f}" for b in c.bias or ()]
        table.add_row(Text(name), *cells)
    shared = Console()
    console = Console(width=shared.width if shared.is_terminal else 140)
    console.print(table)
    click.echo(f"Reference: {reference}")
    click.echo(f"Protocol: {results[0][1].protocol}.")
    if bins:
        edges = ", ".join(f"{b.name} {b.low:g} to {b.high:g}" for b in bins)
        click.echo(f"Bias: mean of test - reference in HU, by HU of the smoothed reference ({edges}).")


def _names(paths: list[Path]) -> list[str]:
    """Short names that tell the paths apart."""
    names = [p.name or str(p) for p in paths]
    return names if len(set(names)) == len(names) else [str(p) for p in paths]
