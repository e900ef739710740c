"""The work of ``medidiff simulate``: each series under a path gets its noise and becomes a derived one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medidiff.io import SeriesItem
    from medidiff.volume import Modality, Volume

Insert = Callable[
    ["Volume", tuple[int, ...], Callable[[int, int], None], Callable[[], bool]], tuple["Volume", str]
]
"""Volume, seed, progress and cancellation to the noisy volume and a text about the noise."""


def add_noise(
    modality: Modality,
    clean: Path,
    insert: Insert,
    suffix: str,
    name: str,
    seed: int,
    *,
    out_dir: Path,
    overwrite: bool,
    keep_private: bool,
    series_description: str | None,
    progress: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Reads, adds noise to, and writes every series of a modality under a path.

    Args:
        modality: ``"CT"`` or ``"MR"``.
        clean: where the scans lie.
        insert: adds the noise.
        suffix: what the outputs are, in their names and descriptions.
        name: of the method, for the derivation.
        seed: of all random numbers; each scan makes its own of it, see `scan_seed`.
        out_dir, overwrite, keep_private, series_description: of `medidiff.cli.options.output_options`.
        progress: of `medidiff.cli.options.progress_option`.
        quiet, verbose: of `medidiff.cli.options.talk_options`.
    """
    from medidiff import __version__
    from medidiff.batch.request import check_folder
    from medidiff.cli.cancel import Cancellation
    from medidiff.cli.messages import located
    from medidiff.cli.progress import counter, made
    from medidiff.errors import CancelledError, MedidiffError
    from medidiff.io import Derivation, WriteOptions, by_series, open_output, planned_output, read
    from medidiff.io.atomic import check_target

    check_folder(out_dir)
    items = _items(clean, modality, out_dir)
    for item in items:
        check_target(planned_output(item, out_dir, suffix), overwrite=overwrite, inputs=item.inputs)
    options = WriteOptions(
        suffix, overwrite=overwrite, keep_private=keep_private, series_description=series_description
    )
    with Cancellation(stdin=progress == "jsonl") as cancelled:
        for stacks in by_series(items):
            told: list[str] = []
            with open_output(stacks[0], out_dir, options) as output:
                for item in stacks:
                    volume = _taken(read(item), modality, item)
                    try:
                        with counter(progress, item.label, len(volume.array), quiet=quiet) as step:
                            own = scan_seed(seed, item, clean)
                            noisy, text = insert(volume, own, step, cancelled)
                    except MedidiffError as error:
                        raise located(error, item.path) from None
                    derivation = Derivation(
                        model_id=name, version=__version__, seed=seed, sigma_text=text, sigma_setting=suffix,
                        context=0, operation="simulate", synthetic_data=True,
                    )  # fmt: skip
                    if cancelled():
                        raise CancelledError("Cancelled; nothing is half-written")
                    done = output.add(noisy, derivation)
                    told += [f"{item.label}: {line}" for line in (text, *(f"note: {n}" for n in done.notes))]
            made(progress, done.path)
            for line in told if not quiet else ():
                click.echo(f"medidiff: {line}", err=True)
    return 0


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
