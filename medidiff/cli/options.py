"""Options that several verbs share, one decorator a family, so that they read the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from medidiff.cli.types import OutputType, SigmaType, SlicesType

if TYPE_CHECKING:
    from medidiff.io import WriteOptions

F = TypeVar("F", bound=Callable[..., Any])

NOTICE = "Research use only. Not a medical device."
EPILOG = NOTICE
HELP_NAMES = ["-h", "--help"]
VERBOSE = "medidiff.verbose"
"""Key of the context's `meta` under which -v is known to the error handler."""

COMMAND = "medidiff.command"
"""Key of the context's `meta` under which the words of the command line are kept."""

SETTINGS: dict[str, Any] = {
    "help_option_names": HELP_NAMES,
    "show_default": True,
    "max_content_width": 100,
}
"""Context settings of every verb."""

MODES = ("mean", "natural", "sample")
TIERS = ("fast", "standard", "best")
ENGINES = ("auto", "openvino", "onnxruntime", "tensorflow", "tract")
DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")
FORMATS = ("same", "nifti", "nrrd", "mha")
PROGRESS = ("auto", "bar", "jsonl", "none")
MODALITIES = ("auto", "ct", "mr")

INPUT = click.Path(exists=True, path_type=Path)
FOLDER = OutputType()


class HelpfulCommand(click.Command):
    """A command whose help ends with the notice, and whose numbers are numbers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EPILOG)
        kwargs["context_settings"] = {**SETTINGS, **kwargs.get("context_settings", {})}
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses NaN and infinity for every option: click's ranges let them pass."""
        rest = super().parse_args(ctx, args)
        for param in self.params:
            value = ctx.params.get(param.name or "")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and not math.isfinite(number):
                    raise click.BadParameter(f"It must be a finite number. Received: {number}.", ctx, param)
        return rest


def _combine(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several option decorators as one, in reading order."""

    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


def command_line() -> tuple[str, ...]:
    """What the user typed, word by word."""
    words = click.get_current_context().find_root().meta.get(COMMAND, ())
    return ("medidiff", *words)


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta[VERBOSE] = value
    return value


talk_options = _combine(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option(
        "-v", "--verbose", is_flag=True, is_eager=True, callback=_remember,
        help="Say more, with a traceback on unexpected errors.",
    ),
)  # fmt: skip

progress_option = click.option(
    "--progress", type=click.Choice(PROGRESS), default="auto",
    help="A bar on stderr, JSON lines for programs on stdout, or none. auto: a bar on a terminal.",
)  # fmt: skip

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

modality_option = click.option(
    "--modality", type=click.Choice(MODALITIES), default="auto",
    help="Take the scans as CT or MR, where the files do not tell or tell wrongly.",
)  # fmt: skip

model_options = _combine(
    click.option(
        "--model", default=None, show_default="by modality", metavar="ct|mr|PATH",
        help="Model name or folder.",
    ),
    modality_option,
)  # fmt: skip

sampler_options = _combine(
    click.option(
        "--mode", type=click.Choice(MODES), default="mean",
        help="mean: for measuring, best PSNR. natural: keeps natural texture. "
        "sample: draws from the posterior.",
    ),
    click.option(
        "--tier", type=click.Choice(TIERS), default="standard",
        help="standard: MR volumes of cubic voxels in all three planes. fast: in one, a third of the time. "
        "best: mean of eight turned and mirrored views as well, a little better, eight times slower.",
    ),
    click.option(
        "--steps", type=click.IntRange(1), default=None, show_default="mean 1, natural 2, sample 8",
        help="Network evaluations a slice.",
    ),
    click.option(
        "--samples", type=click.IntRange(1), default=None, show_default="1; 8 with --save-uncertainty",
        help="Posterior samples to average (mode sample).",
    ),
    click.option(
        "--strength", type=click.FloatRange(0.0, 1.0), default=1.0,
        help="0 returns the scan, 1 denoises fully.",
    ),
    click.option(
        "--sigma", type=SigmaType(), default=None, show_default="auto", metavar="auto|VALUE|MAP",
        help="Noise SD in the scan's own unit (CT: HU), a map of it, or auto to estimate it.",
    ),
    click.option(
        "--coils", type=click.IntRange(1), default=1,
        help="MR: channels of a root-sum-of-squares image, whose noise floor is higher than the Rician one.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, help="Seed of all random numbers."),
    click.option(
        "--guidance", type=click.FloatRange(0.0, 1.0), default=None, metavar="G",
        show_default="1 for a model that never sees the scan, none for all others",
        help="Data consistency: pull each estimate towards the scan. Refused for models that use the scan, "
        "as the shipped ones do: it would count twice.",
    ),
)  # fmt: skip

machine_options = _combine(
    click.option("--engine", type=click.Choice(ENGINES), default="auto", help="Inference engine."),
    click.option(
        "--threads", type=click.IntRange(1), default=None, show_default="all cores", help="CPU threads."
    ),
    click.option(
        "--device", type=click.Choice(DEVICES), default="auto",
        help="gpu refuses to run where no engine can use one. auto: the engine's own choice, mostly the CPU.",
    ),
    click.option(
        "--precision", type=click.Choice(PRECISIONS), default="auto",
        help="Arithmetic. auto: bfloat16 where it is fast and was measured to be good enough.",
    ),
    click.option(
        "--tile", type=click.IntRange(64), default=1024,
        help="Largest tile side in pixels. Smaller needs less memory; the result differs by rounding alone.",
    ),
)  # fmt: skip


def _output(text: str) -> Callable[[F], F]:
    return click.option(
        "-o", "--output", "out_dir", type=FOLDER, required=True, metavar="OUT", help=text
    )  # fmt: skip


_writing = _combine(
    click.option("--overwrite", is_flag=True, help="Replace earlier outputs. An input is never replaced."),
    click.option("--keep-private", is_flag=True, help="Copy private DICOM elements."),
    click.option(
        "--series-description", default=None, show_default="that of the source", metavar="TEXT",
        help="Series Description of derived DICOM; the research-use notice still follows it.",
    ),
)  # fmt: skip

output_options = _combine(_output("Folder of the outputs."), _writing)

output_file_options = _combine(
    _output("Folder of the outputs, or for one scan a .nrrd, .nhdr, .mha, .nii or .nii.gz file."), _writing
)


@dataclass(frozen=True)
class RunOptions:
    """What `output_options`, `progress_option` and `talk_options` give a verb.

    Attributes:
        out_dir: folder of the outputs.
        overwrite: replace earlier outputs.
        keep_private: copy private DICOM elements.
        series_description: in place of the source's.
        progress: one of `PROGRESS`.
        quiet: say nothing but errors.
        verbose: say more.
    """

    out_dir: Path
    overwrite: bool
    keep_private: bool
    series_description: str | None
    progress: str
    quiet: bool
    verbose: bool

    def written_as(self, suffix: str) -> WriteOptions:
        """How an output of that suffix is written."""
        from medidiff.io import WriteOptions

        return WriteOptions(
            suffix,
            overwrite=self.overwrite,
            keep_private=self.keep_private,
            series_description=self.series_description,
        )


picture_options = _combine(
    click.option(
        "--slices", type=SlicesType(), default=(), show_default="none", metavar="N,N,...",
        help="Slices that the report shows besides the best, median and worst, counted from 1.",
    ),
    click.option(
        "--identify", is_flag=True,
        help="Show patient, institution and paths in the report. Without it the report is pseudonymous.",
    ),
)  # fmt: skip

report_options = _combine(
    click.option(
        "--report", "page", is_flag=True,
        help="Measure every series; write OUT/report.html and OUT/report.csv beside OUT/report.json.",
    ),
    picture_options,
)  # fmt: skip
