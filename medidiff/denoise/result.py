"""Result: what a run of the denoiser returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from medidiff.volume import FloatArray, Volume


@dataclass(frozen=True, eq=False)
class Result:
    """What a run returns.

    Attributes:
        volume: denoised, real-world values, same geometry and source as the input.
        uncertainty: SD of the fully denoised answer per voxel in real-world units ``[z, y, x]``, or None.
        sigma: noise SD that was used, real-world units; 0 where nothing had to be known.
        sigma_text: the same for people, with its origin.
        evaluations: network evaluations per slice, at most (slices with hardly any noise take one).
        context: how many slices away the neighbours are that the network looked at; 0 for none.
        planes: planes of the volume that the network looked at: 1, or 3.
        notes: what a user should know about this result.
    """

    volume: Volume
    uncertainty: FloatArray | None = None
    sigma: float = 0.0
    sigma_text: str = "not used"
    evaluations: int = 0
    context: int = 0
    planes: int = 1
    notes: tuple[str, ...] = field(default_factory=tuple)
