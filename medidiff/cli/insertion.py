"""The work of ``medidiff simulate``: each series under a path gets its noise and becomes a derived one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medidiff.cli.options import RunOptions
    from medidiff.io import Derivation, SeriesItem
    from medidiff.volume import Modality, Volume

Add = Callable[
    ["Volume", tuple[int, ...], Callable[[int, int], None], Callable[[], bool]], tuple["Volume", str]
]
"""Volume, seed, progress and cancellation to the noisy volume and a text about the noise."""


@dataclass(frozen=True)
class Insertion:
    """Noise for the scans of a modality.

    Attributes:
        modality: ``"CT"`` or ``"MR"``.
        add: adds the noise to one scan.
        suffix: what the outputs are, in their names and descriptions.
        method: its name, for the derivation.
        seed: of all random numbers; each scan makes its own of it, see `scan_seed`.
    """

    modality: Modality
    add: Add
    suffix: str
    method: str
    seed: int


def add_noise(clean: Path, insertion: Insertion, run: RunOptions) -> int:
    """Reads, adds noise to, and writes every series of a modality under a path.

    Args:
        clean: where the scans lie.
        insertion: the noise.
        run: where the outputs go, and what is told meanwhile.
    """
    from medidiff.batch.request import check_folder
    from medidiff.cli.cancel import Cancellation
    from medidiff.cli.progress import made
    from medidiff.io import by_series, open_output, planned_output
    from medidiff.io.atomic import check_target

    check_folder(run.out_dir)
    items = _items(clean, insertion.modality, run.out_dir)
    for item in items:
        target = planned_output(item, run.out_dir, insertion.suffix)
        check_target(target, overwrite=run.overwrite, inputs=item.inputs)
    with Cancellation(stdin=run.progress == "jsonl") as cancelled:
        for stacks in by_series(items):
            told: list[str] = []
            with open_output(stacks[0], run.out_dir, run.written_as(insertion.suffix)) as output:
                for item in stacks:
                    noisy, derivation = _noisy(item, clean, insertion, run, cancelled)
                    done = output.add(noisy, derivation)
                    lines = derivation.sigma_text, *(f"note: {n}" for n in done.notes)
                    told += [f"{item.label}: {line}" for line in lines]
            made(run.progress, done.path)
            for line in told if not run.quiet else ():
                click.echo(f"medidiff: {line}", err=True)
    return 0


def _noisy(
    item: SeriesItem, clean: Path, insertion: Insertion, run: RunOptions, cancelled: Callable[[], bool]
) -> tuple[Volume, Derivation]:
    """One scan with its noise, and how it was made.

    Raises:
        CancelledError: `cancelled` said so.
    """
    from medidiff import __version__
    from medidiff.cli.messages import located
    from medidiff.cli.progress import counter
    from medidiff.errors import CancelledError, MedidiffError
    from medidiff.io import Derivation, read

    volume = _taken(read(item), insertion.modality, item)
    try:
        with counter(run.progress, item.label, len(volume.array), quiet=run.quiet) as step:
            noisy, text = insertion.add(volume, scan_seed(insertion.seed, item, clean), step, cancelled)
    except MedidiffError as error:
        raise located(error, item.path) from None
    if cancelled():
        raise CancelledError("Cancelled; nothing is half-written")
    return noisy, Derivation(
        model_id=insertion.method, version=__version__, seed=insertion.seed, sigma_text=text,
        sigma_setting=insertion.suffix, context=0, operation="simulate", synthetic_data=True,
    )  # fmt: skip


def _taken(volume: Volume, modality: Modality, item: SeriesItem) -> Volume:
    """The volume as one of a modality.

    Raises:
        RefusedError: nothing says that it is CT, and its values are no HU.
    """
    from medidiff.errors import RefusedError

    if modality == "CT" and volume.modality == "OT" and all(float(s.min()) >= 0.0 for s in volume.array):
        raise RefusedError(
            "does not tell that it is CT, and no value is below 0, so that these are no HU", where=item.path,
            hint="MR takes medidiff simulate mr.",
        )  # fmt: skip
    return volume.taken_as(modality)


def scan_seed(seed: int, item: SeriesItem, clean: Path) -> tuple[int, int]:
    """The seed of one scan: scans under one path get different noise, and a scan the same one each time.

    A DICOM stack is told by its Series Instance UID (0020,000E) and its number in the series, wherever it
    lies and whatever lies beside it; a file by its path below the one that was given.

    Args:
        seed: what the user gave.
        item: the scan.
        clean: the path that the user gave.
    """
    if item.series_uid:
        words = f"{item.series_uid} {item.part[0]}"
    elif item.path != clean and item.path.is_relative_to(clean):
        words = item.path.relative_to(clean).as_posix()
    else:
        words = item.path.name
    digest = hashlib.sha256(words.encode(errors="surrogateescape")).digest()
    return seed, int.from_bytes(digest[:8], "big")


def _items(clean: Path, modality: str, out_dir: Path) -> list[SeriesItem]:
    """The series under a path that can be of a modality."""
    from medidiff.batch.earlier import earlier_output
    from medidiff.batch.skips import nothing_found
    from medidiff.errors import RefusedError
    from medidiff.io import discover

    found = discover([clean])
    if not found.items:
        raise nothing_found([clean], found.skipped)
    items = [item for item in found.items if item.modality in (modality, "OT")]
    items = [item for item in items if not earlier_output(item, [clean], out_dir)]
    if not items:
        there = ", ".join(item.label for item in found.items[:4])
        raise RefusedError(f"there is no {modality} scan to add noise to", where=clean, received=there)
    return items
