"""Settings: what a user may ask of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from medidiff.errors import UsageError
from medidiff.volume import FloatArray

MODES = ("mean", "natural", "sample")

TIERS = {"fast": 1, "standard": 1, "best": 8}
"""Views of a slice (turned, mirrored) over which the network's answer is averaged."""

DEFAULT_TIER = "standard"

Roi = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Bounds along ``(z, y, x)``, half open."""

DEFAULT_STEPS = {"mean": 1, "natural": 2, "sample": 8}
"""Network evaluations a slice."""


@dataclass(frozen=True, eq=False)
class Settings:
    """One way of denoising.

    Attributes:
        mode: ``"mean"`` posterior mean (measuring), ``"natural"`` natural texture (viewing),
            ``"sample"`` draws from the posterior.
        steps: network evaluations a slice and draw; None for the mode's default.
        samples: draws of ``"sample"``; more than one returns their mean. None: 1, or 8 with `uncertainty`.
        strength: 0 returns the scan, 1 denoises fully; between, D + (1 - strength)(y - D).
        sigma: noise SD in the volume's unit, a number or a map ``[z, y, x]``; None estimates it.
        seed: of all random numbers.
        uncertainty: also return the per-voxel SD.
        tier: ``"fast"`` looks at a slice once. ``"standard"`` looks at MR volumes of cubic voxels in all
            three planes and takes the mean: clearly better, three times slower; at all others once.
            ``"best"`` also takes the mean of eight views of each slice: a little better, eight times slower.
        coils: MR: number of channels whose root sum of squares the scan is; its noise floor beyond the
            Rician one is taken out of the answer. 1 for Rician images and for CT.
        roi: bounds along ``(z, y, x)``, half open: the scan is copied outside of them. What lies inside is
            the very result of the whole volume, whose noise level and neighbour slices count. None for all.
        tile: largest height and width processed at once, in pixels; tiles overlap by the network's reach,
            so that the result does not depend on it.
        guidance: gain of data consistency, 0 to 1, for models whose network never sees the scan; None for
            1 with those, and none with all others.
    """

    mode: str = "mean"
    steps: int | None = None
    samples: int | None = None
    strength: float = 1.0
    sigma: float | FloatArray | None = None
    seed: int = 0
    uncertainty: bool = False
    tier: str = DEFAULT_TIER
    coils: int = 1
    tile: int = 1024
    roi: Roi | None = None
    guidance: float | None = None

    def __post_init__(self) -> None:
        self._check_types()
        if self.mode not in MODES:
            raise UsageError(f"The mode is one of {', '.join(MODES)}", received=self.mode)
        if self.tier not in TIERS:
            raise UsageError(f"The tier is one of {', '.join(TIERS)}", received=self.tier)
        if self.steps is not None and self.steps < 1:
            raise UsageError("The number of steps must be at least 1", received=self.steps)
        if self.mode == "mean" and self.steps not in (None, 1):
            raise UsageError(
                "Mode mean takes one step", received=self.steps, hint="Use --mode natural or sample."
            )
        if self.samples is not None and self.samples < 1:
            raise UsageError("The number of samples must be at least 1", received=self.samples)
        if self.mode != "sample" and self.samples not in (None, 1):
            raise UsageError("Several samples need mode sample", received=self.samples)
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError("The strength must lie between 0 and 1", received=self.strength)
        if self.guidance is not None and not 0.0 <= self.guidance <= 1.0:
            raise UsageError("The guidance must lie between 0 and 1", received=self.guidance)
        if self.seed < 0:
            raise UsageError("The seed must be 0 or more", received=self.seed)
        if self.coils < 1:
            raise UsageError("The number of coils must be at least 1", received=self.coils)
        if self.tile < 64:
            raise UsageError("A tile must have at least 64 pixels", received=self.tile)
        if isinstance(self.sigma, np.ndarray):
            if not np.isfinite(self.sigma).all() or (self.sigma < 0).any() or not (self.sigma > 0).any():
                raise UsageError("The noise map must be finite, not negative, and positive somewhere")
        elif self.sigma is not None and not (np.isfinite(self.sigma) and self.sigma > 0):
            raise UsageError(
                "The noise level must be a positive number",
                received=self.sigma,
                hint="Use auto to estimate it.",
            )

    def _check_types(self) -> None:
        """Refuses what no comparison below could be made with."""
        for name in ("steps", "samples", "seed", "coils", "tile"):
            value = getattr(self, name)
            if not (_is(value, Integral) or (value is None and name in ("steps", "samples"))):
                raise UsageError(f"{name} must be a whole number", received=repr(value))
        for name in ("strength", "guidance"):
            value = getattr(self, name)
            if not (_is(value, Real) or (value is None and name == "guidance")):
                raise UsageError(f"{name} must be a number from 0 to 1", received=repr(value))
        for name in ("mode", "tier"):
            if not isinstance(getattr(self, name), str):
                raise UsageError(f"{name} must be a word", received=repr(getattr(self, name)))
        sigma = self.sigma
        known = sigma.dtype.kind in "iuf" if isinstance(sigma, np.ndarray) else _is(sigma, Real)
        if sigma is not None and not known:
            raise UsageError(
                "sigma must be a positive number, or an array with the noise SD of every voxel",
                received=repr(sigma),
                hint="None estimates it.",
            )

    @property
    def evaluations(self) -> int:
        """Network evaluations per slice and draw."""
        return self.steps or DEFAULT_STEPS[self.mode]

    @property
    def views(self) -> int:
        """Views of a slice per network evaluation."""
        return TIERS[self.tier]

    @property
    def all_planes(self) -> bool:
        """Whether volumes of cubic voxels are looked at in all three planes."""
        return self.tier != "fast"

    @property
    def draws(self) -> int:
        """Posterior samples per slice."""
        if self.mode != "sample":
            return 1
        return self.samples or (8 if self.uncertainty else 1)


def _is(value: object, kind: type) -> bool:
    """Whether a value is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))
