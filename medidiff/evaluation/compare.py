"""Compares a result with its reference, after making sure that they show the same place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import GeometryError, PixelError
from medidiff.evaluation.bias import BinBias, hu_bias
from medidiff.evaluation.haarpsi import haarpsi
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.protocol import Protocol
from medidiff.evaluation.region import Region
from medidiff.evaluation.score import Score
from medidiff.evaluation.vif import vif
from medidiff.volume import BoolArray, Volume

POSITION_TOLERANCE = 0.02
"""Corners of the two grids may differ by this share of the smallest voxel side (headers are rounded)."""


@dataclass(frozen=True)
class Comparison:
    """The figures of one result.

    Attributes:
        psnr: on the windowed image.
        ssim: on the windowed image.
        rmse: in the volume's unit.
        vif: visual information fidelity in the pixel domain.
        haarpsi: on the windowed image.
        bias: by HU bin; None for volumes that are not in HU.
        protocol: common to all, data range resolved.
        excluded: share of pixels left out (padding, not a number, or outside the region).
    """

    psnr: Score
    ssim: Score
    rmse: Score
    vif: Score
    haarpsi: Score
    bias: tuple[BinBias, ...] | None
    protocol: Protocol
    excluded: float

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores, in the order of tables."""
        return self.psnr, self.ssim, self.rmse, self.vif, self.haarpsi

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "protocol": self.protocol.as_dict(),
            "protocol_text": str(self.protocol),
            "excluded": self.excluded,
            **{score.metric.lower(): score.as_dict() for score in self.scores},
            "hu_bias": None if self.bias is None else [b.as_dict() for b in self.bias],
        }


def compare(
    reference: Volume, test: Volume, protocol: Protocol | None = None, region: Region | None = None
) -> Comparison:
    """Figures of `test` against `reference`.

    Args:
        reference: clean or full-dose volume.
        test: noisy or denoised volume on the same grid.
        protocol: `Protocol.for_volume` of the reference if None.
        region: pixels that count, on the reference's grid; None for all.

    Raises:
        GeometryError: the volumes do not lie on the same grid.
        PixelError: no pixel is left to compare, or a test pixel is not a number where the reference is one.
    """
    check_same_grid(reference, test)
    protocol = protocol or Protocol.for_volume(reference)
    valid = counted(reference, test, protocol, region)
    if region is not None:
        protocol = replace(protocol, region=region.text)
    resolved = protocol.resolved(reference.array, valid)
    arrays = reference.array, test.array
    everything = bool(valid.all())
    mask = None if everything else valid
    hu = reference.unit == "HU"
    return Comparison(
        psnr(*arrays, resolved, mask),
        ssim(*arrays, resolved, mask),
        rmse(*arrays, resolved, mask, reference.unit),
        vif(*arrays, resolved, mask),
        haarpsi(*arrays, resolved, mask),
        hu_bias(*arrays, mask, resolved.bias_smoothing_px) if hu else None,
        resolved,
        0.0 if everything else float(1.0 - valid.mean()),
    )


def check_same_grid(reference: Volume, test: Volume, what: str = "test") -> None:
    """Checks that both volumes have the same shape and the same voxel positions.

    Args:
        reference: one volume.
        test: the other.
        what: what the other is, for messages.

    Raises:
        GeometryError: they do not, and where they part.
    """
    if reference.array.shape != test.array.shape:
        raise GeometryError(
            f"Reference and {what} have different shapes (slices, rows, columns)",
            received=f"{reference.array.shape} and {test.array.shape}",
        )
    apart = _apart(reference.array.shape, reference.affine, test.affine)
    if not apart <= POSITION_TOLERANCE * min(reference.spacing):
        raise GeometryError(
            f"Reference and {what} do not lie at the same place",
            received=f"corners up to {apart:.3g} mm apart",
            hint="Resample one onto the other's grid, or check that both come from the same series.",
        )


def on_same_grid(
    shape: tuple[int, ...],
    reference: NDArray[np.float64],
    test: NDArray[np.float64],
    spacing: tuple[float, float, float],
) -> bool:
    """Whether grids of one shape ``(z, y, x)`` lie at the same place, as `check_same_grid` takes it.

    Args:
        shape: of both.
        reference: affine of one.
        test: affine of the other.
        spacing: of the reference.
    """
    return _apart(shape, reference, test) <= POSITION_TOLERANCE * min(spacing)


def _apart(shape: tuple[int, ...], reference: NDArray[np.float64], test: NDArray[np.float64]) -> float:
    """The largest distance of a corner from the other grid's, in mm."""
    z, y, x = shape
    corners = np.array([(*c, 1) for c in product((0, x - 1), (0, y - 1), (0, z - 1))], float).T
    return float(np.linalg.norm(((reference - test) @ corners)[:3], axis=0).max())


def counted(reference: Volume, test: Volume, protocol: Protocol, region: Region | None = None) -> BoolArray:
    """Pixels that count: finite in the reference, in the region, outside the padding if that is excluded.

    Raises:
        GeometryError: the region has another shape.
        PixelError: no pixel is left, or a test pixel is not a number where the reference is one.
    """
    valid = np.isfinite(reference.array)
    if region is not None:
        if region.inside.shape != valid.shape:
            raise GeometryError(
                "The mask and the reference have different shapes (slices, rows, columns)",
                received=f"{region.inside.shape} and {valid.shape}",
            )
        valid &= region.inside
    if protocol.exclude_padding:
        for volume in (reference, test):
            if volume.padding is not None:
                valid &= ~volume.padding
    if not valid.any():
        raise PixelError("No pixel is left to compare: everything is padding, or outside the mask")
    if not np.isfinite(test.array[valid]).all():
        raise PixelError("The test volume has pixels that are not numbers where the reference has some")
    return valid
