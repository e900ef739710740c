"""Judging: reads scans and has them measured, against a reference or against the scan that they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medidiff.batch.pairing import Pair, patient_of
from medidiff.batch.single import read_one
from medidiff.errors import GeometryError
from medidiff.evaluation import (
    Arm,
    Case,
    Comparison,
    NoReference,
    Protocol,
    Region,
    RemovedNoise,
    before_after,
    body,
    check_same_grid,
    compare,
    region_of,
    reliability,
    removed_noise,
)
from medidiff.evaluation.compare import counted
from medidiff.io import SeriesItem, read
from medidiff.report import ArmFigures
from medidiff.volume import FloatArray, Volume


@dataclass(frozen=True)
class Measures:
    """How scans are to be measured.

    Attributes:
        window: as in `Protocol.for_volume`.
        data_range: likewise.
        mask: image of the pixels that count, or a folder of several, see `judge`; None for all.
        body: only the body counts, found in the reference.
        uncertainty: SD map of the last scan; None for none.
        reference_sd: noise SD of the reference, for the uncertainty.
        modality: ``"auto"``, ``"ct"`` or ``"mr"``.
        scan: the noisy scan that the others were made from; None if unknown.
        mask_name: what the mask is called in protocols, which reports have too; None for its file name.
    """

    window: str | None = None
    data_range: float | None = None
    mask: Path | None = None
    body: bool = False
    uncertainty: Path | None = None
    reference_sd: float = 0.0
    modality: str = "auto"
    scan: Path | None = None
    mask_name: str | None = None

    def taken(self, volume: Volume) -> Volume:
        """The volume as the modality that was asked for."""
        if self.modality == "auto":
            return volume
        return volume.taken_as("CT" if self.modality == "ct" else "MR")

    def region(self, volume: Volume, mask: SeriesItem | None = None) -> Region | None:
        """The pixels that count; None for all.

        Args:
            volume: that is measured.
            mask: its mask, where ``self.mask`` is a folder of several.
        """
        found = body(volume) if self.body else None
        if self.mask is None:
            return found
        image = read(mask) if mask is not None else read_one(self.mask, "The mask", label_maps=True)
        _same_grid(volume, image, self.mask if mask is None else mask.path, "mask")
        marked = region_of(image, self.mask_name or self.mask.name)
        return marked if found is None else found & marked

    def stated(self, volume: Volume) -> FloatArray | None:
        """The SD map; None without one."""
        if self.uncertainty is None:
            return None
        sd = read_one(self.uncertainty, "The uncertainty")
        _same_grid(volume, sd, self.uncertainty, "uncertainty")
        return sd.array


@dataclass(frozen=True, eq=False)
class Judged:
    """One reference and what was compared with it.

    Attributes:
        pair: the series.
        patient: pseudonym.
        truth: the reference.
        arms: the scans with their figures, those that the pair has.
        removed: how much of the scan's noise each of them has lost; empty where the scan is not known.
    """

    pair: Pair
    patient: str
    truth: Volume
    arms: tuple[ArmFigures, ...]
    removed: tuple[RemovedNoise, ...] = ()

    def without_pixels(self) -> Scored:
        """The figures alone."""
        names = {arm.name: arm.comparison for arm in self.arms}
        return Scored(self.pair.reference.label, self.pair.reference.name, self.patient, names)


@dataclass(frozen=True, eq=False)
class Scored:
    """The figures of one reference.

    Attributes:
        label: of the reference, for people.
        name: of the reference, unique.
        patient: pseudonym.
        comparisons: by name of the test; a test that has no such scan is not there.
    """

    label: str
    name: str
    patient: str
    comparisons: dict[str, Comparison]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        tests = [{"name": name, **found.as_dict()} for name, found in self.comparisons.items()]
        return {"label": self.label, "patient": self.patient, "tests": tests}


def arms_of(scored: Sequence[Scored], names: Sequence[str]) -> list[Arm]:
    """The figures by test instead of by reference, for `cohort`."""
    return [
        Arm(
            name, tuple(Case(s.patient, s.name, s.comparisons[name]) for s in scored if name in s.comparisons)
        )
        for name in names
    ]


def judge(pair: Pair, names: Sequence[str], measures: Measures, mask: SeriesItem | None = None) -> Judged:
    """A reference, and every scan compared with it.

    Args:
        pair: what to read.
        names: of the scans, one for each of ``pair.tests``.
        measures: what to measure, and where.
        mask: that of the reference, where there are several references; None for that of `measures`.

    Raises:
        GeometryError: a scan, the mask or the uncertainty lies elsewhere.
        PixelError: nothing is left to compare.
    """
    truth = measures.taken(read(pair.reference))
    protocol = Protocol.for_volume(truth, measures.window, measures.data_range)
    tested = any(item is not None for item in pair.tests)
    region = measures.region(truth, mask) if tested else None
    arms: list[ArmFigures] = []
    for name, item in zip(names, pair.tests, strict=True):
        if item is not None:
            volume = measures.taken(read(item))
            _same_grid(truth, volume, item.path)
            arms.append(ArmFigures(name, volume, compare(truth, volume, protocol, region)))
    sd = measures.stated(truth)
    if sd is not None:
        last = arms[-1]
        covered = reliability(
            truth.array, last.volume.array, sd, counted(truth, last.volume, protocol, region),
            measures.reference_sd, truth.unit,
            f"{'all pixels' if region is None else region.text}, padding excluded",
        )  # fmt: skip
        arms[-1] = replace(last, reliability=covered)
    removed: tuple[RemovedNoise, ...] = ()
    if measures.scan is not None:
        scan = measures.taken(read_one(measures.scan, "The scan"))
        _same_grid(truth, scan, measures.scan, "scan")
        removed = tuple(removed_noise(truth, scan, arm.volume, region) for arm in arms)
        arms = [replace(arm, removed=r) for arm, r in zip(arms, removed, strict=True)]
    return Judged(pair, patient_of(pair.reference), truth, tuple(arms), removed)


def judge_alone(scan: Path, tests: Sequence[Path], measures: Measures) -> Iterator[NoReference]:
    """Every result held against the scan that it was made from, without a truth.

    Args:
        scan: the noisy scan.
        tests: the results.
        measures: where to measure; the uncertainty is that of the last result.

    Raises:
        GeometryError: a result, the mask or the uncertainty lies elsewhere.
        PixelError: there is no body.
    """
    before = measures.taken(read_one(scan, "The scan"))
    region = measures.region(before)
    for k, path in enumerate(tests):
        after = measures.taken(read_one(path, "The test scan", result=True))
        _same_grid(before, after, path)
        sd = measures.stated(before) if k == len(tests) - 1 else None
        yield before_after(before, after, sd, region)


def _same_grid(volume: Volume, other: Volume, where: Path, what: str = "test") -> None:
    try:
        check_same_grid(volume, other, what)
    except GeometryError as error:
        raise GeometryError(error.what, where=where, received=error.received, hint=error.hint) from None
