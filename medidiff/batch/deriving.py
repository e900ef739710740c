"""Deriving: given voxels become a derived DICOM series of the files that they were computed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.batch.single import read_one
from medidiff.batch.skips import nothing_found
from medidiff.errors import RefusedError, UsageError
from medidiff.io import Derivation, SeriesItem, WriteOptions, Written, discover, open_output, read
from medidiff.io.align import aligned
from medidiff.volume import Volume


def derive(
    values: Path, sources: Sequence[Path], derivation: Derivation, out_dir: Path, options: WriteOptions
) -> Written:
    """Writes voxels as a derived series.

    The voxels are those of a viewer, which has kept them since they were computed; only the headers come
    from the files. A value that is no number is taken only where the source has no image either: its padding
    stays.

    Args:
        values: NRRD, MetaImage or NIfTI file on the grid of the source, whichever way its axes run.
        sources: files and folders of one DICOM series.
        derivation: how the values were made.
        out_dir: folder of the output.
        options: overwriting, private elements, series description.

    Raises:
        UsageError: the sources are more than one stack of slices.
        RefusedError: the source is no DICOM series, or a value is no number.
        GeometryError: the values lie on other voxels.
    """
    item = _source(sources)
    volume = read(item)
    found = read_one(values, "The values")
    array = aligned(found, volume)
    if found.padding is not None:
        lost = aligned(_mask(found), volume) > 0.5
        _check_lost(lost, volume, values)
        array = np.where(lost, volume.array, array)
    with open_output(item, out_dir, options) as output:
        return output.add(volume.with_array(array), derivation)


def read_list(path: Path) -> list[Path]:
    """The paths in a text file, one a line.

    Args:
        path: UTF-8, with or without a byte order mark.

    Raises:
        UsageError: it is no UTF-8 text, or cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        byte = f"the byte 0x{error.object[error.start]:02x} at {error.start}"
        raise UsageError(
            "The list of sources is no UTF-8 text", where=path, received=byte, hint="Save it as UTF-8."
        ) from None
    except OSError as error:
        raise UsageError("The list of sources cannot be read", where=path, hint=f"({error})") from None
    return [Path(line) for line in lines if line]


def read_derivation(path: Path) -> Derivation:
    """The ``derivation`` of a ``result`` event, kept in a JSON file.

    Raises:
        UsageError: it is none.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError("The derivation is no JSON file", received=path, hint=f"({error})") from error
    if not isinstance(content, dict):
        raise UsageError("The derivation must be a JSON object", received=path)
    return Derivation.from_dict(content)


def _source(paths: Sequence[Path]) -> SeriesItem:
    """The only stack of slices under the paths."""
    found = discover(list(paths))
    if not found.items:
        raise nothing_found(list(paths), found.skipped)
    if len(found.items) > 1:
        labels = ", ".join(item.label for item in found.items[:4])
        raise UsageError(
            f"The source must be one stack of slices, and there are {len(found.items)}", received=labels,
            hint="Give the files of one of them.",
        )  # fmt: skip
    (item,) = found.items
    if item.kind != "dicom":
        raise RefusedError("is no DICOM series, whose headers the output needs", where=item.path)
    return item


def _check_lost(lost: NDArray[np.bool_], source: Volume, values: Path) -> None:
    """Refuses values that are no number where the source has image: DICOM pixels cannot hold them."""
    outside = np.zeros(1, bool) if source.padding is None else source.padding
    count = np.count_nonzero(lost & ~outside)
    if count:
        raise RefusedError(
            f"{count} of the values are NaN or infinite where the source has image, and DICOM pixels hold "
            "numbers only", where=values, hint="Give every voxel a value, such as that of the source.",
        )  # fmt: skip


def _mask(volume: Volume) -> Volume:
    """The padding of a volume as a volume."""
    assert volume.padding is not None
    return replace(volume, array=volume.padding.astype(np.float32), padding=None)
