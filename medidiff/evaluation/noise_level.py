"""Noise level of a scan before and after, by the project's own blind estimator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from medidiff.errors import NoiseLevelError
from medidiff.volume import Volume, spread


@dataclass(frozen=True)
class NoiseLevel:
    """Blind noise SD of one volume.

    Attributes:
        sigma: noise SD in `unit`; None if it cannot be estimated.
        per_slice: the same for each slice; empty if it cannot be estimated.
        looked_at: slices that were measured; the others are interpolated.
        unit: the scan's unit.
        text: how it was found, or why not.
    """

    sigma: float | None
    per_slice: tuple[float, ...]
    looked_at: tuple[int, ...]
    unit: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def noise_level(volume: Volume) -> NoiseLevel:
    """Noise SD of a volume, slice by slice. Below the noise, fine structure bounds what can be read."""
    from medidiff.noise.estimate import MAX_SLICES, estimate

    try:
        found = estimate(volume)
    except NoiseLevelError as error:
        return NoiseLevel(None, (), (), volume.unit, error.what)
    return NoiseLevel(
        found.sigma,
        tuple(float(v) for v in found.per_slice),
        tuple(int(k) for k in spread(len(volume.array), MAX_SLICES)),
        found.unit,
        f"blind estimate: {found.method}",
    )
