"""Case: one noisy slice with its neighbours and its reference; Slot: a place that is made noisy on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from peers import Given
from scipy import ndimage

from medidiff.evaluation.protocol import Protocol
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.noise.spectrum import Spectrum
from medidiff.volume import BoolArray, FloatArray, Volume

NOISY, CLEAN = "noisy reference", "nearly noise-free truth"
"""Kinds of reference; their figures must not be mixed."""

SEED = 4242


@dataclass(frozen=True, eq=False)
class Case:
    """One noisy slice.

    Attributes:
        slot: name of the place, unique in a run.
        label: scan, for people.
        patient: unit of the bootstrap.
        level: dose (``"25%"``) or noise level.
        kind: `NOISY` or `CLEAN`.
        volume: the slice between its neighbours, as medidiff gets it; a single slice where it has none.
        slab: more neighbours for volumetric methods, ``[z, y, x]``.
        slab_centre: index of the slice in `slab`.
        reference: ``[y, x]``.
        body: pixels of the patient.
        fraction: a of `mean_ref`, share of the reference's noise variance in the scan's; 0 for none.
        sigma: noise SD that all methods are told.
        total: noise SD of the scan with what its reference has.
        own: noise SD of the reference.
        protocol: of the figures.
        spectrum: true radial power spectrum of the noise; None for white.
        relative: local SD of the noise over `own` and `total` ``[y, x]``; None for 1.
        floor: MR: noise SD whose Rician floor the reference has, which binning leaves; None for `own`.
    """

    slot: str
    label: str
    patient: str
    level: str
    kind: str
    volume: Volume
    slab: FloatArray
    slab_centre: int
    reference: FloatArray
    body: BoolArray
    fraction: float
    sigma: float
    total: float
    own: float
    protocol: Protocol
    spectrum: Spectrum | None = None
    relative: FloatArray | None = None
    floor: float | None = None

    @property
    def id(self) -> str:
        """Name of the case, unique in a run."""
        return f"{self.slot} {self.level}"

    @property
    def centre(self) -> int:
        """Index of the slice in `volume`."""
        return 0 if len(self.volume.array) == 1 else 1

    @property
    def noisy(self) -> FloatArray:
        """The noisy slice ``[y, x]``."""
        return np.asarray(self.volume.array[self.centre], np.float32)

    @property
    def tissue(self) -> BoolArray:
        """Pixels that count in the patient; MR: where the reference has no floor of its own noise."""
        if self.volume.modality != "MR":
            return self.body
        floor = self.own if self.floor is None else self.floor
        return np.asarray(ndimage.gaussian_filter(self.reference, 2.0) > GAUSSIAN_SNR * floor, np.bool_)

    def given(self) -> Given:
        """What another method gets."""
        return Given(
            self.slab,
            self.slab_centre,
            self.sigma,
            self.volume.pixel_mm,
            self.volume.modality.lower(),
            self.spectrum,
        )


@dataclass(frozen=True, eq=False)
class Slot:
    """A place of a scan; the noise is made when the first of its levels is asked for.

    Attributes:
        name: unique in a run.
        kind: kind of reference.
        levels: names of its noise levels.
        make: the case of a level.
    """

    name: str
    kind: str
    levels: tuple[str, ...]
    make: Callable[[str], Case]
