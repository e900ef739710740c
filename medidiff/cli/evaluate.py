"""``medidiff evaluate``: how far scans are from a reference, with the protocol printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.evaluation_checks import Tests, check_cohort_alone, check_combination
from medidiff.cli.options import (
    INPUT,
    HelpfulCommand,
    modality_option,
    picture_options,
    talk_options,
)
from medidiff.cli.types import OutputType, TestType

if TYPE_CHECKING:
    from medidiff.batch.judging import Measures
    from medidiff.cli.evaluation_json import Plain
    from medidiff.cli.evaluation_page import EvaluationPage
    from medidiff.io import SeriesItem

SEED = 20240
"""Of the bootstrap."""


@click.command(cls=HelpfulCommand, short_help="Compare scans with a reference.")
@click.option(
    "--reference", type=INPUT, default=None, show_default="none",
    help="The clean or full-dose scan, or a folder of several.",
)  # fmt: skip
@click.option(
    "--scan", type=INPUT, default=None, show_default="none",
    help="The noisy scan that the tests were made from: what changed, with or without a reference.",
)  # fmt: skip
@click.option(
    "--test", "tests", multiple=True, type=TestType(), show_default="none", metavar="[NAME=]PATH",
    help="A scan to judge, such as the noisy and the denoised one, or a folder with one for each reference; "
    "may be given several times.",
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
    help="An image on the scan's grid: only its pixels other than 0 count. For several references a folder "
    "with one for each.",
)  # fmt: skip
@click.option("--body", is_flag=True, help="Only the body counts (with --scan it always does).")
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
    "--json", "json_file", type=OutputType(dir_okay=False, allow_dash=True), default=None,
    show_default="none", metavar="FILE",
    help="Also write the figures, slice by slice, to FILE; - for stdout.",
)  # fmt: skip
@click.option(
    "--report", "report_dir", type=OutputType(file_okay=False), default=None,
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
    scan: Path | None,
    tests: Tests,
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

    Figures of different protocols must not be compared, so the protocol is printed with them. Given folders
    of several scans, means have a bootstrap confidence interval over the patients, and so have the
    differences between the tests. Where there is no reference, --scan says what a denoiser changed.

    \b
    medidiff evaluate --reference clean/ --test noisy/ --test out/4_Abdomen_12345678
    medidiff evaluate --reference clean/ --test noisy=a/ --test denoised=b/ --report reports/patient1
    medidiff evaluate --scan noisy/ --test out/4_Abdomen_12345678
    medidiff evaluate --cohort reports/
    """
    from medidiff import report
    from medidiff.batch.judging import Measures
    from medidiff.cli.evaluation_json import Plain
    from medidiff.cli.evaluation_page import EvaluationPage, arm_names
    from medidiff.cli.report import make_cohort

    if cohort is not None:
        check_cohort_alone()
        return make_cohort([cohort], cohort, identify=identify, quiet=quiet)
    check_combination(reference, scan, tests, slices, report_dir, options)
    to_stdout = str(json_file) == "-"
    if json_file is not None and not to_stdout:
        report.check(json_file)
    if report_dir is not None:
        report.check(report_dir / report.JSON)
    mask = options["mask"]
    named = [path for path in (reference, scan, mask, options["uncertainty"]) if path is not None]
    names = report.Names([*named, *(p for _, p in tests)], report_dir or Path(), identify=identify)
    mask_name = None if mask is None or identify else names.path(mask)
    measures = Measures(scan=scan, mask_name=mask_name, **options)
    called = arm_names(tests, names)
    plain = Plain([path for _, path in tests], names, called)
    content: dict[str, Any] = {"tool": "medidiff"}
    if reference is not None:
        page = None
        if report_dir is not None:
            page = EvaluationPage(report_dir, names, slices, called)
        content |= _against(reference, tests, measures, plain, page, silent=to_stdout)
        if page is not None:
            page.write(quiet=quiet)
    if scan is not None:
        content |= _alone(scan, tests, measures, plain, silent=to_stdout)
    text = json.dumps(content, indent=2) + "\n"
    if to_stdout:
        click.echo(text, nl=False)
    elif json_file is not None:
        report.put(json_file, text.encode())
    return 0


def _against(
    reference: Path,
    tests: Tests,
    measures: Measures,
    plain: Plain,
    page: EvaluationPage | None,
    *,
    silent: bool,
) -> dict[str, Any]:
    """Figures against a reference or several: onto the terminal, onto the page, and as plain values."""
    import numpy as np

    from medidiff.batch.judging import arms_of, judge
    from medidiff.batch.masks import masks_of
    from medidiff.batch.pairing import pairs_of
    from medidiff.cli.evaluation_page import shown_names
    from medidiff.cli.evaluation_table import print_cohort, print_table
    from medidiff.errors import UsageError
    from medidiff.evaluation import cohort

    names, paths = shown_names(tests), [path for _, path in tests]
    pairing = pairs_of(reference, paths)
    pairs = pairing.pairs
    if len(pairs) > 1 and (measures.uncertainty or measures.scan):
        raise UsageError(
            "--scan and --uncertainty go with one reference scan",
            received=f"{len(pairs)} reference scans",
        )
    masks: dict[str, SeriesItem] = {}
    if len(pairs) > 1 and measures.mask is not None:
        masks = masks_of(pairs, measures.mask)
    cases = []
    for pair in pairs:
        judged = judge(pair, names, measures, masks.get(pair.reference.name))
        if page is not None and judged.arms:
            page.add(judged)
        if len(pairs) == 1:
            if not silent:
                print_table(reference, judged.arms, judged.removed)
            return plain.single(reference, judged)
        cases.append(judged.without_pixels())
    left_over = {
        name: [item.label for item in items]
        for name, items in zip(names, pairing.left_over, strict=True)
        if items
    }
    found = cohort(arms_of(cases, names), np.random.default_rng(SEED))
    if not silent:
        print_cohort(reference, found, cases, left_over)
    content = plain.several(reference, found, cases, left_over)
    if page is not None:
        page.cohort = {k: content["cohort"][k] for k in ("summaries", "differences")}
        page.cohort["protocol"] = f"{found.protocol_text} of each patient, then over patients"
    return content


def _alone(scan: Path, tests: Tests, measures: Measures, plain: Plain, *, silent: bool) -> dict[str, Any]:
    """What changed from the scan to each test: onto the terminal, and as plain values."""
    from medidiff.batch.judging import judge_alone
    from medidiff.cli.evaluation_page import shown_names
    from medidiff.cli.evaluation_table import print_changes

    names, paths = shown_names(tests), [path for _, path in tests]
    found = list(zip(names, judge_alone(scan, paths, measures), strict=True))
    if not silent:
        print_changes(scan, found)
    return plain.alone(scan, found)
