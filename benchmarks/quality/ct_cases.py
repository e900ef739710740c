"""CT cases: slices of the `val` patients with noise inserted in the projection domain.

The slices are noisy themselves: against such a reference no estimate of the clean image can gain more than
10 log10((1-a)/a) dB (a: dose fraction), so that ``mean_ref`` = (1-a) D + a y is the figure to compare. Means
of three slices binned two by two are a truth whose own noise is small (0.4 of the scan's); there ``mean`` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from medidiff.errors import PixelError
from medidiff.evaluation.nps import nps
from medidiff.evaluation.protocol import RMSE_CLIP_HU, WINDOWS, Protocol
from medidiff.noise import ct
from medidiff.noise.estimate_ct import global_noise_level
from medidiff.noise.spectrum import Kernel, Spectrum
from medidiff.training.binning import binned, slab_means
from medidiff.training.ct_reference import BINNED
from medidiff.training.ct_task import relative_sd
from medidiff.training.manifest import Scan
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.volume import BODY_HU, HU_RANGE, BoolArray, FloatArray, Volume
from quality.case import CLEAN, NOISY, SEED, Case, Slot

DOSES = (0.5, 0.25, 0.1)
CHEST = ("4d_lung", "tcga_lu")
VIEWS = 360


def ct_slots(count: int, kernel: Kernel, doses: Sequence[float] = DOSES) -> Iterator[Slot]:
    """Places in the CT validation scans.

    Args:
        count: slices of each series.
        kernel: reconstruction kernel of the inserted noise.
        doses: dose fractions.
    """
    for scan in list_scans(data_root("../shared/data"), "ct", "val"):
        for part, volume in enumerate(read_scan(scan)):
            hu = np.clip(volume.array, *HU_RANGE)
            yield from _series(scan, part, volume, hu, count, kernel, doses, binned=False)
            if len(hu) >= 9:
                small = binned(slab_means(hu))
                yield from _series(scan, part, volume, small, count, kernel, doses, binned=True)


def _series(
    scan: Scan,
    part: int,
    volume: Volume,
    hu: FloatArray,
    count: int,
    kernel: Kernel,
    doses: Sequence[float],
    binned: bool,
) -> Iterator[Slot]:
    """Evenly spaced slices of one series; the level of a binned truth is that of the scan it is made of."""
    last = len(hu) - 1
    levels = [global_noise_level(s)[0] for s in volume.array[:: max(1, len(volume.array) // 12)]]
    own = float(np.nanmedian(levels))
    window = WINDOWS["chest" if scan.source.startswith(CHEST) else "abdomen"]
    for k in np.unique(np.linspace(min(1, last), max(last - 1, 0), count).astype(int)):
        name = f"{scan.label}:{part}:{k}{' binned' if binned else ''}"
        protocol = Protocol(window, None, RMSE_CLIP_HU)
        place = Place(name, scan, volume, hu, int(k), own, kernel, protocol, binned)
        yield Slot(name, CLEAN if binned else NOISY, tuple(f"{d:.0%}" for d in doses), place.case)


class _Noises(NamedTuple):
    """Unscaled noise of a slice and its neighbours, with what the slice's own tells of it."""

    planes: list[FloatArray]
    body: BoolArray
    spectrum: Spectrum | None
    local: FloatArray


@dataclass(frozen=True, eq=False)
class Place:
    """One slice that is made noisy; its noise is simulated once for all doses.

    Attributes:
        name: of the slot.
        scan: which it is.
        volume: that it lies in, for the geometry.
        hu: ``[z, y, x]`` that it is taken from, binned or not.
        k: its index there.
        own: noise SD of the scan.
        kernel: of the noise to insert.
        protocol: of the figures.
        binned: whether `hu` is.
    """

    name: str
    scan: Scan
    volume: Volume
    hu: FloatArray
    k: int
    own: float
    kernel: Kernel
    protocol: Protocol
    binned: bool

    @property
    def where(self) -> list[int]:
        """The slice with its neighbours."""
        return [self.k] if len(self.hu) < 3 else [self.k - 1, self.k, self.k + 1]

    @cached_property
    def noises(self) -> _Noises:
        """Noise at any dose; it is scaled for each."""
        hu, k, pixel_mm = self.hu, self.k, self.volume.pixel_mm
        found, local = [], np.ones_like(hu[k])
        for i in self.where:
            rng = np.random.default_rng([SEED, int(i), len(hu)])
            # Binned slices play small patients at the original pixel size, as in training.
            bases = ct.bases(hu[i], pixel_mm, rng, views=VIEWS, scale=2.0 if self.binned else 1.0)
            found.append(ct.combine(bases, 0.25, ct.Scanner(kernel=self.kernel)))
            if i == k:
                local = relative_sd(bases.quantum, hu[k], pixel_mm)
        body = np.asarray(ndimage.gaussian_filter(hu[k], 2.0) > BODY_HU, np.bool_)
        return _Noises(found, body, spectrum_of(found[self.where.index(k)], body, pixel_mm), local)

    def case(self, level: str) -> Case:
        """The slice at a dose, as "25%"."""
        hu, where, own, binned = self.hu, self.where, self.own, self.binned
        dose = float(level.rstrip("%")) / 100.0
        total = own / float(np.sqrt(dose))
        inserted = total if binned else own * float(np.sqrt((1.0 - dose) / dose))
        noises = self.noises
        planes = [hu[i] + ct.scale_to(n, hu[i], inserted) for i, n in zip(where, noises.planes, strict=True)]
        noisy = np.clip(np.stack(planes), *HU_RANGE).astype(np.float32)
        return Case(
            slot=self.name,
            label=self.scan.source,
            patient=self.scan.patient,
            level=level,
            kind=CLEAN if binned else NOISY,
            volume=Volume(noisy, self.volume.affine, "CT", "HU"),
            slab=noisy,
            slab_centre=where.index(self.k),
            reference=hu[self.k],
            body=noises.body,
            fraction=0.0 if binned else dose,
            sigma=total,
            total=float(np.hypot(total, BINNED * own)) if binned else total,
            own=BINNED * own if binned else own,
            protocol=self.protocol,
            spectrum=noises.spectrum,
            relative=noises.local,
        )


def spectrum_of(noise: FloatArray, body: BoolArray, pixel_mm: float) -> Spectrum | None:
    """Radial power spectrum of the inserted noise in the body, or everywhere if that is too small."""
    for mask in (body, None):
        try:
            return nps(noise[None], mask, pixel_mm).spectrum
        except PixelError:
            continue
    return None
