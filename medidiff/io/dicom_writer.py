"""Writes a `Volume` as a derived DICOM series: one instance per source slice, Explicit VR Little Endian."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..volume import Volume
from . import pixels
from .atomic import check_target, staged
from .decoding import decode
from .derivation import MAPS, Derivation, Identity, derive, derived_number, derived_uid
from .dicom_reader import DicomSource, read_dataset, to_little_endian
from .items import SeriesItem, WriteOptions, Written
from .slice_header import lenient

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LEVELS = 32767
"""Largest stored value of a signed 16-bit image."""


@dataclass(frozen=True)
class Image:
    """Stored values of a derived slice and how to read them.

    Attributes:
        encoded: stored values, scale and clipped count.
        bits: Bits Stored.
        rescale: True where Rescale Slope and Intercept are written.
        rescaled: True where the scale is not that of the source.
    """

    encoded: pixels.Encoded
    bits: int
    rescale: bool
    rescaled: bool = False


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
        peak = _peak(volume) if is_map else None
        names: list[str] = []
        clipped, rescaled, private = 0, 0, False
        folder = self._open()
        with lenient():
            for k, identity in enumerate(_identities(volume, derivation, options)):
                header = item.headers.stack.slices[k]
                source = read_dataset(header)
                stored = decode(source, header.path)
                image = _encode(volume.array[k], stored, source, peak)
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


def _identities(volume: Volume, derivation: Derivation, options: WriteOptions) -> list[Identity]:
    """New identifiers for every slice, from source UIDs, model hash and settings.

    The series UID is the same for all stacks of a source series.
    """
    source: DicomSource = volume.source.headers
    slices = source.stack.slices
    first = slices[0]
    settings = (
        derivation.fingerprint(), options.suffix, f"private={options.keep_private}",
        f"description={options.series_description}",
    )  # fmt: skip
    series = derived_uid(first.series, *settings)
    number = derived_number(first.number, source.study_numbers, options.suffix)
    now = derivation.created or datetime.now(timezone.utc)
    near = source.stack.adjacent
    identities = []
    for k, header in enumerate(slices):
        used = [header]
        step = derivation.context
        if step:
            used += [slices[k - step]] if k >= step and near[k - step : k].all() else []
            used += [slices[k + step]] if k + step < len(slices) and near[k : k + step].all() else []
        uids = tuple((h.sop_class, h.uid) for h in used)
        new = derived_uid(*(u for _, u in uids), *settings)
        text = options.series_description
        identities.append(Identity(series, new, number, uids, options.suffix, now, text))
    return identities


def _peak(volume: Volume) -> float:
    """Largest absolute value outside the padding: all slices of a map share one scale."""
    size = np.abs(volume.array)
    return float(np.max(size, initial=0.0, where=True if volume.padding is None else ~volume.padding))


def _encode(real: NDArray[np.float32], stored: pixels.IntArray, source: Dataset, peak: float | None) -> Image:
    """Stored values of one slice; see the rescale row of the brief's table.

    Args:
        real: new values ``[y, x]``.
        stored: stored values of the source.
        source: its header.
        peak: largest absolute value of a map; None where the image is no map.
    """
    pair = pixels.rescale_pair(source)
    padding = pixels.padding_range(source)
    keep = pixels.padding_mask(stored, padding)
    if peak is not None:
        return _encode_map(np.where(keep, 0, real), peak, pair is not None)
    slope, intercept = pair or (1.0, 0.0)
    bounds = pixels.limits(source)
    bits = int(source.BitsStored)
    image = pixels.quantise(real, stored, slope, intercept, keep=keep, bounds=bounds, padding=padding)
    if image.clipped and pair is not None and padding is None:
        slope, intercept = _wider_scale(real, slope, intercept, bounds, pet=source.get("Modality") == "PT")
        if (slope, intercept) != pair:
            changed = _encode_scaled(real, stored, slope, intercept, bounds)
            return Image(changed, bits, rescale=True, rescaled=True)
    return Image(image, bits, rescale=pair is not None)


def _wider_scale(
    real: NDArray[np.float32], slope: float, intercept: float, bounds: tuple[int, int], *, pet: bool
) -> tuple[float, float]:
    """A scale that holds all values.

    PET: intercept 0 (C.8.9.4), slope from the largest value. Otherwise the slope stays and the intercept
    moves by whole steps where the range fits, so that no unchanged value is rounded again; where it does
    not fit, the scale of the source stays and values are clipped like the scanner's.
    """
    low, high = float(real.min()), float(real.max())
    if pet:
        needed = max(high / bounds[1], low / bounds[0] if bounds[0] and low < 0 else 0.0)
        return (_as_ds(needed * (1 + 1e-7)), 0.0) if needed > 0 else (slope, intercept)
    ends = sorted(((low - intercept) / slope, (high - intercept) / slope))
    if np.ceil(ends[1]) - np.floor(ends[0]) > bounds[1] - bounds[0]:
        return slope, intercept
    shift = min(np.floor(ends[0]) - bounds[0], 0) or max(np.ceil(ends[1]) - bounds[1], 0)
    return slope, _as_ds(intercept + shift * slope)


def _encode_scaled(
    real: NDArray[np.float32],
    stored: pixels.IntArray,
    slope: float,
    intercept: float,
    bounds: tuple[int, int],
) -> pixels.Encoded:
    number = np.rint((real.astype(np.float64) - intercept) / slope)
    clipped = int(np.count_nonzero((number < bounds[0]) | (number > bounds[1])))
    return pixels.Encoded(np.clip(number, *bounds).astype(stored.dtype), slope, intercept, clipped)


def _encode_map(real: NDArray[np.float32], peak: float, has_pair: bool) -> Image:
    """A signed 16-bit map with intercept 0 and the finest power of ten as slope that holds `peak`."""
    slope = 10.0 ** np.ceil(np.log10(peak / LEVELS)) if peak > 0 else 1.0
    if not has_pair and 1000 <= peak <= LEVELS:  # MR images have no rescale of their own (C.8.3.1)
        return Image(pixels.Encoded(np.rint(real).astype(np.int16), 1.0, 0.0), 16, rescale=False)
    slope = _as_ds(slope)
    stored = np.clip(np.rint(real.astype(np.float64) / slope), -LEVELS, LEVELS).astype(np.int16)
    return Image(pixels.Encoded(stored, slope, 0.0), 16, rescale=True)


def _as_ds(value: float) -> float:
    """The number that a DS of 16 characters can hold (PS3.5 6.2): that one must scale the pixels."""
    from pydicom.valuerep import format_number_as_ds

    return float(format_number_as_ds(float(value)))


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
        spread = float(np.std(encoded.stored.astype(np.float64))) * encoded.slope
        new.WindowCenter = format_number_as_ds(_as_ds(spread if suffix == "uncertainty" else 0.0))
        new.WindowWidth = format_number_as_ds(_as_ds(max(6 * spread, 1.0)))
        if suffix in MAPS and not image.rescale:
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
