"""Writes a `Volume` as a derived DICOM series: one instance per source slice, Explicit VR Little Endian."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError
from ..volume import Volume
from . import pixels
from .atomic import check_target, staged
from .decoding import decode
from .derivation import MAPS, Derivation
from .derived_header import derive
from .dicom_reader import read_dataset, to_little_endian
from .encoding import Image, encode, map_window, peak_of
from .geometry import Stack
from .identity import SeriesIdentity, Source
from .items import SeriesItem, WriteOptions, Written
from .slice_header import lenient

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
        self._count = 0

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
        if item.headers.stack.slices[0].frame_number:
            raise OutputError("enhanced multi-frame images cannot be written yet", where=item.path)
        options = self._options
        is_map = options.suffix in MAPS
        peak = peak_of(volume) if is_map else None
        names: list[str] = []
        clipped, rescaled, private = 0, 0, False
        folder = self._open()
        with lenient():
            stack: Stack = item.headers.stack
            series = SeriesIdentity(stack.slices[0], item.headers.study_numbers, derivation, options)
            for k, header in enumerate(stack.slices):
                identity = series.image(map(Source.of, stack.used(k, derivation.context)))
                source = read_dataset(header)
                stored = decode(source, header.path)
                image = encode(volume.array[k], stored, source, pixels.rescale_pair(source), peak)
                if not source.file_meta.TransferSyntaxUID.is_little_endian:
                    to_little_endian(source)
                new = derive(source, derivation, identity, keep_private=options.keep_private)
                _set_pixels(new, image, options.suffix)
                self._count += 1
                names.append(f"{self._count:04d}.dcm")
                _save(new, folder / names[-1])
                clipped += image.encoded.clipped
                rescaled += image.rescaled
                private |= options.keep_private and any(e.tag.is_private for e in new)
        notes = []
        if clipped:
            notes.append(f"{clipped} pixels did not fit the stored type and were clipped")
        if rescaled and not is_map:
            notes.append(f"{rescaled} slices have a new rescale slope or intercept")
            if private:
                notes.append("private scaling elements of the source, if any, do not hold for those slices")
        return Written(self._final, tuple(self._final / name for name in names), clipped, tuple(notes))


def _set_pixels(new: Dataset, image: Image, suffix: str) -> None:
    """Puts the stored values and their scale into the header."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian
    from pydicom.valuerep import format_number_as_ds

    new.file_meta = FileMetaDataset()
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    encoded = image.encoded
    new.set_pixel_data(
        np.ascontiguousarray(encoded.stored), str(new.PhotometricInterpretation), image.bits,
        generate_instance_uid=False,
    )  # fmt: skip
    if image.rescaled or (suffix in MAPS and image.rescale):
        new.RescaleSlope = format_number_as_ds(encoded.slope)
        new.RescaleIntercept = format_number_as_ds(encoded.intercept)
        if "RealWorldValueMappingSequence" in new:  # maps the stored values of the source
            del new.RealWorldValueMappingSequence
    if suffix in MAPS:
        new.WindowCenter, new.WindowWidth = map(format_number_as_ds, map_window(image, suffix))
        if not image.rescale:
            for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
                if keyword in new:
                    delattr(new, keyword)


def _save(new: Dataset, path: Path) -> None:
    from pydicom import dcmwrite

    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    buffer = BytesIO()  # pydicom wraps errors of a file and loses their number: is the disk full?
    dcmwrite(buffer, new, enforce_file_format=True)
    path.write_bytes(buffer.getbuffer())
