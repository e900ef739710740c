"""``medidiff evaluate``: how far scans are from a reference, with the protocol printed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.options import (
    INPUT,
    HelpfulCommand,
    TestType,
    command_line,
    modality_option,
    picture_options,
    talk_options,
)

if TYPE_CHECKING:
    from medidiff.evaluation import Region
    from medidiff.evaluation.uncertainty import Reliability
    from medidiff.io import SeriesItem
    from medidiff.report import ArmFigures, Names
    from medidiff.volume import Volume


@click.command(cls=HelpfulCommand, short_help="Compare scans with a reference.")
@click.option(
    "--reference", type=INPUT, default=None, show_default="none", help="The clean or full-dose scan."
)
@click.option(
    "--test", "tests", multiple=True, type=TestType(), show_default="none", metavar="[NAME=]PATH",
    help="A scan to judge, such as the noisy and the denoised one; may be given several times.",
)  # fmt: skip
@click.option(
    "--uncertainty", type=INPUT, default=None, show_default="none",
    help="The SD map of the last --test: how often it covers the error.",
)  # fmt: skip
@click.option(
    "--reference-sd", type=click.FloatRange(0.0), default=0.0,
    help="Noise SD of the reference, for --uncertainty.",
)  # fmt: skip
@click.option(
    "--mask", type=INPUT, default=None, show_default="none",
    help="An image on the reference's grid: only its pixels other than 0 count.",
)  # fmt: skip
@click.option("--body", is_flag=True, help="Only the body counts, found in the reference.")
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
@click.option(
    "--report", "report_dir", type=click.Path(file_okay=False, path_type=Path), default=None,
    show_default="none", metavar="DIR", help="Write report.html, report.csv and report.json to DIR.",
)  # fmt: skip
@click.option(
    "--cohort", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
    show_default="none", metavar="DIR",
    help="Put all reports under DIR onto one page, DIR/cohort.html, instead of comparing scans.",
)  # fmt: skip
@picture_options
@talk_options
def command(
    reference: Path | None,
    tests: tuple[tuple[str | None, Path], ...],
    json_file: Path | None,
    report_dir: Path | None,
    cohort: Path | None,
    slices: tuple[int, ...],
    identify: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> int:
    """Compare scans with a reference: PSNR, SSIM, RMSE, VIF, HaarPSI, and for CT the HU bias by tissue.

    Figures of different protocols must not be compared, so the protocol is printed with them.

    \b
    medidiff evaluate --reference clean/ --test noisy/ --test out/4_Abdomen_12345678
    medidiff evaluate --reference clean/ --test noisy=a/ --test denoised=b/ --report reports/patient1
    medidiff evaluate --cohort reports/
    """
    from medidiff import report
    from medidiff.batch.planning import find_one
    from medidiff.cli.evaluation_table import print_table
    from medidiff.cli.report import make_cohort
    from medidiff.errors import UsageError
    from medidiff.io import read

    if cohort is not None:
        return make_cohort([cohort], cohort, identify=identify, quiet=quiet)
    if reference is None or not tests:
        raise UsageError("Please specify --reference and at least one --test, or --cohort")
    to_stdout = str(json_file) == "-"
    if json_file is not None and not to_stdout:
        report.check(json_file)
    if report_dir is not None:
        report.check(report_dir / report.JSON)
    started, clock = datetime.now(timezone.utc), time.monotonic()
    item = find_one(reference, "The reference")
    truth = _taken(read(item), options["modality"])
    arms = _arms(truth, tests, **options)
    content: dict[str, Any] = {
        "tool": "medidiff",
        "reference": str(reference),
        "protocol": str(arms[0].comparison.protocol),
        "tests": [
            {"path": str(path), "name": arm.name, **arm.comparison.as_dict()}
            for (_, path), arm in zip(tests, arms, strict=True)
        ],
    }
    if arms[-1].reliability is not None:
        content["uncertainty"] = arms[-1].reliability.as_dict()
    text = json.dumps(content, indent=2) + "\n"
    if to_stdout:
        click.echo(text, nl=False)
    else:
        print_table(reference, arms)
    if json_file is not None and not to_stdout:
        report.put(json_file, text.encode())
    if report_dir is not None:
        inputs = [reference, *(path for _, path in tests)]
        names = report.Names(inputs, report_dir, identify=identify)
        study = report.against(1, truth, arms, slices)
        series = {**_about(item, names), **study.content}
        for (_, path), arm in zip(tests, series["arms"], strict=True):
            arm["input"] = names.path(path)
        head = report.head("evaluation", started, time.monotonic() - clock, command_line(), names)
        whole = {**head, "models": [], "engines": [], "series": [series], "skipped_files": []}
        made = report.write(report_dir, whole, study.images, overwrite=False, page=True)
        if not quiet:
            click.echo(f"medidiff: report: {made[-1]}", err=True)
    return 0


def _arms(
    truth: Volume,
    tests: tuple[tuple[str | None, Path], ...],
    *,
    uncertainty: Path | None,
    reference_sd: float,
    mask: Path | None,
    body: bool,
    window: str | None,
    data_range: float | None,
    modality: str,
) -> list[ArmFigures]:
    """Every test scan with its figures."""
    from medidiff.batch.planning import read_one
    from medidiff.cli.messages import located
    from medidiff.errors import GeometryError
    from medidiff.evaluation import Protocol, compare
    from medidiff.report import ArmFigures

    protocol = Protocol.for_volume(truth, window, data_range)
    region = _region(truth, mask, body=body)
    names = _names(tests)
    arms: list[ArmFigures] = []
    for name, (_, path) in zip(names, tests, strict=True):
        volume = _taken(read_one(path, "The test scan"), modality)
        try:
            arms.append(ArmFigures(name, volume, compare(truth, volume, protocol, region)))
        except GeometryError as error:
            raise located(error, path) from None
    if uncertainty is not None:
        arms[-1] = replace(
            arms[-1], reliability=_reliability(truth, arms[-1], uncertainty, reference_sd, region)
        )
    return arms


def _region(truth: Volume, mask: Path | None, *, body: bool) -> Region | None:
    """The pixels that count; None for all."""
    from medidiff.batch.planning import read_one
    from medidiff.evaluation import body as body_of
    from medidiff.evaluation import check_same_grid, region_of

    found = body_of(truth) if body else None
    if mask is None:
        return found
    image = read_one(mask, "The mask")
    check_same_grid(truth, image)
    marked = region_of(image, mask.name)
    return marked if found is None else found & marked


def _reliability(
    truth: Volume, arm: ArmFigures, uncertainty: Path, reference_sd: float, region: Region | None
) -> Reliability:
    """How often the stated uncertainty of an arm covers its error."""
    from medidiff.batch.planning import read_one
    from medidiff.evaluation import check_same_grid
    from medidiff.evaluation.uncertainty import reliability

    sd = read_one(uncertainty, "The uncertainty")
    check_same_grid(truth, sd)
    inside = None if region is None else region.inside
    text = "" if region is None else region.text
    return reliability(
        truth.array, arm.volume.array, sd.array, inside, reference_sd, truth.unit, text
    )  # fmt: skip


def _about(item: SeriesItem, names: Names) -> dict[str, Any]:
    """What the report says about the reference itself."""
    from medidiff.report import identity, pseudonym

    dicom = item.kind == "dicom"
    return {
        "label": item.label,
        "input": names.path(item.path),
        "patient": pseudonym(item.files[0]) if dicom else None,
        **({"identity": identity(item.files[0])} if dicom and names.identify else {}),
    }


def _taken(volume: Volume, modality: str) -> Volume:
    from medidiff.batch.planning import taken_as

    return volume if modality == "auto" else taken_as(volume, "CT" if modality == "ct" else "MR")


def _names(tests: tuple[tuple[str | None, Path], ...]) -> list[str]:
    """What the scans are called: the names given, or names of files that tell them apart."""
    names = [name or path.name or str(path) for name, path in tests]
    if len(set(names)) == len(names):
        return names
    return [name or str(path) for name, path in tests]
