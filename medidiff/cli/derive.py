"""``medidiff derive``: voxels that a viewer kept become a derived DICOM series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from medidiff.cli.options import (
    INPUT,
    HelpfulCommand,
    RunOptions,
    output_options,
    progress_option,
    talk_options,
)


@click.command(cls=HelpfulCommand, short_help="Write given voxels as a derived DICOM series.")
@click.argument("values", type=INPUT)
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=INPUT)
@click.option(
    "--sources", "listed", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    show_default="none", metavar="FILE",
    help="Text file (UTF-8) with further sources, one a line: more than fit on a command line.",
)  # fmt: skip
@click.option(
    "--derivation", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
    metavar="FILE", help="JSON file with the derivation of the result event that the voxels came with.",
)  # fmt: skip
@output_options
@progress_option
@talk_options
def command(
    values: Path,
    sources: tuple[Path, ...],
    listed: Path | None,
    derivation: Path,
    **options: Any,
) -> int:
    """Write VALUES as a derived DICOM series of SOURCE, the series that they were computed from.

    For viewers that have denoised a volume and kept its voxels: they are written as they are, with headers
    derived from the source files as `medidiff denoise` does. VALUES is an NRRD, MetaImage or NIfTI file on
    the grid of the source.

    \b
    medidiff derive denoised.nrrd series/ --derivation derivation.json -o out
    """
    from medidiff.cli.messages import unexpected
    from medidiff.cli.progress import reporter
    from medidiff.errors import MedidiffError, UsageError

    run = RunOptions(**options)
    out = reporter(run.progress, quiet=run.quiet, verbose=run.verbose)
    try:
        from medidiff.batch import check_folder
        from medidiff.batch.deriving import derive, read_derivation, read_list

        check_folder(run.out_dir)
        paths = [*sources, *(read_list(listed) if listed else ())]
        if not paths:
            raise UsageError("The source is missing", hint="Give its files or its folder, or --sources FILE.")
        out.stage("writing")
        made = read_derivation(derivation)
        done = derive(values, paths, made, run.out_dir, run.written_as("denoised"))
    except MedidiffError as error:
        out.failed(error)
        raise
    except Exception as error:
        out.failed(unexpected(error))
        raise
    out.written(done.path, done.files, done.notes)
    return 0
