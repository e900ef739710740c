"""Variants: simulated slices with white instead of matched noise, or with targets taken as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medidiff.diffusion.objective import NoisyTarget
from medidiff.errors import UsageError
from medidiff.training.patches import SimulatedSlice, Source
from medidiff.volume import FloatArray

MEAN_RADIUS = 0.7652
"""Mean radial frequency of white noise over its Nyquist frequency: mean of |f| over a square."""


class Variant:
    """A source whose slices are changed for an ablation.

    Args:
        source: draws slices that carry their reference.
        white: redraw all noise white and stationary, with the same SD.
        corrected: correct the target for its own noise (`NoisyTarget`); else the reference is taken
            for the truth. With white noise the correction is that of equal covariances.
    """

    def __init__(self, source: Source, *, white: bool, corrected: bool) -> None:
        self.source, self.white, self.corrected = source, white, corrected

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        """One slice; the source draws what it would have drawn anyway."""
        drawn = self.source.draw(rng)
        if drawn.reference is None:
            raise UsageError("This source gives no reference image", hint="Use noise matched and correction.")
        if not self.corrected:
            drawn = replace(drawn, target=drawn.reference[1], excess=np.zeros_like(drawn.state))
        return _whitened(drawn, self.corrected, rng.spawn(1)[0]) if self.white else drawn


def _whitened(drawn: SimulatedSlice, corrected: bool, rng: np.random.Generator) -> SimulatedSlice:
    """The slice with white noise of the same SD on all planes."""
    reference = drawn.reference
    assert reference is not None

    def noisy(plane: int, sigma: float) -> FloatArray:
        inserted = np.float32(np.sqrt(max(sigma**2 - drawn.reference_sigma**2, 0.0)))
        image = reference[plane]
        return np.asarray(image + inserted * rng.standard_normal(image.shape, dtype=np.float32), np.float32)

    state = noisy(1, drawn.sigma)
    target, excess = drawn.target, drawn.excess
    if corrected:
        # Sources draw levels down to 1.41 sigma_F, a hair below the root of two that the formula allows.
        pair = NoisyTarget.at(drawn.sigma, min(drawn.reference_sigma, drawn.sigma * 0.5**0.5 * (1 - 1e-9)))
        target = pair.target(reference[1], state).astype(np.float32)
        excess = np.full_like(state, pair.excess_variance)
    white = 1.0 if drawn.modality == "mr" else MEAN_RADIUS * 5.0 / drawn.pixel_mm
    return replace(
        drawn,
        state=state,
        previous=None if drawn.previous is None else noisy(0, drawn.neighbour_sigma),
        following=None if drawn.following is None else noisy(2, drawn.neighbour_sigma),
        target=target,
        excess=excess,
        relative_sd=np.ones_like(state),
        texture=white,
    )
