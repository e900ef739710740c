"""Files in, `Volume` through, files out: DICOM (pydicom), NIfTI (nibabel), NRRD and MHA (SimpleITK).

`discover` accounts for every file under the given paths. `read` turns one `SeriesItem` into a `Volume`;
its ``source`` is the item itself. `write` puts the values of a volume back where they came from, in a new
derived series or file: atomically, never over an input.

A 4-D file is one item and one volume: its 3-D volumes lie one after the other along z, and ``adjacent`` is
False at their borders, so that no slice takes context from another time point. It is written as one 4-D file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import OutputError
from ..volume import Volume
from .derivation import Derivation
from .items import Discovery, Reason, SeriesItem, Skipped, Written

__all__ = [
    "Derivation", "Discovery", "Reason", "SeriesItem", "Skipped", "Written",
    "discover", "planned_output", "read", "write",
]  # fmt: skip


def discover(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> Discovery:
    """Finds what can be denoised under files and folders; reads headers only.

    Args:
        paths: files or folders, searched to any depth; names and extensions do not matter.
        progress: called with (files done, files in all).

    Returns:
        items and skipped files; every file is in exactly one of them.
    """
    from .discovery import discover as run

    return run(paths, progress)


def read(item: SeriesItem) -> Volume:
    """Reads the pixels of an item in real-world values.

    Args:
        item: from `discover`.

    Returns:
        float32 ``[z, y, x]``; ``source`` is `item`.

    Raises:
        PixelError: pixel data that is truncated or cannot be decoded; names the file.
    """
    if item.kind == "dicom":
        from .dicom_reader import read_series as run
    elif item.kind == "nifti":
        from .nifti import read_nifti as run
    else:
        from .itk import read_itk as run
    return run(item)


def planned_output(item: SeriesItem, out_dir: Path, suffix: str = "denoised") -> Path:
    """The folder (DICOM) or file that `write` would make."""
    from .names import output_path

    return output_path(item, out_dir, suffix)


def write(
    volume: Volume,
    out_dir: Path,
    *,
    derivation: Derivation,
    suffix: str = "denoised",
    overwrite: bool = False,
    keep_private: bool = False,
) -> Written:
    """Writes a volume as a derived copy of its source, atomically.

    Args:
        volume: from `read`, with new values (`Volume.with_array`).
        out_dir: folder for outputs; made where it does not exist.
        derivation: what was done.
        suffix: ``"denoised"`` keeps the stored type of the source and, where a value is unchanged, its very
            bits. ``"residual"`` and ``"uncertainty"`` are signed maps with a scale of their own.
        overwrite: replaces an earlier output; an input is never replaced.
        keep_private: copies private DICOM elements.

    Returns:
        the files written, and how many pixels were clipped.

    Raises:
        OutputError: the output exists, is an input, or cannot be written; nothing is left behind.
    """
    item = volume.source
    if not isinstance(item, SeriesItem):
        raise OutputError("a volume without a source cannot be written as a derived image")
    if volume.array.shape != item.shape:
        raise OutputError(
            f"the volume has another shape than its source {item.shape}", received=volume.array.shape
        )
    final = planned_output(item, out_dir, suffix)
    if item.kind == "dicom":
        from .dicom_writer import write_series

        return write_series(
            volume, final, derivation=derivation, suffix=suffix, overwrite=overwrite,
            keep_private=keep_private,
        )  # fmt: skip
    if item.kind == "nifti":
        from .nifti import write_nifti as run
    else:
        from .itk import write_itk as run
    return run(volume, final, derivation=derivation, suffix=suffix, overwrite=overwrite)
