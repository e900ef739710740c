"""MR cases: slices of the `val` volumes with Rician noise of a share of their foreground p99.

The volumes are noisy themselves (T1 1-2 %, FLAIR about 4 %): every method is told the inserted level,
``mean, sigma auto`` finds the total, and ``mean_ref`` blends the answer for the total with the scan. Slices
binned two by two are scans of low resolution (1.1 to 2 mm) with about half of that noise; where it is at most
`LARGEST_SHARE` of the variance in all they count as nearly noise-free truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medidiff.evaluation.protocol import Protocol
from medidiff.intensity import Intensity
from medidiff.noise import mr
from medidiff.training.binning import binned
from medidiff.training.manifest import Scan
from medidiff.training.mr_source import BINNED
from medidiff.training.mr_stacks import foreground, own_level
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.volume import FloatArray, Volume
from quality.case import CLEAN, NOISY, SEED, Case, Slot

LEVELS = (0.03, 0.06, 0.09, 0.15)
REACH = 4
"""Slices on each side in the slab of volumetric methods."""

LARGEST_SHARE = 0.15
SMALLEST = 64
"""Rows and columns that a binned slice must have."""

WHITE = mr.MRNoise(0.0)
"""All samples, weighted alike."""


def mr_slots(count: int, levels: Sequence[float] = LEVELS, acquisition: mr.MRNoise = WHITE) -> Iterator[Slot]:
    """Places in the MR validation volumes.

    Args:
        count: slices of each volume.
        levels: noise SD as shares of the foreground p99.
        acquisition: how the samples are taken; its `sigma` is set from the level.
    """
    for scan in list_scans(data_root("../shared/data"), "mr", "val"):
        for volume in read_scan(scan):
            scale = Intensity.for_volume("mr", volume).scale
            array = np.maximum(volume.array, 0.0)
            last = len(array) - 1
            own = own_level(array)
            for k in np.linspace(0.25 * last, 0.75 * last, count).astype(int):
                name = f"{scan.label}:{k}"
                place = Place(name, scan, volume.affine, array, int(k), scale, own, NOISY, acquisition)
                yield Slot(name, NOISY, tuple(f"{level:.0%}" for level in levels), place.case)
            small = binned(array)
            if min(small.shape[1:]) < SMALLEST:
                continue
            affine, left = volume.affine @ np.diag([2.0, 2.0, 1.0, 1.0]), BINNED * own
            clean = tuple(
                f"{level:.0%}"
                for level in levels
                if left**2 <= LARGEST_SHARE * (left**2 + (level * scale) ** 2)
            )
            for k in np.linspace(0.25 * last, 0.75 * last, count).astype(int):
                name = f"{scan.label}:{k} binned"
                place = Place(name, scan, affine, small, int(k), scale, left, CLEAN, acquisition)
                yield Slot(name, CLEAN, clean, place.case)


@dataclass(frozen=True, eq=False)
class Place:
    """One slice that is made noisy; its reference has the resolution of the noisy scan.

    Attributes:
        name: of the slot.
        scan: which it is.
        affine: of the noisy volume.
        array: ``[z, y, x]`` that the slice is taken from, binned or not.
        k: its index there.
        scale: foreground p99, of which the levels are shares.
        own: noise SD of `array`.
        kind: `NOISY`, or `CLEAN` where `array` is binned.
        acquisition: how the samples are taken; its `sigma` is set from the level.
    """

    name: str
    scan: Scan
    affine: NDArray[np.float64]
    array: FloatArray
    k: int
    scale: float
    own: float
    kind: str
    acquisition: mr.MRNoise

    @cached_property
    def top(self) -> float:
        """Range of the PSNR."""
        return float(np.percentile(self.array, 99.5))

    def case(self, level: str) -> Case:
        """The slice at a level, as "6%"."""
        array, k, own = self.array, self.k, self.own
        share = float(level.rstrip("%")) / 100.0
        sigma = share * self.scale
        seed = [SEED, k, int(round(1000 * share))]
        params = replace(self.acquisition, sigma=sigma)
        noisy, clean, _ = mr.simulate_pair(array[k - 1 : k + 2], params, np.random.default_rng(seed))
        slab, centre = _slab(array, noisy, k, params, seed)
        return Case(
            slot=self.name,
            label=self.scan.label.split("/")[-1].split(".")[0],
            patient=self.scan.patient,
            level=level,
            kind=self.kind,
            volume=Volume(noisy, self.affine, "MR", "a.u."),
            slab=slab,
            slab_centre=centre,
            reference=clean[1],
            body=foreground(array[k] / np.float32(self.scale)),
            fraction=own**2 / (own**2 + sigma**2) if self.kind == NOISY else 0.0,
            sigma=sigma,
            total=float(np.hypot(own, sigma)),
            own=own,
            protocol=Protocol(None, data_range=self.top),
            floor=own / BINNED if self.kind == CLEAN else own,
        )


def _slab(
    array: FloatArray, noisy: FloatArray, k: int, params: mr.MRNoise, seed: list[int]
) -> tuple[FloatArray, int]:
    """The three noisy slices between more of their neighbours with noise of their own."""
    parts, centre = [noisy], 1
    before, after = array[max(0, k - REACH) : k - 1], array[k + 2 : k + REACH + 1]
    for side, clean in enumerate((before, after)):
        if not len(clean):
            continue
        rng = np.random.default_rng([*seed, side])
        more = mr.simulate(clean, params, rng)[0]
        parts = [more, *parts] if side == 0 else [*parts, more]
        centre += len(clean) if side == 0 else 0
    return np.concatenate(parts), centre
