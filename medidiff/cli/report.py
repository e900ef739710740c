"""``medidiff report``: the page of a finished run, or one page over many, without running anything again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import click

from medidiff.cli.options import HelpfulCommand, command_line, talk_options
from medidiff.cli.types import OutputType

COHORT_JSON, COHORT_HTML = "cohort.json", "cohort.html"


@click.command(cls=HelpfulCommand, short_help="Build the page of a finished run again.")
@click.argument(
    "folders", metavar="RUN_DIR...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--series", "number", type=click.IntRange(1), default=None, show_default="all",
    help="A page of this series alone, with every picture in full, as report-series-N.html.",
)  # fmt: skip
@click.option("--cohort", is_flag=True, help="One page over all reports under the folders, cohort.html.")
@click.option(
    "-o", "--output", "out_dir", type=OutputType(file_okay=False), default=None,
    show_default="the first RUN_DIR", metavar="OUT", help="Where cohort.html goes.",
)  # fmt: skip
@click.option(
    "--identify", is_flag=True, help="Name the folders in cohort.html, which may hold patients' names."
)
@talk_options
def command(
    folders: tuple[Path, ...],
    number: int | None,
    cohort: bool,
    out_dir: Path | None,
    identify: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Build report.html and report.csv again from the report.json and report-images.npz in RUN_DIR.

    Nothing is denoised or measured again. RUN_DIR is the output folder of medidiff denoise --report, or the
    folder of medidiff evaluate --report; the report-1.json of an earlier run in it may be named itself.

    \b
    medidiff report out
    medidiff report out --series 3
    medidiff report --cohort out1 out2 out3 -o cohort
    """
    from medidiff import report
    from medidiff.errors import UsageError

    if cohort:
        if number is not None:
            raise UsageError("Please specify either --series or --cohort")
        home = folders[0] if folders[0].is_dir() else folders[0].parent
        return make_cohort(folders, out_dir or home, identify=identify, quiet=quiet)
    if out_dir is not None:
        raise UsageError("-o is for --cohort: the page of a run lies beside its report.json")
    for folder in folders:
        content, images = report.read(folder)
        home, stem = (folder, "report") if folder.is_dir() else (folder.parent, folder.stem)
        if number is None:
            with report.reading(folder):
                views = report.views(content, images)
                files = {home / name.replace("report", stem): text for name, text in views.items()}
        else:
            count = len(content.get("series", ()))
            if number > count:
                raise UsageError(f"There are {count} series in this report", where=folder, received=number)
            with report.reading(folder):
                page = report.run_page(content, images, number)
            files = {home / f"{stem}-series-{number}.html": page.encode()}
        for path, text in files.items():
            click.echo(str(report.put(path, text)))
    return 0


def make_cohort(folders: Sequence[Path], out_dir: Path, *, identify: bool, quiet: bool) -> int:
    """Writes cohort.json and cohort.html.

    Args:
        folders: searched for report.json at any depth; a file is a report itself.
        out_dir: where to.
        identify: call reports by their folders.
        quiet: say nothing about what was found.

    Raises:
        NoImageError: there is no report, or none with figures.
    """
    from medidiff import report
    from medidiff.errors import NoImageError
    from medidiff.report.cohort import cohort, find
    from medidiff.report.cohort_page import cohort_page
    from medidiff.report.wording import count

    started, clock = datetime.now(timezone.utc), time.monotonic()
    report.check(out_dir / COHORT_JSON)
    names = report.Names(folders, out_dir, identify=identify)
    paths = find(folders)
    places = [p.parent if p.name == report.JSON else p for p in paths]
    called = [str(p) if identify else report.hashed(str(p.resolve())) for p in places]
    read = [(name, report.read(path)[0]) for name, path in zip(called, paths, strict=True)]
    found = [(name, one) for name, one in read if one["kind"] != "phantom"]
    for path, (_, one) in zip(paths, read, strict=True):
        with report.reading(path):
            cohort([("", one)] if one["kind"] != "phantom" else [])  # alone, so that a damaged one is named
    content = cohort(found)
    if not content["series"]:
        raise NoImageError(
            f"no figures found in {count(len(found), 'report')}", where=folders[0],
            hint="Reports have figures where medidiff denoise or evaluate ran with --report.",
        )  # fmt: skip
    whole = {**report.head("cohort", started, time.monotonic() - clock, command_line(), names), **content}
    report.put(out_dir / COHORT_JSON, report.as_json(whole))
    click.echo(str(report.put(out_dir / COHORT_HTML, cohort_page(whole).encode())))
    if not quiet:
        click.echo(f"medidiff: {len(content['series'])} series from {count(len(found), 'report')}", err=True)
    return 0
