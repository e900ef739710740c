"""Series: the slices that were found, by patient, study, series and stack, as items."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..derivation import derived_numbers
from ..items import Reason, SeriesItem, Skipped
from ..names import series_name
from .geometry import Stack, stacks
from .slice_header import SliceHeader

if TYPE_CHECKING:
    from .reader import DicomSource

NAMESAKE = "another patient or study has a series of the same UID (0020,000E); both stay apart"

Groups = dict[tuple[str, str, str], dict[str, list[SliceHeader]]]
"""Slices by Series Instance UID, Study Instance UID and patient, then by SOP Instance UID."""


def series_items(headers: list[SliceHeader], skipped: list[Skipped]) -> list[SeriesItem]:
    """Groups slices by series and stack; a SOP instance that comes twice is used once.

    A Series Instance UID that two patients or studies share, as exporters leave it, is two series: no slice
    of one is a neighbour of the other's.
    """
    from .reader import DicomSource

    groups: Groups = defaultdict(dict)
    for header in headers:
        same = groups[header.series, header.study, header.patient].setdefault(header.uid, [])
        if not same or same[0].path == header.path:
            same.append(header)
        elif not skipped or skipped[-1].path != header.path:  # once for all frames of a file
            skipped.append(_duplicate(same[0], header))
    owners: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for series, study, patient in sorted(groups):
        owners[series].append((study, patient))
    items = []
    numbers = _derived_numbers(groups)
    for (series, study, patient), instances in groups.items():
        namesake = [p for s, p in owners[series] if s == study].index(patient)
        parts = stacks(header for frames in instances.values() for header in frames)
        shared = len(parts) > 1 and all(_on_one_grid(parts[0], part) for part in parts)
        for k, stack in enumerate(parts, start=1):
            source = DicomSource(stack, numbers[series, study, patient], namesake)
            item = _item(source, NAMESAKE if len(owners[series]) > 1 else "")
            items.append(replace(item, part=(k, len(parts)), shared_grid=shared))
    return items


def _derived_numbers(groups: Groups) -> dict[tuple[str, str, str], Mapping[str, int]]:
    """The Series Numbers of what is derived from each series: new in its study, as far as that was found."""
    studies: dict[str, dict[tuple[str, str, str], list[int]]] = defaultdict(dict)
    for key, instances in groups.items():
        found = {h.number for frames in instances.values() for h in frames if h.number is not None}
        studies[key[1]][key] = sorted(found)
    numbers: dict[tuple[str, str, str], Mapping[str, int]] = {}
    for series in studies.values():
        order = sorted(series, key=lambda key: (series[key], key))
        sources = [next(iter(series[key]), None) for key in order]
        new = derived_numbers(sources, (n for found in series.values() for n in found))
        numbers.update(zip(order, new, strict=True))
    return numbers


def _on_one_grid(a: Stack, b: Stack) -> bool:
    """True where two stacks have the same number of slices, at the same places."""
    same = len(a.slices) == len(b.slices) and a.slices[0].rows == b.slices[0].rows
    return same and a.slices[0].columns == b.slices[0].columns and np.allclose(a.affine, b.affine, atol=1e-3)


def _duplicate(first: SliceHeader, header: SliceHeader) -> Skipped:
    twin = f"same SOP Instance UID as a file in {first.path.parent.name or 'the folder'}"
    differs = (first.frame_number, first.position, first.rows, first.columns) != (
        header.frame_number, header.position, header.rows, header.columns,
    )  # fmt: skip
    return Skipped(header.path, Reason.UID_REUSED if differs else Reason.DUPLICATE, twin)


def _item(source: DicomSource, note: str) -> SeriesItem:
    stack = source.stack
    first = stack.slices[0]
    files = tuple(dict.fromkeys(s.path for s in stack.slices))
    notes = [*stack.notes, *([note] if note else [])]
    notes += dict.fromkeys(remark for s in stack.slices for remark in s.remarks)
    notes += dict.fromkeys(f"{s.path.name}: {s.left_out}" for s in stack.slices if s.left_out)
    if not first.frame:
        notes.append("no Frame of Reference UID (0020,0052); the output has none either")
    elif len({s.frame for s in stack.slices}) > 1:
        notes.append("every slice has a Frame of Reference UID of its own (0020,0052); the output likewise")
    if stack.tilt > 0.1:
        notes.append(f"tilt {stack.tilt:.1f} degrees")
    return SeriesItem(
        path=Path(os.path.commonpath([f.parent for f in files])) if len(files) > 1 else files[0],
        kind="dicom",
        files=files,
        modality=first.modality,
        description=first.description,
        name=series_name(first.number, first.description, first.series),
        shape=(len(stack.slices), first.rows, first.columns),
        spacing=stack.spacing,
        series_uid=first.series,
        number=first.number,
        regular=stack.regular,
        tilt=stack.tilt,
        notes=tuple(notes),
        own_output=first.own,
        headers=source,
    )
