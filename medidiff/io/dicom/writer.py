"""Writes a `Volume` as a derived DICOM series: one image per source image, Explicit VR Little Endian."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import scratch
from ...volume import Volume
from ..atomic import check_target, staged
from ..derivation import MAPS, Derivation
from ..items import SeriesItem, WriteOptions, Written
from . import pixels
from .damage import parsing
from .derived_file import save, set_pixels
from .derived_header import derive
from .encoding import Image, Range, encode, map_window
from .enhanced_writer import EnhancedWriter
from .geometry import Stack
from .identity import SeriesIdentity, Source
from .reader import stored_slices, to_little_endian
from .slice_header import lenient
from .tally import Tally

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class SeriesWriter:
    """Takes the stacks of one source series, one after the other, and leaves one derived series.

    Use it as a context manager: the output folder appears, whole, when the block ends without an error.

    Args:
        item: any stack of the source series.
        final: output folder.
        options: suffix, overwriting, private elements, series description.

    Raises:
        OutputError: the output exists, would hit an input, or cannot be written.
    """

    def __init__(self, item: SeriesItem, final: Path, options: WriteOptions) -> None:
        self._final, self._options, self._inputs = final, options, item.inputs
        self._undo = ExitStack()
        self._folder: Path | None = None
        self._enhanced: EnhancedWriter | None = None
        self._count = 0
        self._started = datetime.now(timezone.utc)

    def __enter__(self) -> SeriesWriter:
        check_target(self._final, overwrite=self._options.overwrite, inputs=self._inputs)
        return self

    def __exit__(self, *error: Any) -> None:
        self._undo.__exit__(*error)

    def _open(self) -> Path:
        """The folder that is being filled; without a stack there is none."""
        if self._folder is None:
            place = staged(self._final, folder=True, overwrite=self._options.overwrite, inputs=self._inputs)
            self._folder = self._undo.enter_context(place)
        return self._folder

    def add(self, volume: Volume, derivation: Derivation) -> Written:
        """Writes the slices of one stack.

        Args:
            volume: from `read_series`, with new values.
            derivation: what was done.

        Returns:
            the files as they will be called, and what happened to the values.
        """
        item: SeriesItem = volume.source
        stack: Stack = item.headers.stack
        options, folder = self._options, self._open()
        series = SeriesIdentity(
            stack.slices[0], item.headers.numbers, derivation, options, self._started,
            item.headers.namesake,
        )  # fmt: skip
        if stack.slices[0].frame_number:
            if self._enhanced is None:
                self._enhanced = self._undo.enter_context(EnhancedWriter(folder, options, self._name))
            done = self._enhanced.add(volume, derivation, series)
        else:
            done = self._add_slices(volume, derivation, series, folder)
        files = tuple(self._final / name for name in done.names)
        return Written(self._final, files, done.clipped, done.remarks())

    def _name(self) -> str:
        """The name of the next file."""
        self._count += 1
        return f"{self._count:04d}.dcm"

    def _add_slices(
        self, volume: Volume, derivation: Derivation, series: SeriesIdentity, folder: Path
    ) -> Tally:
        """Writes an image for each slice."""
        stack: Stack = volume.source.headers.stack
        options, done, copy = self._options, Tally(), derivation.operation == "copy"
        shared = Range.of(volume) if options.suffix in MAPS else None
        with lenient():
            for part in stored_slices(stack):
                with parsing(stack.slices[part.index].path):
                    identity = series.image(map(Source.of, stack.used(part.index, derivation.context)))
                    pair = pixels.rescale_pair(part.dataset)
                    image = encode(volume.array[part.index], part, pair, shared, copy=copy)
                    scratch.release(volume.array)
                    if not part.dataset.file_meta.TransferSyntaxUID.is_little_endian:
                        to_little_endian(part.dataset)
                    new = derive(part.dataset, derivation, identity, keep_private=options.keep_private)
                    set_pixels(new, image.encoded.stored, image.bits)
                    _set_scale(new, image, options.suffix)
                    name = self._name()
                    save(new, folder / name)
                    done.names.append(name)
                    done.count(image, private=options.keep_private and any(e.tag.is_private for e in new))
        return done


def _set_scale(new: Dataset, image: Image, suffix: str) -> None:
    """Puts the scale of the stored values into the header, and a window for a map."""
    from pydicom.valuerep import format_number_as_ds

    if image.rescaled or (suffix in MAPS and image.rescale):
        new.RescaleSlope = format_number_as_ds(image.encoded.slope)
        new.RescaleIntercept = format_number_as_ds(image.encoded.intercept)
        if "RealWorldValueMappingSequence" in new:  # maps the stored values of the source
            del new.RealWorldValueMappingSequence
    if suffix in MAPS:
        if window := map_window(image, suffix):
            new.WindowCenter, new.WindowWidth = map(format_number_as_ds, window)
        else:
            _remove(new, "WindowCenter", "WindowWidth")
        if not image.rescale:
            _remove(new, "RescaleSlope", "RescaleIntercept", "RescaleType")
        elif new.get("Modality") == "MR" and not new.get("RescaleType"):  # type 1C (C.11.1)
            new.RescaleType = "US"


def _remove(new: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        if keyword in new:
            delattr(new, keyword)
