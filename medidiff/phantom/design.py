"""Design: what the phantom is, where its inserts lie, and its noise-free image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import UsageError
from medidiff.noise.ct import filter_padded
from medidiff.noise.spectrum import Kernel
from medidiff.phantom.background import CONTINUITY, clustered_lumps
from medidiff.volume import BoolArray, FloatArray

Background = Literal["uniform", "anatomical"]
Point = tuple[float, float]

SIZE_PX, PIXEL_MM, SLICE_MM = 224, 0.7, 3.0
BODY_RADIUS_MM, BODY_HU, AIR_HU = 72.0, 40.0, -1000.0
RING_MM, CORE_MM = 48.0, 20.0
"""Distance from the middle of the inserts to detect, and of those with an edge to measure."""

DETECT = ((10.0, 3.0), (5.0, 7.0), (7.0, 5.0), (3.0, 14.0))
"""Diameter in mm and contrast in HU of the inserts to detect: those of the MITA CCT189 phantom."""

EDGES = (20.0, 100.0, 500.0)
"""Contrasts in HU of the inserts whose edge gives the TTF."""

EDGE_DIAMETER_MM = 16.0
FINE = 8
"""Samples per pixel in each direction, for the share of a pixel that a disk covers."""


@dataclass(frozen=True)
class Insert:
    """One disk.

    Attributes:
        use: ``"detect"`` or ``"edge"``.
        diameter_mm: its diameter.
        contrast: HU above the body.
        centre_yx: centre in pixel coordinates.
        absent_yx: for ``"detect"``, the place opposite in the body, where the same noise is found without the
            insert.
    """

    use: Literal["detect", "edge"]
    diameter_mm: float
    contrast: float
    centre_yx: Point
    absent_yx: Point | None = None

    @property
    def label(self) -> str:
        """``5 mm 7 HU``."""
        return f"{self.diameter_mm:g} mm {self.contrast:g} HU"


@dataclass(frozen=True)
class Design:
    """A water-like cylinder with disk inserts along its axis; slices of one realisation differ in noise only.

    Eight places on a ring hold four low-contrast inserts, each opposite to an empty place, where the noise is
    the same by symmetry. A uniform body has three inserts of higher contrast in its core, whose attenuation
    changes the noise of the ring by a few per cent. The image is filtered by the reconstruction kernel as the
    noise is.

    Attributes:
        background: ``"uniform"``, or ``"anatomical"``: clustered lumps that differ in each realisation.
        realisations: scans of the phantom.
        depth: slices a realisation, odd; the middle one is measured, the others are its neighbours.
        lumps: SD in HU of the anatomical background.
        kernel: reconstruction kernel relative to the ramp.
        seed: of the background and of the noise.
    """

    background: Background = "uniform"
    realisations: int = 200
    depth: int = 3
    lumps: float = 6.0
    kernel: Kernel = Kernel()
    seed: int = 1

    def __post_init__(self) -> None:
        if self.background not in ("uniform", "anatomical"):
            raise UsageError("The background is uniform or anatomical", received=self.background)
        if self.realisations < 1:
            raise UsageError("A phantom needs at least one realisation", received=self.realisations)
        if self.depth < 1 or self.depth % 2 == 0:
            raise UsageError("The slices of a realisation must be an odd number", received=self.depth)
        if not self.lumps > 0:
            raise UsageError("The SD of the background must be positive", received=self.lumps)

    @property
    def inserts(self) -> tuple[Insert, ...]:
        """All disks, those to detect first."""
        middle = (SIZE_PX - 1) / 2.0
        found = []
        # Places 0, 3, 2 and 5 of the ring: 4, 7, 6 and 1 lie opposite, and large ones are not neighbours.
        for place, (diameter, contrast) in zip((0, 3, 2, 5), DETECT, strict=True):
            angle = np.pi * (2 * place + 1) / 8.0
            offset = np.rint(RING_MM / PIXEL_MM * np.array([np.sin(angle), np.cos(angle)]) - 0.5) + 0.5
            here, there = middle + offset, middle - offset  # pixel centres, for the observer's patches
            found.append(Insert("detect", diameter, contrast, _point(here), _point(there)))
        if self.background == "uniform":
            for k, contrast in enumerate(EDGES):
                angle = 2.0 * np.pi * k / len(EDGES) + 0.3
                offset = CORE_MM / PIXEL_MM * np.array([np.sin(angle), np.cos(angle)])
                found.append(Insert("edge", EDGE_DIAMETER_MM, contrast, _point(middle + offset)))
        return tuple(found)

    @property
    def body(self) -> BoolArray:
        """Pixels inside the cylinder, 4 mm from its rim, ``[y, x]``."""
        middle = (SIZE_PX - 1) / 2.0
        return np.asarray(_distance((middle, middle)) < (BODY_RADIUS_MM - 4.0) / PIXEL_MM, np.bool_)

    def truth(self, realisation: int) -> FloatArray:
        """The noise-free image of one realisation, float32 ``[depth, y, x]`` HU."""
        middle = (SIZE_PX - 1) / 2.0
        body = _cover((middle, middle), BODY_RADIUS_MM / PIXEL_MM)
        image = AIR_HU + (BODY_HU - AIR_HU) * body
        for insert in self.inserts:
            image += insert.contrast * _cover(insert.centre_yx, 0.5 * insert.diameter_mm / PIXEL_MM)
        if self.background == "uniform":
            one = filter_padded(image.astype(np.float32), PIXEL_MM, self.kernel)
            return np.repeat(one[None], self.depth, axis=0)
        rng = np.random.default_rng([self.seed, 0, realisation])
        shared = clustered_lumps((SIZE_PX, SIZE_PX), rng)
        planes = []
        for k in range(self.depth):
            lumps = shared
            if k != self.depth // 2:
                own = clustered_lumps((SIZE_PX, SIZE_PX), rng)
                lumps = CONTINUITY * shared + np.sqrt(1.0 - CONTINUITY**2) * own
            plane = (image + self.lumps * body * lumps).astype(np.float32)
            planes.append(filter_padded(plane, PIXEL_MM, self.kernel))
        return np.stack(planes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the geometry is told too, for other programs.

        JSON has no infinity: a kernel without a low-pass part has the f50 None.
        """
        f50 = self.kernel.f50 if np.isfinite(self.kernel.f50) else None
        return {
            **asdict(self),
            "kernel": {**asdict(self.kernel), "f50": f50},
            "size_px": SIZE_PX,
            "pixel_mm": PIXEL_MM,
            "slice_mm": SLICE_MM,
            "body_radius_mm": BODY_RADIUS_MM,
            "body_hu": BODY_HU,
            "lumps": self.lumps if self.background == "anatomical" else None,
            "inserts": [asdict(i) for i in self.inserts],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Design:
        """The design that `as_dict` told."""
        lumps, kernel = content["lumps"], dict(content["kernel"])
        if kernel["f50"] is None:
            kernel["f50"] = float("inf")
        return cls(
            content["background"],
            int(content["realisations"]),
            int(content["depth"]),
            cls.lumps if lumps is None else float(lumps),
            Kernel(**kernel),
            int(content["seed"]),
        )


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1])


def _distance(centre_yx: Point) -> NDArray[np.float64]:
    """Distance of each pixel from a point, in pixels."""
    y, x = np.ogrid[:SIZE_PX, :SIZE_PX]
    return np.asarray(np.hypot(y - centre_yx[0], x - centre_yx[1]))


def _cover(centre_yx: Point, radius_px: float) -> NDArray[np.float64]:
    """Share of each pixel that a disk covers, ``[y, x]``, from 8 x 8 samples where the edge runs."""
    distance = _distance(centre_yx)
    share = (distance < radius_px).astype(np.float64)
    y, x = np.nonzero(np.abs(distance - radius_px) < 1.0)
    fine = (np.arange(FINE) + 0.5) / FINE - 0.5
    dy = (y - centre_yx[0])[:, None, None] + fine[:, None]
    dx = (x - centre_yx[1])[:, None, None] + fine[None, :]
    share[y, x] = (np.hypot(dy, dx) < radius_px).mean((1, 2))
    return share
