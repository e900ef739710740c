"""Calibration: how much the predicted SD must be scaled to cover what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import Precondition
from medidiff.engines.base import Engine
from medidiff.errors import ModelError
from medidiff.models.bundle import Bundle
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.training.samples import Samples
from medidiff.volume import FloatArray

UncertaintyTable = tuple[tuple[float, float], ...]
"""Pairs of noise SD in network units, ascending, and the factor on the predicted SD."""

NORMAL_90 = 1.645
"""A normal variable lies within this many SD of its mean 90 % of the time."""

COVERAGE = 0.90
MIN_GROUPS = 9
"""Fewer patients give no conformal guarantee at 90 %; the quantile is then pooled."""

MIN_PIXELS = 2000
"""A noise-level bin with fewer usable pixels is left out."""

FACTORS = (0.1, 10.0)


def calibrate(
    bundle: Bundle,
    engine: Engine,
    samples: Samples,
    groups: NDArray[np.intp] | None = None,
    bins: int = 6,
    own: FloatArray | None = None,
) -> UncertaintyTable:
    """Factors that make the predicted SD cover what it claims (conformal scale, split by noise level).

    In each bin the smallest factor k is sought for which |x* - D| <= 1.645 sqrt(k^2 v + excess) holds in
    90 % of the pixels of the body; `excess` is the noise variance of the target. With nine or more
    patients the share of misses R is the mean over patients and (n R + 1) / (n + 1) <= 0.10 is asked for
    (Angelopoulos et al. 2022, conformal risk control); with fewer it is pooled over the pixels. Patches
    whose target is noisier than the estimate say little about it and are left out.

    A target with noise of its own that is in the scan too (SD s, a its share of the scan's noise variance) is
    estimated by (1-a) D + a y, whose error has variance (1-a)^2 v + (1-a) s^2 (`NoisyTarget`). Of such MR
    targets only what lies above the floor of that noise counts, `GAUSSIAN_SNR`.

    Args:
        bundle: the model.
        engine: runs it.
        samples: patches of held-out patients.
        groups: patient of each patch, ``[n]``; None if unknown (pooled).
        bins: noise-level bins, equally filled.
        own: s of each patch ``[n]``, network units; None for 0.

    Returns:
        Geometric mean of sigma and factor of each bin that has enough pixels.

    Raises:
        ModelError: no bin has enough pixels.
    """
    ratio_of = _Errors.of(bundle, engine, samples, own)
    edges = np.quantile(samples.sigma, np.linspace(0.0, 1.0, bins + 1))
    which = np.clip(np.searchsorted(edges, samples.sigma, "right") - 1, 0, bins - 1)
    table = []
    for b in range(bins):
        mine = np.flatnonzero((which == b) & ratio_of.informative)
        if ratio_of.body[mine].sum() < MIN_PIXELS:
            continue
        factor = _smallest_factor(ratio_of, mine, None if groups is None else groups[mine])
        table.append((float(np.exp(np.log(samples.sigma[mine]).mean())), factor))
    if not table:
        raise ModelError("There are too few validation pixels to calibrate the uncertainty")
    return tuple(sorted(table))


class _Errors:
    """Squared errors of a model on patches, with what they should be.

    Attributes:
        square: ``[n, p, p]`` squared error of the estimate of x*.
        variance: ``[n, p, p]`` what v makes of it.
        excess: ``[n, p, p]`` noise variance of x*.
        body: bool ``[n, p, p]``.
        informative: bool ``[n]``, patches whose target is no noisier than the estimate.
    """

    def __init__(
        self, square: FloatArray, variance: FloatArray, excess: FloatArray, body: NDArray[np.bool_]
    ) -> None:
        self.square, self.variance, self.excess, self.body = square, variance, excess, body
        self.informative = excess.mean((1, 2)) <= variance.mean((1, 2))

    @classmethod
    def of(cls, bundle: Bundle, engine: Engine, samples: Samples, own: FloatArray | None) -> _Errors:
        """Runs the model on all patches."""
        from scipy import ndimage

        output = np.concatenate(
            [
                engine(np.ascontiguousarray(samples.planes[i : i + 1].transpose(0, 3, 1, 2)), condition)
                for i, condition in enumerate(samples.condition[:, None])
            ]
        )
        told, precondition = samples.sigma_told[:, None, None], Precondition(bundle.sigma_data)
        estimate = precondition.apply(output[:, 0], samples.state, told)
        variance = precondition.variance(output[:, 1], told)
        sd = np.zeros_like(told) if own is None else own[:, None, None]
        # CT: above -950 HU, so that air around the patient does not count; MR: above the background.
        threshold = -0.9 if bundle.modality == "ct" else np.maximum(0.03, GAUSSIAN_SNR * sd)
        body = ndimage.uniform_filter(samples.target, (0, 5, 5)) > threshold
        shared = sd**2
        a = np.clip(shared / samples.sigma[:, None, None] ** 2, 0.0, 1.0)
        estimate = (1 - a) * estimate + a * samples.state
        excess = samples.excess + (1 - a) * shared
        return cls((samples.target - estimate) ** 2, (1 - a) ** 2 * variance, excess, body)

    def misses(self, patch: int, factor: float) -> tuple[int, int]:
        """Body pixels of a patch outside of their interval, and all its body pixels."""
        allowed = NORMAL_90**2 * (factor**2 * self.variance[patch] + self.excess[patch])
        body = self.body[patch]
        return int((self.square[patch][body] > allowed[body]).sum()), int(body.sum())


def _smallest_factor(errors: _Errors, patches: NDArray[np.intp], groups: NDArray[Any] | None) -> float:
    """Bisection: the risk falls as the factor grows."""
    patients = [] if groups is None else [patches[groups == g] for g in np.unique(groups)]
    conformal = len(patients) >= MIN_GROUPS

    def risk(factor: float) -> float:
        if not conformal:
            return _share(errors, patches, factor)
        shares = [_share(errors, p, factor) for p in patients]
        return float((np.sum(shares) + 1.0) / (len(shares) + 1.0))

    low, high = np.log(FACTORS)
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if risk(float(np.exp(middle))) <= 1.0 - COVERAGE else (middle, high)
    return float(np.exp(high))


def _share(errors: _Errors, patches: NDArray[np.intp], factor: float) -> float:
    """Share of body pixels outside of their interval; 0 where there is no body."""
    counts = np.array([errors.misses(int(p), factor) for p in patches]).sum(0)
    return float(counts[0] / max(counts[1], 1))
