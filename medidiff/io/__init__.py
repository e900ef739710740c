"""Files in, `Volume` through, files out: DICOM (pydicom), NIfTI (nibabel), NRRD and MHA (SimpleITK).

`discover` accounts for every file under the given paths. `read` turns one `SeriesItem` into a `Volume`;
its ``source`` is the item itself. `write` puts the values of a volume back where they came from, in a new
derived series or file: atomically, never over an input. A series with several stacks (echoes, time points,
two spacings) is several items; `open_output` takes them one after the other and leaves one series.

A 4-D file is one item and one volume: its 3-D volumes lie one after the other along z, and ``adjacent`` is
False at their borders, so that no slice takes context from another time point. It is written as one 4-D file.

Finding: `walk` lists files (`archive`: in zip files), `formats` tells what they are, `discovery` makes the
`items`. Each format has a reader and a writer: the room `dicom`; `nifti` with `nifti_header`; `itk` for NRRD
and MetaImage, with ``itk_*`` and `meta_header`; what the latter two share: `grid`, `align` and `streams`.
Writing: `output` is the one protocol, `export` turns DICOM series into files, `atomic` lets them appear
whole. What an output says of itself: `derivation`, `provenance`, `bids`; `names` makes text safe for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..volume import Volume
from .derivation import Derivation
from .items import Discovery, FileFormat, Reason, SeriesItem, Skipped, WriteOptions, Written

if TYPE_CHECKING:
    from .output import Output

__all__ = [
    "Derivation", "Discovery", "FileFormat", "Reason", "SeriesItem", "Skipped", "WriteOptions", "Written",
    "by_series", "discover", "open_output", "planned_output", "read", "write",
]  # fmt: skip


def discover(
    paths: str | Path | Sequence[str | Path],
    progress: Callable[[int, int], None] | None = None,
    *,
    label_maps: bool = False,
) -> Discovery:
    """Finds what can be denoised under files and folders; reads headers only.

    Args:
        paths: a file or folder, or several, searched to any depth; names and extensions do not matter.
        progress: called with (files done, files in all).
        label_maps: takes label maps and masks for images too.

    Returns:
        items and skipped files; every file is in exactly one of them.
    """
    from .discovery import discover as run

    several = [paths] if isinstance(paths, str | Path) else paths
    return run([Path(path) for path in several], progress, label_maps=label_maps)


def read(item: SeriesItem) -> Volume:
    """Reads the pixels of an item in real-world values.

    Args:
        item: from `discover`.

    Returns:
        float32 ``[z, y, x]``; ``source`` is `item`.

    Raises:
        PixelError: pixel data that is truncated or cannot be decoded; names the file.
        UsageError: it is no item.
    """
    if not isinstance(item, SeriesItem):
        raise UsageError(
            "What is read is an item that discover found", received=type(item).__name__,
            hint="Of a path it is discover(path).items[0].",
        )  # fmt: skip
    if item.kind == "dicom":
        from .dicom.reader import read_series as run
    elif item.kind == "nifti":
        from .nifti import read_nifti as run
    else:
        from .itk import read_itk as run
    return run(item)


def planned_output(
    item: SeriesItem,
    out_dir: Path,
    suffix: str = "denoised",
    file_format: FileFormat = "same",
    file: Path | None = None,
) -> Path:
    """The folder (DICOM) or file that `write` would make; `file` names the main output itself."""
    from .names import output_path

    return output_path(item, out_dir, suffix, file_format, file)


def by_series(items: Iterable[SeriesItem]) -> list[list[SeriesItem]]:
    """Items of a discovery by source: the stacks of a DICOM series together, anything else alone."""
    groups: dict[tuple[str, str], list[SeriesItem]] = {}
    for item in items:
        groups.setdefault((item.kind, item.name), []).append(item)
    return list(groups.values())


def open_output(item: SeriesItem, out_dir: Path, options: WriteOptions) -> Output:
    """Opens the output of a source series, which may have several stacks.

    Use it as a context manager and `add` the volume of each stack: they come back as one derived series. It
    appears, whole, when the block ends without an error.

    Args:
        item: any stack of the series.
        out_dir: folder for outputs; made where it does not exist.
        options: suffix, format, overwriting, private elements, series description.

    Raises:
        RefusedError: the series cannot be exported in that format.
    """
    from .output import open_output as run

    return run(item, out_dir, options)


def write(
    volume: Volume,
    out_dir: Path,
    *,
    derivation: Derivation,
    suffix: str = "denoised",
    file_format: FileFormat = "same",
    overwrite: bool = False,
    keep_private: bool = False,
    series_description: str | None = None,
) -> Written:
    """Writes a volume as a derived copy of its source, atomically.

    Args:
        volume: from `read`, with new values (`Volume.with_array`).
        out_dir: folder for outputs; made where it does not exist.
        derivation: what was done.
        suffix: ``"denoised"`` keeps the stored type of the source and, where a value is unchanged, its very
            bits. ``"residual"`` and ``"uncertainty"`` are signed maps with a scale of their own.
        file_format: ``"same"`` as the source, or what a DICOM series is exported to.
        overwrite: replaces an earlier output; an input is never replaced.
        keep_private: copies private DICOM elements.
        series_description: text in place of the source's Series Description.

    Returns:
        the files written, and how many pixels were clipped.

    Raises:
        OutputError: the output exists, is an input, or cannot be written; nothing is left behind.
        GeometryError: an export needs a regular grid.
    """
    from .output import check_volume

    options = WriteOptions(suffix, file_format, overwrite, keep_private, series_description)
    with open_output(check_volume(volume), out_dir, options) as output:
        return output.add(volume, derivation)
