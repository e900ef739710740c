"""``medidiff denoise``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from medidiff.cli.options import (
    FORMATS,
    INPUT,
    HelpfulCommand,
    command_line,
    machine_options,
    model_options,
    output_file_options,
    progress_option,
    report_options,
    sampler_options,
    talk_options,
)
from medidiff.cli.types import RoiType


@click.command(cls=HelpfulCommand, short_help="Denoise CT and MR scans.")
@click.argument("scans", metavar="SCAN...", nargs=-1, required=True, type=INPUT)
@output_file_options
@model_options
@sampler_options
@click.option(
    "-f", "--format", "file_format", type=click.Choice(FORMATS), default="same",
    help="Format of the outputs; a DICOM series is exported to a file where its slices make a regular grid.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True, help="Leave out series whose outputs are there: go on with a stopped run."
)
@click.option("--synthetic-data", is_flag=True, help="Mark derived DICOM as SyntheticData YES (0008,001C).")
@click.option("--save-residual", is_flag=True, help="Also write input minus output.")
@click.option("--save-uncertainty", is_flag=True, help="Also write the SD of every voxel.")
@click.option(
    "--roi", type=RoiType(), default=None, show_default="everything", metavar="I0,I1,J0,J1,K0,K1",
    help="Denoise only these voxels, counted from 0 along the file's axes (DICOM: column, row, slice), each "
    "second number the one after the last. The rest is copied.",
)  # fmt: skip
@machine_options
@click.option("--dry-run", is_flag=True, help="Say what would be done; print the output paths; do nothing.")
@report_options
@progress_option
@talk_options
def command(
    scans: tuple[Path, ...],
    out_dir: Path,
    dry_run: bool,
    progress: str,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> int:
    """Denoise CT and MR scans: DICOM, NIfTI, NRRD or MetaImage in, the same out.

    SCAN is a file or a folder, searched to any depth. Every series found is denoised with the model of its
    modality and written below OUT as a derived series or file. Existing outputs are refused without
    --overwrite; an input is never changed. What became of each series is in OUT/report.json; with --report
    the series are measured too, and OUT/report.html shows figures and pictures. For one scan OUT may be a
    file that ends in .nrrd, .nhdr, .mha, .nii or .nii.gz; then there is no report.json.

    \b
    medidiff denoise scans/ -o out
    medidiff denoise scans/ -o out --report
    medidiff denoise scans/ -o out --format nifti
    medidiff denoise ct.nii.gz -o out --modality ct --mode natural
    medidiff denoise ct.nrrd -o denoised.nrrd --modality ct
    medidiff denoise scans/ -o out --mode sample --samples 8 --save-uncertainty

    Exit codes: 0 all done, 1 failure, 2 usage, 3 no image found, 4 some series failed or were refused, or
    files are damaged, 5 all refused, 6 cancelled, 7 model or engine not available, 8 out of memory.
    """
    from medidiff.cli.cancel import Cancellation
    from medidiff.cli.messages import unexpected
    from medidiff.cli.progress import reporter
    from medidiff.errors import MedidiffError

    out = reporter(progress, quiet=quiet, verbose=verbose)  # says hello: whoever waits knows at once
    try:
        # From the imports on, until the report is there.
        with Cancellation(stdin=progress == "jsonl") as cancelled:
            from medidiff import batch, report
            from medidiff.engines.base import EngineSettings

            machine = EngineSettings(options["threads"], options["precision"], options["device"])
            pool = batch.Pool(options["engine"], machine)
            request = _request(scans, out_dir, options)
            if request.file is None:
                report.check(out_dir / report.JSON)
            plan = batch.plan(request, pool, _searching(out.searching, cancelled))
            if plan.entries:
                _tell_skipped(plan, out, verbose)
            if dry_run and plan.entries:
                return _dry_run(plan, out)
            account = batch.run(plan, pool, out, cancelled, _keeping(request, pool))
            keeps = request.file is None and not dry_run
            if keeps and (not account.cancelled or account.count("denoised")):
                content, images = account.as_dict(pool, command_line()), account.images
                if request.page:
                    content, images = report.with_earlier(content, images, out_dir, account.earlier)
                overwrite = request.overwrite and not request.resume
                made = report.write(out_dir, content, images, overwrite=overwrite, page=request.page)
                report.clear(out_dir, content)
                out.reported(made)
        if plan.refusal is not None:
            raise plan.refusal
    except MedidiffError as error:
        out.failed(error)
        raise
    except Exception as error:
        out.failed(unexpected(error))
        raise
    finally:
        out.close()
    out.over(account)
    return account.exit_code


def _request(scans: tuple[Path, ...], out_dir: Path, options: dict[str, Any]) -> Any:
    """The options as what the batch understands."""
    from medidiff import batch
    from medidiff.denoise import Settings
    from medidiff.errors import UsageError
    from medidiff.io.names import format_of

    if options["slices"] and not options["page"]:
        raise UsageError(
            "--slices chooses slices that the page of --report shows",
            received=f"--slices {','.join(map(str, options['slices']))} without --report",
            hint="Add --report, or leave --slices out: all slices are denoised.",
        )
    sigma = options["sigma"]
    is_map = isinstance(sigma, Path)
    file_format, file = options["file_format"], None
    named = None if out_dir.is_dir() else format_of(out_dir)
    if named is not None:
        if file_format not in ("same", named):
            raise UsageError(
                "The output (-o) has the name of another format",
                received=f"{out_dir}, --format {file_format}",
            )
        file, out_dir, file_format = out_dir, out_dir.parent, named
    return batch.Request(
        paths=scans,
        out_dir=out_dir,
        file=file,
        roi=options["roi"],
        model=options["model"],
        modality=options["modality"],
        settings=Settings(
            mode=options["mode"],
            tier=options["tier"],
            steps=options["steps"],
            samples=options["samples"],
            strength=options["strength"],
            sigma=None if is_map else sigma,
            coils=options["coils"],
            seed=options["seed"],
            uncertainty=options["save_uncertainty"],
            tile=options["tile"],
            guidance=options["guidance"],
        ),
        sigma_map=sigma if is_map else None,
        save_residual=options["save_residual"],
        overwrite=options["overwrite"],
        resume=options["resume"],
        keep_private=options["keep_private"],
        format=file_format,
        series_description=options["series_description"],
        synthetic_data=options["synthetic_data"],
        page=options["page"],
        slices=options["slices"],
        identify=options["identify"],
    )


def _keeping(request: Any, pool: Any) -> Callable[[Any], None]:
    """What keeps the figures of each series for whoever resumes the run, should it be killed.

    The words of the command line stay out: they may be hundreds, and each series would hash them again.
    """
    from contextlib import suppress

    from medidiff import report

    def keep(account: Any) -> None:
        with suppress(Exception):  # the series is done; what is wrong, such as a full disk, the report tells
            report.keep(request.out_dir, account.as_dict(pool), account.images)

    return keep if request.page else lambda _: None


def _searching(
    progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> Callable[[int, int], None]:
    """The progress of discovery, which can be cancelled too."""
    from medidiff.errors import CancelledError

    def step(done: int, total: int) -> None:
        if cancelled():
            raise CancelledError("Cancelled; nothing was written")
        progress(done, total)

    return step


def _tell_skipped(plan: Any, out: Any, verbose: bool) -> None:
    """What is not an image, in counts; with -v each file."""
    from medidiff.batch import skip_groups
    from medidiff.errors import readable

    for reason, detail, paths in skip_groups(plan.discovery.skipped):
        sentence = f"{reason.value} ({detail})" if detail else reason.value
        if verbose:
            for path in paths:
                out.say(f"skipped: {readable(path)}: {sentence}")
        else:
            out.say(f"skipped: {len(paths)} {'file' if len(paths) == 1 else 'files'}: {sentence}")


def _dry_run(plan: Any, out: Any) -> int:
    """Prints what a run would do, and gives the exit code that it would end with if nothing failed."""
    from datetime import datetime, timezone

    from medidiff.batch import Account, Outcome
    from medidiff.batch.failures import left_out

    outcomes = []
    for index, entry in enumerate(plan.entries, start=1):
        if entry.decision == "planned":
            for path in reversed(list(entry.outputs.values())):
                out.planned(path)
            model = f"with model {entry.model}" if entry.model else "with the model that its values call for"
            out.say(f"would denoise: {entry.item.label} {model}")
            outcomes.append(Outcome(entry.item, "denoised"))
            continue
        outcomes.append(left_out(entry))
        if entry.decision == "skipped":
            out.say(f"would skip: {entry.item.label}: {entry.reason}")
        else:
            out.finished(index, len(plan.entries), outcomes[-1])
    code = Account(plan, tuple(outcomes), datetime.now(timezone.utc), 0.0).exit_code
    out.rehearsed(code)
    return code
