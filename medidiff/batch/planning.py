"""Plan: what a run would do with every series, decided before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from medidiff.batch.earlier import done, earlier_output, files_of, simulated
from medidiff.batch.pool import Pool
from medidiff.batch.request import Request, check_folder
from medidiff.batch.roi import bounds_of
from medidiff.batch.single import read_one
from medidiff.batch.skips import nothing_found
from medidiff.denoise.consistency import gain_of
from medidiff.errors import MedidiffError, OutputError, RefusedError, UsageError
from medidiff.io import (
    Discovery,
    Reason,
    SeriesItem,
    by_series,
    discover,
    planned_output,
)
from medidiff.io.atomic import check_target
from medidiff.io.export import check_exportable
from medidiff.io.names import image_stem, keeps_format
from medidiff.volume import Modality, Volume

Decision = Literal["planned", "skipped", "refused"]


@dataclass(frozen=True, eq=False)
class Entry:
    """The decision about one series.

    Attributes:
        item: the series.
        decision: ``"planned"``, ``"skipped"`` or ``"refused"``.
        reason: why it is not planned, a sentence; "" where it is.
        code: the same as the name of a `Reason`; "" where it is planned.
        error: the refusal.
        modality: what it is taken as; ``"OT"`` if only its values can tell.
        model: the bundle; None until its values told the modality.
        outputs: suffix to output path.
        notes: what the user should know.
    """

    item: SeriesItem
    decision: Decision
    reason: str = ""
    modality: Modality = "OT"
    model: str | None = None
    outputs: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    code: str = ""
    error: MedidiffError | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run would do.

    Attributes:
        request: what was asked.
        discovery: what was found.
        entries: one for each series found.
        sigma_map: the noise map, read.
    """

    request: Request
    discovery: Discovery
    entries: tuple[Entry, ...]
    sigma_map: Volume | None = None

    @property
    def planned(self) -> tuple[Entry, ...]:
        """The stacks that a run would denoise."""
        return tuple(e for e in self.entries if e.decision == "planned")

    @property
    def series(self) -> list[list[Entry]]:
        """The entries by source series: the stacks of a DICOM series come back as one series."""
        entries = {id(entry.item): entry for entry in self.entries}
        return [[entries[id(item)] for item in group] for group in by_series(e.item for e in self.entries)]

    @property
    def refusal(self) -> MedidiffError | None:
        """The error of a plan without any series: images are there, but none that medidiff processes."""
        return None if self.entries else nothing_found(self.request.paths, self.discovery.skipped)


def plan(request: Request, pool: Pool, progress: Callable[[int, int], None] | None = None) -> Plan:
    """Finds the series and decides about each.

    Args:
        request: what is asked.
        pool: gives the models; every one that is needed is loaded and verified here.
        progress: called with files looked at and files in all.

    Raises:
        UsageError: the output or noise map cannot be meant, model and modality contradict each other, or
            the model cannot take the guidance.
        OutputError: the output folder cannot be written.
        ModelError: a model is unknown or damaged.
        NoImageError: nothing under the paths is an image.
    """
    check_folder(request.out_dir, files=True)
    _check_model(request, pool)
    discovery = discover(request.paths, progress)
    if not discovery.items and not isinstance(
        error := nothing_found(request.paths, discovery.skipped), RefusedError
    ):
        raise error
    if request.file is not None:
        discovery = _into_file(discovery, request.file)
    sigma_map = None if request.sigma_map is None else read_one(request.sigma_map, "The noise map")
    old = [item for item in discovery.items if earlier_output(item, request.paths, request.out_dir)]
    replaceable = frozenset(path for item in old for path in files_of(item))
    entries = [
        Entry(item, "skipped", Reason.EARLIER_OUTPUT.value, item.modality, code=Reason.EARLIER_OUTPUT.name)
        if item in old
        else _decide(replace(item, inputs=item.inputs - replaceable), request, pool)
        for item in discovery.items
    ]
    return Plan(request, discovery, tuple(entries), sigma_map)


def _into_file(discovery: Discovery, file: Path) -> Discovery:
    """The only scan of a discovery, under the name of its output file and in no dataset.

    Raises:
        UsageError: there are more.
    """
    if len(discovery.items) > 1:
        labels = ", ".join(item.label for item in discovery.items[:4])
        raise UsageError(
            f"The output (-o) names a file, and there are {len(discovery.items)} scans", received=labels,
            hint="Name a folder, or give the path of one scan.",
        )  # fmt: skip
    items = [replace(item, name=image_stem(file)) for item in discovery.items]
    items = [replace(i, headers=replace(i.headers, dataset=None)) if i.kind == "nifti" else i for i in items]
    return replace(discovery, items=tuple(items))


def _check_model(request: Request, pool: Pool) -> None:
    """Loads the model that the user named and compares it with the modality that they named."""
    if request.model is None:
        return
    bundle = pool.bundle(request.model)
    if request.modality not in ("auto", bundle.modality):
        raise UsageError(
            f"The model {bundle.name!r} is for {bundle.modality.upper()}",
            received=f"--modality {request.modality}",
        )


def _decide(item: SeriesItem, request: Request, pool: Pool) -> Entry:
    """The entry of one series."""
    outputs = {
        s: planned_output(item, request.out_dir, s, request.format, request.file) for s in request.suffixes
    }
    modality: Modality = item.modality
    try:
        if request.resume and all(path.exists() for path in outputs.values()):
            reason = done(item, outputs.values())
            return Entry(item, "skipped", reason, modality, outputs=outputs, code=Reason.DONE.name)
        if request.modality != "auto":
            modality = "CT" if request.modality == "ct" else "MR"
        name = None if request.copies else request.model or {"CT": "ct", "MR": "mr"}.get(modality)
        if modality == "PT" and name is None and not request.copies:
            raise RefusedError(
                "is PET, for which there is no model", where=item.path, code=Reason.NO_MODEL.name,
                hint="To try one made for MR: --modality mr.",
            )  # fmt: skip
        if name is not None:
            modality = suits(item, modality, name, pool)
            gain_of(pool.bundle(name), request.settings.guidance)
        if not keeps_format(item, request.format):
            check_exportable(item, request.format)
        if request.roi is not None:
            bounds_of(item, request.roi)
        for path in outputs.values():
            check_target(path, overwrite=request.overwrite, inputs=item.inputs)
    except (RefusedError, OutputError) as met:
        error = met if request.resume else _or_resumed(met)
        return Entry(item, "refused", str(error), modality, outputs=outputs, code=error.code, error=error)
    notes = ("medidiff made this image already",) if item.own_output and not simulated(item) else ()
    return Entry(item, "planned", "", modality, name, outputs, (*item.notes, *notes))


def _or_resumed(error: MedidiffError) -> MedidiffError:
    """The error, which also names --resume where an output exists: mostly, a run was stopped."""
    if error.code != Reason.OUTPUT_EXISTS.name:
        return error
    return OutputError(
        error.what, where=error.where, code=error.code,
        hint="Use --resume to go on with an earlier run, --overwrite, or another output folder (-o).",
    )  # fmt: skip


def suits(item: SeriesItem, modality: Modality, model: str, pool: Pool) -> Modality:
    """The modality that a series is taken as by a model.

    Raises:
        RefusedError: the series is of another modality.
        ModelError: the model is unknown or damaged.
    """
    bundle = pool.bundle(model)
    wanted: Modality = "CT" if bundle.modality == "ct" else "MR"
    if modality not in (wanted, "OT"):
        raise RefusedError(
            f"is {modality}, and the model {bundle.name!r} is for {wanted}", where=item.path,
            hint=f"To use it all the same: --modality {bundle.modality}.", code=Reason.OTHER_MODALITY.name,
        )  # fmt: skip
    return wanted
