"""Output: one protocol for writing whatever kind of source, stack by stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ..errors import OutputError
from ..volume import Volume
from .atomic import check_target
from .derivation import Derivation
from .export import ExportWriter, check_exportable
from .items import SeriesItem, WriteOptions, Written
from .names import keeps_format, output_path


class Output(Protocol):
    """An output that is being written; it appears, whole, when the block ends without an error."""

    def __enter__(self) -> Output:
        """Makes sure that the output may be written."""

    def __exit__(self, *error: Any) -> None:
        """Puts the output in its place, or leaves nothing."""

    def add(self, volume: Volume, derivation: Derivation) -> Written:
        """Takes the next stack of the source series."""


class FileWriter:
    """Writes a volume as a file of the format of its source (NIfTI, NRRD, MetaImage).

    Args:
        item: the source.
        final: output file.
        options: suffix, overwriting.
    """

    def __init__(self, item: SeriesItem, final: Path, options: WriteOptions) -> None:
        self._item, self._final, self._options = item, final, options

    def __enter__(self) -> FileWriter:
        check_target(self._final, overwrite=self._options.overwrite, inputs=self._item.inputs)
        return self

    def __exit__(self, *error: Any) -> None:
        """Nothing is left to do: a file is one stack, and in its place at once."""

    def add(self, volume: Volume, derivation: Derivation) -> Written:
        """Writes the file."""
        if self._item.kind == "nifti":
            from .nifti import write_nifti as write
        else:
            from .itk import write_itk as write
        options = self._options
        return write(
            volume, self._final, derivation=derivation, suffix=options.suffix, overwrite=options.overwrite
        )


def open_output(item: SeriesItem, out_dir: Path, options: WriteOptions) -> Output:
    """The writer for the series of an item; see `medidiff.io.open_output`."""
    final = output_path(item, out_dir, options.suffix, options.format, options.file)
    if not keeps_format(item, options.format):
        check_exportable(item, options.format)
        return ExportWriter(item, final, options)
    if item.kind == "dicom":
        from .dicom.writer import SeriesWriter

        return SeriesWriter(item, final, options)
    return FileWriter(item, final, options)


def check_volume(volume: Volume) -> SeriesItem:
    """The source of a volume that is to be written.

    Raises:
        OutputError: it has none, or another shape.
    """
    item = volume.source
    if not isinstance(item, SeriesItem):
        raise OutputError("a volume without a source cannot be written as a derived image")
    if volume.array.shape != item.shape:
        raise OutputError(
            f"the volume has another shape than its source {item.shape}", received=volume.array.shape
        )
    return item
