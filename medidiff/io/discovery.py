"""Discovery: looks at every file and accounts for every file: part of an item, or skipped with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .dicom.directory import look_up
from .dicom.header import read_header
from .dicom.series import series_items
from .dicom.slice_header import SliceHeader
from .formats import Format, exists, sniff
from .items import Discovery, Reason, SeriesItem, Skipped
from .names import output_path, printable
from .streams import cause
from .walk import walk

VOXELS = re.compile(r"\.(raw|zraw|raw\.gz|img|img\.gz|gz|bin)$", re.IGNORECASE)
HEADERS = (".mhd", ".nhdr", ".hdr", ".hdr.gz")
SIDECARS = (".json", ".bval", ".bvec", ".tsv")


def discover(
    paths: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
    *,
    label_maps: bool = False,
) -> Discovery:
    """Sorts every file under `paths` into items and skips; see `medidiff.io.discover`."""
    skipped: list[Skipped] = []
    files: list[tuple[Path, Path | None]] = []
    seen: dict[Path, Path] = {}
    for path, root, reason in (entry for p in paths for entry in walk(Path(p))):
        if reason is not None:
            skipped.append(Skipped(path, *reason))
            continue
        real = path.resolve()
        if real not in seen:
            seen[real] = path
            files.append((path, root))
        elif os.path.abspath(seen[real]) != os.path.abspath(path):
            skipped.append(Skipped(path, Reason.DUPLICATE, f"a link to {seen[real].name}"))
    headers: list[SliceHeader] = []
    items: list[SeriesItem] = []
    for done, (path, root) in enumerate(files, start=1):
        found = _look(path, root, label_maps)
        if isinstance(found, list):
            headers.extend(found)
        elif isinstance(found, SeriesItem):
            items.append(found)
        else:
            skipped.append(found)
        if progress is not None:
            progress(done, len(files))
    items = series_items(headers, skipped) + items
    skipped = _with_missing(skipped, [path for path, _ in files])
    inputs = frozenset(seen).union(s.path.resolve() for s in skipped if os.path.isfile(s.path))
    unique = _unique_names(items)
    return Discovery(
        tuple(replace(item, name=name, inputs=inputs) for item, name in zip(items, unique, strict=True)),
        tuple(skipped),
    )


def _with_missing(skipped: list[Skipped], files: Sequence[Path]) -> list[Skipped]:
    """The skips, with the files that a DICOMDIR among them names and that are not there."""
    out: dict[Path, Skipped] = {}
    for skip in skipped:
        if skip.reason is not Reason.DICOMDIR:
            out[skip.path] = skip
            continue
        directory = look_up(skip.path, files)
        out[skip.path] = directory.skipped
        for path in directory.missing:
            out.setdefault(path, Skipped(path, Reason.DICOMDIR_MISSING))
    return list(out.values())


def _look(path: Path, root: Path | None, label_maps: bool) -> list[SliceHeader] | SeriesItem | Skipped:
    """What one file is; DICOM slices are grouped later."""
    try:
        kind = sniff(path)
        if kind in (Format.DICOM, Format.DICOM_HEADLESS):
            slices = read_header(path)
            if isinstance(slices, list):
                return slices
            # Without a preamble, what cannot be understood need not be DICOM at all.
            unsure = slices[0] in (Reason.DAMAGED_HEADER, Reason.MISSING_UID)
            return _skip(path, (Reason.HEADLESS, "") if unsure and kind is not Format.DICOM else slices)
        if kind in (Format.NIFTI, Format.NIFTI_PAIR):
            from .nifti_header import inspect
        elif kind in (Format.NRRD, Format.META):
            from .itk_header import inspect
        else:
            return _skip(path, _other(path, kind))
        found = inspect(path, root, label_maps=label_maps)
    except OSError as error:
        return _skip(path, cause(error))
    return found if isinstance(found, SeriesItem) else _skip(path, found)


def _skip(path: Path, why: tuple[Reason, str]) -> Skipped:
    """A skip; its detail may quote the file."""
    return Skipped(path, why[0], printable(why[1], 200))


def _other(path: Path, kind: Format) -> tuple[Reason, str]:
    """The reason for a file that is no image of ours."""
    if header := _header_of(path):
        return Reason.SIDECAR, f"the voxels of {header.name}"
    fixed = {
        Format.ARCHIVE: Reason.ARCHIVE,
        Format.ZIP: Reason.NESTED_ARCHIVE,
        Format.ANALYZE: Reason.ANALYZE,
        Format.EMPTY: Reason.EMPTY,
    }
    if kind in fixed:
        return fixed[kind], ""
    if path.name.lower().endswith(SIDECARS):
        stem = path.name.rsplit(".", 1)[0]
        if any(exists(path.parent / f"{stem}{x}") for x in (".nii", ".nii.gz", ".hdr")):
            return Reason.SIDECAR, ""
    return Reason.NOT_AN_IMAGE, ""


def _header_of(path: Path) -> Path | None:
    """The detached header whose voxels a file may hold, by its name."""
    data = VOXELS.search(path.name)
    headers = (path.with_name(path.name[: data.start()] + x) for x in HEADERS) if data else ()
    return next((header for header in headers if exists(header)), None)


def _unique_names(items: Sequence[SeriesItem]) -> list[str]:
    """Output names without two alike, also where case does not count; later ones get -2, -3 ...

    The stacks of one DICOM series share a name.
    """
    taken: set[str] = set()
    names: list[str] = []
    for item in items:
        if item.part[0] > 1:  # the stacks of a series come one after the other
            names.append(names[-1])
            continue
        new, count = item, 1
        while (place := _place(new)) in taken:
            count += 1
            new = replace(item, name=f"{item.name}-{count}")
        taken.add(place)
        names.append(new.name)
    return names


def _place(item: SeriesItem) -> str:
    """The output path in lower case; NIfTI without extension, because x.nii and x.nii.gz share x.json."""
    path = output_path(item, Path(), "denoised").as_posix().lower()
    return path.removesuffix(".gz").removesuffix(".nii") if item.kind == "nifti" else path
