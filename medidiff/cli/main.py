"""The command ``medidiff``: a group whose verbs are imported when they are called.

`medidiff --help` therefore answers at once, and `inspect` never pays for an engine.
"""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from medidiff import __version__
from medidiff.cli.console import Console
from medidiff.cli.messages import say_error, unexpected
from medidiff.cli.options import COMMAND, EPILOG, HELP_NAMES, VERBOSE
from medidiff.errors import CancelledError, MedidiffError

VERBS = {
    "denoise": "Denoise CT and MR scans: DICOM, NIfTI, NRRD or MetaImage in, the same out.",
    "derive": "Write given voxels as a derived DICOM series of their source.",
    "inspect": "Show what lies under a path: series, geometry, noise level, what is skipped.",
    "simulate": "Add physical noise to a clean scan: lower CT dose, or MR noise.",
    "train": "Train a model from a configuration file (needs TensorFlow).",
    "evaluate": "Compare scans with a reference: PSNR, SSIM, RMSE, HU bias.",
    "report": "Build the page of a finished run again, or one page over many runs.",
    "phantom": "Make CT phantoms of known truth and measure on them: NPS, TTF, detectability.",
    "models": "List, show, export and verify models.",
    "doctor": "Show versions, engines, devices, codecs and models of this machine.",
}
"""Verbs with the first line of their help; the module of that name in this package holds the command."""


class Medidiff(click.Group):
    """Imports a verb when it is called, and turns every error into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"medidiff.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps the words as they came, for the report."""
        ctx.meta[COMMAND] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the verb; an unexpected error becomes one sentence."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, MedidiffError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever read the output has gone: click ends quietly
            if ctx.meta.get(VERBOSE):
                traceback.print_exc()
            raise unexpected(error, verbose=bool(ctx.meta.get(VERBOSE))) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line and ends with the exit code of the conventions."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        with Console() as console:
            code = self._exit_code(args, complete_var, extra)
            sys.stdout.flush()
            if console.lost is not None:
                code = _without_output(console.lost, code)
        sys.exit(code)

    def _exit_code(self, args: Sequence[str] | None, complete_var: str | None, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, "medidiff", complete_var, standalone_mode=False, **extra)
            return code if isinstance(code, int) else 0
        except MedidiffError as error:
            return say_error(str(error), error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return error.exit_code
        except click.UsageError as error:
            verb = error.ctx.command_path if error.ctx else "medidiff"
            return say_error(f"{error.format_message()} See '{verb} --help'.", error.exit_code)
        except click.ClickException as error:
            return say_error(error.format_message(), error.exit_code)
        except click.Abort:
            return say_error("Cancelled; nothing is half-written.", CancelledError.exit_code)


def _without_output(lost: OSError, code: int) -> int:
    """Says that standard output was lost; gives the exit code of the run, or 1 where all else went well."""
    if lost.errno == errno.EPIPE:  # the reader has had enough, as in `medidiff inspect ... | head`
        return code or 1
    return say_error(
        f"Standard output cannot be written: {lost.strerror}. What was to be printed is lost, all else was "
        "done. Send the output elsewhere.", code or 1,
    )  # fmt: skip


@click.group(
    cls=Medidiff,
    epilog=EPILOG,
    context_settings={"help_option_names": HELP_NAMES, "max_content_width": 100},
)
@click.version_option(__version__, "--version", message="medidiff %(version)s", help="Show the version.")
def main() -> None:
    """Diffusion denoising of CT and MR scans.

    A scan comes in as DICOM or NIfTI and goes out as a derived series of the same kind, with the same
    geometry and the same units.
    """
