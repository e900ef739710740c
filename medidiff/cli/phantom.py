"""``medidiff phantom``: insert phantoms of known truth, and what is measured on them."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.options import (
    EPILOG,
    FOLDER,
    INPUT,
    SETTINGS,
    HelpfulCommand,
    command_line,
    progress_option,
    talk_options,
)
from medidiff.cli.phantom_tables import print_tables
from medidiff.cli.types import KernelType, OutputType, TestType

if TYPE_CHECKING:
    from medidiff.phantom import Findings, Study

Tests = tuple[tuple[str | None, Path], ...]
NOISY = "noisy"


@click.group(epilog=EPILOG, context_settings=SETTINGS, short_help="Make CT phantoms and measure on them.")
def command() -> None:
    """Make CT insert phantoms and measure what a denoiser does to them.

    \b
    medidiff phantom make -o phantom
    medidiff denoise phantom/scans -o denoised
    medidiff phantom measure phantom --test denoised
    """


@command.command("make", cls=HelpfulCommand, short_help="Make a phantom and scan it.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, metavar="OUT", help="Folder to write.")
@click.option(
    "--background", type=click.Choice(["uniform", "anatomical"]), default="uniform",
    help="uniform: water-like, with inserts for TTF too. anatomical: random lumps, other ones each time.",
)  # fmt: skip
@click.option(
    "--realisations",
    type=click.IntRange(1),
    default=200,
    help="Independent scans at each dose; measuring needs 40.",
)
@click.option(
    "--dose", "doses", type=click.FloatRange(0.0, 1.0, min_open=True), multiple=True,
    default=(1.0, 0.25, 0.1), help="Fraction of the full dose; may be given several times.",
)  # fmt: skip
@click.option(
    "--sigma", type=click.FloatRange(0.0, min_open=True), default=12.0, metavar="HU",
    help="Noise SD in the body at full dose.",
)  # fmt: skip
@click.option(
    "--kernel", type=KernelType(), default="soft", metavar="soft|sharp|F50",
    help="Reconstruction kernel; F50 is its half response in lp/cm.",
)  # fmt: skip
@click.option(
    "--lumps", type=click.FloatRange(0.0, min_open=True), default=6.0, metavar="HU",
    help="SD of the anatomical background.",
)  # fmt: skip
@click.option(
    "--depth", type=int, default=3,
    help="Slices a realisation, odd. The middle one is measured; the others are its neighbours.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of all random numbers.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier phantom.")
@click.option("--json", "as_json", is_flag=True, help="Print the description of the phantom as JSON.")
@progress_option
@talk_options
def make_phantom(
    folder: Path,
    background: Any,
    realisations: int,
    doses: tuple[float, ...],
    sigma: float,
    kernel: str | float,
    lumps: float,
    depth: int,
    seed: int,
    overwrite: bool,
    as_json: bool,
    progress: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Make a phantom with inserts of known size and contrast, and scan it many times at several doses.

    Noise is made in the projection domain and shaped by the reconstruction kernel. OUT holds phantom.json
    (all that is known), truth.nii.gz, and one 4-D NIfTI file a dose in scans/, to be denoised.
    """
    from medidiff.cli.cancel import Cancellation
    from medidiff.cli.progress import counter, made
    from medidiff.noise.spectrum import named_kernel
    from medidiff.phantom import Design, Exposure, make
    from medidiff.phantom.study import FILE

    design = Design(background, realisations, depth, lumps, named_kernel(kernel), seed)
    exposure = Exposure(sigma, doses)
    with (
        Cancellation(stdin=progress == "jsonl") as cancelled,
        counter(progress, folder.name, realisations, quiet=quiet) as step,
    ):
        make(folder, design, exposure, overwrite=overwrite, progress=step, cancelled=cancelled)
    if as_json:
        click.echo((folder / FILE).read_text(encoding="utf-8"), nl=False)
    else:
        made(progress, folder)
    return 0


@command.command("measure", cls=HelpfulCommand, short_help="Measure on a phantom, noisy and denoised.")
@click.argument("phantom", type=INPUT)
@click.option(
    "--test", "tests", multiple=True, type=TestType(), metavar="[NAME=]PATH",
    help="Folder or file of denoised scans of the phantom; may be given several times.",
    show_default="the noisy scans alone",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the bootstrap.")
@click.option(
    "--json", "json_file", type=OutputType(dir_okay=False, allow_dash=True), default=None,
    show_default="none", metavar="FILE", help="Also write all figures and curves to FILE; - for stdout.",
)  # fmt: skip
@click.option(
    "--report", "report_dir", type=OutputType(file_okay=False), default=None,
    show_default="none", metavar="DIR", help="Write report.html, report.csv and report.json to DIR.",
)  # fmt: skip
@talk_options
def measure_phantom(
    phantom: Path,
    tests: Tests,
    seed: int,
    json_file: Path | None,
    report_dir: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Measure noise texture, sharpness, detectability and HU in the scans of PHANTOM and in denoised ones.

    Noise power spectra and TTF need the uniform background. Detectability is that of a channelized Hotelling
    observer, with 95 % intervals; its change is against the noisy scan of the same realisations.
    """
    from medidiff import report
    from medidiff.cli.evaluation_page import arm_names
    from medidiff.phantom import open_study

    if json_file is not None and str(json_file) != "-":
        report.check(json_file)
    if report_dir is not None:
        report.check(report_dir / report.JSON)
    started, clock = datetime.now(timezone.utc), time.monotonic()
    study = open_study(phantom)
    rows, missing = _measured(study, tests, seed)
    names = report.Names([phantom, *(path for _, path in tests)], report_dir or Path())
    called = {NOISY: NOISY, **arm_names(tests, names)}
    content: dict[str, Any] = {
        "tool": "medidiff",
        "phantom": {"path": names.path(study.folder), **study.as_dict()},
        "findings": [{"dose": d, "test": called[name], **found.as_dict()} for d, name, found in rows],
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if json_file is not None and str(json_file) == "-":
        click.echo(text, nl=False)
    else:
        print_tables(study, rows)
    for line in missing if not quiet else ():
        click.echo(f"medidiff: note: {line}", err=True)
    if json_file is not None and str(json_file) != "-":
        report.put(json_file, text.encode())
    if report_dir is not None:
        head = report.head("phantom", started, time.monotonic() - clock, command_line(), names)
        whole = {**head, "phantom": study.as_dict(), "findings": content["findings"]}
        made = report.write(report_dir, whole, {}, overwrite=False, page=True)
        if not quiet:
            click.echo(f"medidiff: report: {made[-1]}", err=True)
    return 0


def _measured(study: Study, tests: Tests, seed: int) -> tuple[list[tuple[float, str, Findings]], list[str]]:
    """Findings by dose and test, the noisy scan first, and what was not there to measure."""
    from medidiff.cli.evaluation_page import shown_names
    from medidiff.cli.messages import located
    from medidiff.errors import MedidiffError, NoImageError, UsageError
    from medidiff.phantom import measure

    truth = study.truth()
    rows, missing = [], []
    names = shown_names(tests)
    if NOISY in names:
        raise UsageError(
            f"The noisy scans of the phantom are called {NOISY}", received=f"--test {NOISY}",
            hint="Give the test another name, as in --test denoised=PATH.",
        )  # fmt: skip
    for dose in study.exposure.doses:
        before = measure(study.design, truth, study.noisy(dose), seed=seed)
        rows.append((dose, NOISY, before))
        for (_, path), name in zip(tests, names, strict=True):
            try:
                stack = study.of_dose(path, dose)
                if stack is None:
                    missing.append(f"{path}: no image of dose {100 * dose:.4g}%")
                    continue
                rows.append((dose, name, measure(study.design, truth, stack, before, seed)))
            except MedidiffError as error:
                raise located(error, path) from None
    for (_, path), name in zip(tests, names, strict=True):
        if not any(row[1] == name for row in rows):
            raise NoImageError(
                "There is no denoised scan of this phantom", where=path,
                hint=f"Denoise {study.folder / 'scans'}; the names of the files tell the dose.",
            )  # fmt: skip
    return rows, missing
