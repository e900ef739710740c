"""Writes derived enhanced images: one for each source image, its frames in their original order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import scratch
from ...volume import Volume
from ..derivation import MAPS, Derivation
from ..items import WriteOptions
from . import pixels
from .damage import parsing
from .derived_file import save, set_pixels
from .encoding import Range, encode
from .enhanced_derivation import DerivedFrame, derive_enhanced
from .geometry import Stack
from .identity import SeriesIdentity, Source
from .reader import stored_slices, to_little_endian
from .slice_header import SliceHeader, integer, lenient
from .tally import Tally

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass
class _Image:
    """A derived image that is being gathered.

    Attributes:
        source: file of its source.
        order: where its source stands among the others.
        name: its own file.
        header: header of its source, without pixel data.
        series: what it shares with the series.
        frames: what it has so far.
    """

    source: Path
    order: tuple[int, int, str]
    name: str
    header: Dataset
    series: SeriesIdentity
    frames: list[DerivedFrame] = field(default_factory=list)


class EnhancedWriter:
    """Gathers derived frames stack by stack: the frames of one image may belong to several stacks.

    Use it as a context manager: the images are written when the block ends without an error, and hold the
    frames that were added. They stay in memory until then.

    Args:
        folder: where the files go.
        options: suffix, private elements.
        name: gives the name of the next file.
    """

    def __init__(self, folder: Path, options: WriteOptions, name: Callable[[], str]) -> None:
        self._folder, self._options, self._name = folder, options, name
        self._images: dict[str, _Image] = {}

    def __enter__(self) -> EnhancedWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            with lenient():
                self._write()

    def add(self, volume: Volume, derivation: Derivation, series: SeriesIdentity) -> Tally:
        """Encodes the frames of one stack.

        Args:
            volume: from `read_series`, with new values.
            derivation: what was done.
            series: the identifiers of the derived series.
        """
        stack: Stack = volume.source.headers.stack
        shared = Range.of(volume) if self._options.suffix in MAPS else None
        done = Tally()
        with lenient():
            for part in stored_slices(stack):
                header = stack.slices[part.index]
                with parsing(header.path):
                    gathered = self._image(header, part.dataset, series)
                    pair = pixels.rescale_pair(part.scale)
                    if shared is not None:  # every frame of a map has a scale: it may have a functional group
                        pair = pair or (1.0, 0.0)
                    copy = derivation.operation == "copy"
                    image = encode(volume.array[part.index], part, pair, shared, copy=copy)
                    scratch.release(volume.array)
                    sources = tuple(map(Source.of, stack.used(part.index, derivation.context)))
                    gathered.frames.append(DerivedFrame(header.frame_number, image, sources, derivation))
                    done.count(image, private=self._options.keep_private)
                    done.names.append(gathered.name)
        done.names = list(dict.fromkeys(done.names))
        return done

    def _image(self, source: SliceHeader, dataset: Dataset, series: SeriesIdentity) -> _Image:
        """The image that is derived from a source image."""
        if source.uid not in self._images:
            if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
                to_little_endian(dataset)
            header = _without_pixels(dataset)
            self._images[source.uid] = _Image(source.path, _order(header), self._name(), header, series)
        return self._images[source.uid]

    def _write(self) -> None:
        images = sorted(self._images.values(), key=lambda image: image.order)
        apart = any("ConcatenationUID" in image.header for image in images)
        for number, image in enumerate(images, start=1):
            with parsing(image.source):
                new = self._derive(image)
                if apart:  # the parts of a concatenation share a number, and these are parts no more
                    new.InstanceNumber = number
                image.frames.clear()
                save(new, self._folder / image.name)

    def _derive(self, image: _Image) -> Dataset:
        """The derived image, with its frames in the order of the source."""
        frames = sorted(image.frames, key=lambda frame: frame.number)
        sources = [source for frame in frames for source in frame.sources]
        identity = image.series.image(sources, repr([s.frame for s in sources]))
        new = derive_enhanced(image.header, frames, identity, keep_private=self._options.keep_private)
        set_pixels(new, np.stack([f.image.encoded.stored for f in frames]), frames[0].image.bits)
        return new


def _without_pixels(dataset: Dataset) -> Dataset:
    from pydicom.dataset import Dataset

    header = Dataset()
    for tag in dataset.keys():
        if tag != 0x7FE00010:
            header[tag] = dataset.get_item(tag)  # undecoded text stays so
    return header


def _order(header: Dataset) -> tuple[int, int, str]:
    """Instance Number, then the number within a concatenation."""
    first, second = (integer(header.get(k)) or 0 for k in ("InstanceNumber", "InConcatenationNumber"))
    return first, second, str(header.SOPInstanceUID)
