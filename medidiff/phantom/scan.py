"""Scan: the phantom's truth with the noise of a CT scanner at several doses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import CancelledError, UsageError
from medidiff.noise import ct
from medidiff.phantom.design import PIXEL_MM, SIZE_PX, SLICE_MM, Design
from medidiff.volume import HU_RANGE, FloatArray, Volume

VIEWS = 256
PILOTS = 8
"""Noise images from which the photons for a noise level are found."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exposure:
    """How the phantom is scanned.

    Attributes:
        sigma: noise SD in the body at full dose, HU.
        doses: fractions of the full dose.
        electronic: electronic noise variance, photons squared.
    """

    sigma: float = 12.0
    doses: tuple[float, ...] = (1.0, 0.25, 0.1)
    electronic: float = 10.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise UsageError("The noise SD must be positive", received=self.sigma)
        if not self.doses or not all(0.0 < d <= 1.0 for d in self.doses):
            raise UsageError("Doses are fractions between 0 and 1", received=self.doses)
        if len(set(self.doses)) < len(self.doses):
            raise UsageError("A dose is given twice", received=self.doses)


@dataclass(frozen=True, eq=False)
class Scans:
    """Truth and noisy scans, whole HU, realisation after realisation along z.

    Attributes:
        truth: ``[realisations * depth, y, x]`` HU.
        noisy: the same for each dose, in the order of the exposure.
        photons: photons a ray at each dose.
    """

    truth: NDArray[np.int16]
    noisy: tuple[NDArray[np.int16], ...]
    photons: tuple[float, ...]


def scan(
    design: Design,
    exposure: Exposure,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Scans:
    """Scans every realisation at every dose; the noise of slices and doses is independent (`ct.acquire`).

    Args:
        design: the phantom.
        exposure: noise level and doses.
        progress: called with realisations done and in all.
        cancelled: asked before each realisation.

    Raises:
        CancelledError: `cancelled` said so.
    """
    scanner = ct.Scanner(electronic=exposure.electronic, kernel=design.kernel, views=VIEWS)
    full = full_dose_photons(design, exposure, scanner)
    photons = tuple(full * d for d in exposure.doses)
    shape = (design.realisations * design.depth, SIZE_PX, SIZE_PX)
    truth = np.empty(shape, np.int16)
    noisy = tuple(np.empty(shape, np.int16) for _ in photons)
    for k in range(design.realisations):
        if cancelled is not None and cancelled():
            raise CancelledError("Cancelled; nothing was written")
        clean = design.truth(k)
        noise = ct.acquire(
            clean[design.depth // 2], PIXEL_MM, photons, scanner,
            np.random.default_rng([design.seed, 1, k]), design.depth,
        )  # fmt: skip
        place = slice(k * design.depth, (k + 1) * design.depth)
        truth[place] = np.rint(clean)
        for i, out in enumerate(noisy):
            out[place] = np.clip(np.rint(clean + noise[i]), *HU_RANGE)
        if progress:
            progress(k + 1, design.realisations)
    return Scans(truth, noisy, photons)


def full_dose_photons(design: Design, exposure: Exposure, scanner: ct.Scanner) -> float:
    """Photons a ray that give the exposure's noise SD in the body at full dose.

    The variance is V_q / I0 + Ne V_e / I0^2, V_q and V_e those of the bases (`ct.bases`); solved for I0.
    """
    rng = np.random.default_rng([design.seed, 2])
    hu = replace(design, background="uniform").truth(0)[0]
    found = ct.bases(hu, PIXEL_MM, rng, realisations=PILOTS, views=scanner.views)
    inside = design.body
    quantum, electronic = (
        float(np.mean([ct.filter_padded(b, PIXEL_MM, design.kernel)[inside].var() for b in part]))
        for part in (found.quantum, found.electronic[None])
    )
    variance = exposure.sigma**2
    root = np.sqrt(quantum**2 + 4.0 * variance * exposure.electronic * electronic)
    return float((quantum + root) / (2.0 * variance))


def as_volume(array: NDArray[np.int16] | FloatArray, design: Design) -> Volume:
    """A stack of the phantom as a CT volume; slices of different realisations are no neighbours."""
    adjacent = np.ones(len(array) - 1, bool)
    adjacent[design.depth - 1 :: design.depth] = False
    affine = np.diag([PIXEL_MM, PIXEL_MM, SLICE_MM, 1.0])
    return Volume(array.astype(np.float32), affine, "CT", "HU", adjacent=adjacent)
