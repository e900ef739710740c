"""Images that an earlier run of medidiff left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from medidiff.errors import OutputError
from medidiff.io import Reason, SeriesItem
from medidiff.io.bids import TABLES, beside
from medidiff.io.provenance import made_from

SIMULATED = re.compile(r"(medidiff |_desc-)(dose|noise)[\d.]")
"""Marks of an image that `medidiff simulate` made, which is there to be denoised."""


def earlier_output(item: SeriesItem, request_paths: Sequence[Path], out_dir: Path) -> bool:
    """True for an image of an earlier run that lies there without being asked for.

    A simulated scan is there to be denoised, and a path that the user names is meant.
    """
    if not item.own_output:
        return False
    inside = out_dir.resolve() in item.path.resolve().parents
    named = any(item.path.resolve() == path.resolve() for path in request_paths)
    return not named and (inside or not simulated(item))


def simulated(item: SeriesItem) -> bool:
    """True for an image that `medidiff simulate` made."""
    return SIMULATED.search(item.description if item.kind == "dicom" else item.path.name) is not None


def files_of(item: SeriesItem) -> list[Path]:
    """The files of an image with the sidecar and tables that its writer made."""
    files = [path.resolve() for path in item.files]
    if item.kind == "nifti":
        files += [beside(path, extension) for path in files for extension in (".json", *TABLES)]
    return files


def done(item: SeriesItem, outputs: Iterable[Path]) -> str:
    """Why a scan whose outputs exist need not be denoised again, a sentence.

    An output of a version that did not record its source is taken for that of the scan.

    Args:
        item: the scan.
        outputs: what a run would write, all of it there.

    Raises:
        OutputError: an output was made from another scan.
        RefusedError: the scan cannot be read any more.
    """
    certain = True
    for path in outputs:
        made = made_from(path, item)
        if made is False:
            raise OutputError(
                f"{Reason.OTHER_SOURCE.value} of the same name", where=item.path, received=path,
                hint="Use another output folder (-o).", code=Reason.OTHER_SOURCE.name,
            )  # fmt: skip
        certain = certain and made is not None
    return (
        Reason.DONE.value
        if certain
        else f"{Reason.DONE.value}, but does not tell from which scan it was made"
    )
