"""``medidiff train``."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medidiff.cli.options import INPUT, HelpfulCommand, progress_option, talk_options
from medidiff.errors import OutputError, readable

if TYPE_CHECKING:
    from medidiff.training.config import TrainConfig


@click.command(cls=HelpfulCommand, short_help="Train a model from a configuration file.")
@click.argument("config_file", metavar="CONFIG.toml", type=INPUT)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of the run.")
@click.option(
    "--from", "start", default=None, show_default="random weights", metavar="ct|mr|PATH",
    help="Start from the weights of this model, to go on with it or to adapt it to your own scans.",
)  # fmt: skip
@click.option(
    "--pack", "pack_file", type=click.Path(path_type=Path), default=None, show_default="train",
    metavar="FILE",
    help="Do not train: write what the run needs of its scans to FILE, for [data] pack on another machine.",
)  # fmt: skip
@click.option(
    "--pack-size",
    type=click.FloatRange(min=1.0),
    default=60.0,
    metavar="MB",
    help="Largest size of the pack.",
)
@progress_option
@talk_options
def command(
    config_file: Path,
    resume: bool,
    start: str | None,
    pack_file: Path | None,
    pack_size: float,
    progress: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Train a model as CONFIG.toml says; see configs/ for the released recipes.

    Checkpoints and TensorBoard logs go to the run's folder. Ctrl-C stops after the current step with a
    checkpoint; --resume goes on as if nothing had happened.

    \b
    medidiff train configs/ct.toml
    medidiff train configs/ct.toml --resume
    medidiff train my_scanner.toml --from ct
    medidiff train configs/ct.toml --pack ct.pack
    """
    from medidiff import models
    from medidiff.cli.events import emit
    from medidiff.cli.progress import choose, counter, made
    from medidiff.training.checkpoint import check_folder
    from medidiff.training.recipe import load

    config = load(config_file)
    bundle = None if start is None else models.load(start)
    if pack_file is None:
        _check_backend()
        check_folder(Path(config.output) / config.name, resume=resume)
    elif pack_file.exists():
        raise OutputError(
            "The file exists already", where=pack_file, hint="Choose another name, or remove it."
        )
    if resume and start is not None and not quiet:
        click.echo("medidiff: note: --from is not used: the run goes on from its own checkpoint", err=True)
    if not config.data.pack:
        _say_scans(config, quiet=quiet, verbose=verbose)
    if config.modality == "ct" and not config.data.pack:
        from medidiff.training.ct_cache import prepare

        for role in ("train", "val"):
            with counter(progress, f"noise bases of the {role} slices", None, quiet=quiet) as step:
                prepare(config, role, partial(_forward, step))
    if pack_file is not None:
        from medidiff.training import pack

        lined = None if quiet else partial(click.echo, err=True)
        click.echo(str(pack.write(pack_file, config, pack_size, lined)))
        return 0
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from medidiff.training.trainer import Trainer

    lines = choose(progress) == "jsonl"
    total = config.optimiser.steps

    def report(figures: dict[str, float]) -> None:
        if lines:
            emit("progress", stage="training", fraction=figures["step"] / total, **figures)
        elif not quiet:
            click.echo(f"medidiff: {_line(figures, total)}", err=True)

    trainer = Trainer(config, resume=resume, start=bundle, report=report)
    if trainer.changes and not quiet:
        click.echo(f"medidiff: note: resumed with other settings: {'; '.join(trainer.changes)}", err=True)
    final = trainer.run()
    if not quiet:
        click.echo(f"medidiff: finished; {_line(final, total)}", err=True)
    made(progress, trainer.folder)
    return 0


def _say_scans(config: TrainConfig, *, quiet: bool, verbose: bool) -> None:
    """Finds the scans before anything slow begins, and says how many there are and what is left out."""
    from medidiff.training.manifest import ROLES
    from medidiff.training.scans import data_root, find, unused

    root, patients = data_root(config.data.root), []
    for role in ROLES:
        scans, skipped = find(root, config.modality, role)
        patients.append({scan.patient for scan in scans})
        if quiet:
            continue
        counts = _many(len(scans), "scan"), _many(len(patients[-1]), "patient")
        where = readable(root / config.modality)  # MEDIDIFF_DATA may point elsewhere than the file says
        click.echo(f"medidiff: {role}: {counts[0]} of {counts[1]} in {where}", err=True)
        if skipped:
            click.echo(f"medidiff: note: {role}: not used: {unused(skipped)}", err=True)
        for skip in skipped if verbose else ():
            click.echo(f"  {readable(skip.path)}: {skip.sentence}", err=True)
    if both := set.intersection(*patients):
        click.echo(
            f"medidiff: note: patients in both train and val: {len(both)}. Validation and the intervals of a "
            "released model would flatter it: give each patient one role.", err=True,
        )  # fmt: skip


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _check_backend() -> None:
    """Refuses to begin without the library that the backend of Keras needs."""
    from medidiff.errors import EngineError, UsageError

    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in ("tensorflow", "jax"):
        raise UsageError(
            "Training runs on TensorFlow or JAX", received=f"KERAS_BACKEND={backend}",
            hint="Unset KERAS_BACKEND, or set it to tensorflow or jax.",
        )  # fmt: skip
    jax = backend == "jax"
    if jax and (find_spec("jax") is None or find_spec("keras") is None):
        raise EngineError("KERAS_BACKEND is jax, and JAX or Keras is not installed",
                          hint="Run: pip install jax keras, or unset KERAS_BACKEND.")  # fmt: skip
    if not jax and find_spec("tensorflow") is None:
        raise EngineError(
            "Training needs TensorFlow, which is not installed",
            hint="Run: pip install 'medidiff[train]', or set KERAS_BACKEND=jax where there is JAX.",
        )


def _forward(step: Callable[[int, int], None], done: int) -> None:
    step(done, 0)


def _line(figures: dict[str, float], total: int) -> str:
    """Figures of a step as a line, with the time left where the speed is known."""
    words = [f"step {figures['step']:.0f}/{total}"]
    words += [f"{k} {v:.4g}" for k, v in figures.items() if k not in ("step", "steps_per_second")]
    speed = figures.get("steps_per_second")
    if speed:
        minutes = (total - figures["step"]) / speed / 60
        words += [f"{speed:.2f} steps/s", f"{minutes:.0f} min left"]
    return ", ".join(words)
