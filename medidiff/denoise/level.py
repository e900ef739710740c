"""Level: the noise level that agrees with the network's own answer.

If D is the mean and v the variance of the clean scan x given the scan y at noise SD t, the mean of
(y - D)^2 + v over the pixels is E[(y - x)^2 | y], which is t^2 where t is the noise SD. Setting t to its
root, again and again, is the EM algorithm (Dempster et al. 1977) for t under the network's prior. It tells
apart what a blind estimate takes for noise and the network knows for structure, and sees noise too coarse
for that estimate.
"""

from __future__ import annotations

import numpy as np

from medidiff.denoise.evaluator import Evaluator
from medidiff.denoise.texture import TISSUE
from medidiff.noise.estimate_ct import soft_tissue
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.volume import BoolArray, FloatArray

SLICES, ROUNDS = 3, 3
"""Slices looked at and most network evaluations of each."""

STEADY = 0.03
"""The level is found where it changes by less than this share."""

STRETCH = 0.6
"""Largest ratio of two changes from which the rest is extrapolated: no more than 1.5 times the last one."""

LIMITS = {"ct": (0.7, 2.0), "mr": (0.8, 2.0)}
"""Of what is found over the blind estimate. Noise unlike all that a network has seen passes for structure,
and MR networks learn from targets with noise of their own: of such noise they find too little."""

KNOWN = {"mr": 0.55}
"""Share of a scan's own noise that its network knows for noise: MR networks found 0.44 of the estimate and
more in 21 scans as they are. Where they find less, the estimate was of structure, as of a slice through the
neck or the top of the head alone (up to 17 times the noise), and what they find counts, over this share."""

FEWEST_PIXELS = 500


def agreement(evaluator: Evaluator) -> float:
    """The factor on the noise level of a scan with which it agrees with the network's answer.

    Args:
        evaluator: of the scan, with the noise estimated.

    Returns:
        Median over slices, within `LIMITS`, or below them as `KNOWN` says; 1 where there is too little
        tissue, and where the estimate is outside of what the network was trained on.
    """
    count = len(evaluator.volume.array)
    chosen = np.unique(np.linspace(0, count - 1, SLICES + 2).astype(int)[1:-1])
    found = [f for f in (_of_slice(evaluator, int(k)) for k in chosen) if f is not None]
    if not found:
        return 1.0
    factor, (lowest, highest) = float(np.median(found)), LIMITS[evaluator.bundle.modality]
    if known := KNOWN.get(evaluator.bundle.modality):
        lowest = min(lowest, factor / known)
    return float(np.clip(factor, lowest, highest))


def _of_slice(evaluator: Evaluator, k: int) -> float | None:
    """The factor of one slice; None with too little tissue or an untrained level."""
    y, start = evaluator.scan(k), evaluator.noise.of_slice(k) / evaluator.intensity.scale
    low, high = evaluator.bundle.trained.sigma
    if not low <= start <= high:
        return None
    local, outside = evaluator.relative(k), evaluator.surround.of_slice(k)
    sigma, changes = start, [0.0]
    for _ in range(ROUNDS):
        mean, variance = evaluator.denoised(k, sigma)(y, sigma)
        inside = _tissue(evaluator, mean, sigma, outside)
        if variance is None or np.count_nonzero(inside) < FEWEST_PIXELS:
            return None
        square = ((y - mean) ** 2 + variance) / local**2
        before, sigma = sigma, float(np.clip(np.sqrt(square[inside].mean(dtype=np.float64)), low, high))
        changes.append(float(np.log(sigma / before)))
        if abs(changes[-1]) < STEADY:
            break
    return sigma / start * _rest(changes)


def _rest(changes: list[float]) -> float:
    """The factor that is still missing, were the changes of ln sigma to shrink on as they did (Aitken)."""
    before, last = changes[-2:]
    shrinks = last / before if before else 0.0
    if shrinks <= 0.0 or abs(last) < STEADY:
        return 1.0
    shrinks = min(shrinks, STRETCH)
    return float(np.exp(last * shrinks / (1.0 - shrinks)))


def _tissue(evaluator: Evaluator, mean: FloatArray, sigma: float, outside: BoolArray | None) -> BoolArray:
    """Where the noise level is defined: soft tissue (CT), signal well above the noise (MR)."""
    if evaluator.bundle.modality == "ct":
        return soft_tissue(evaluator.intensity.from_model(mean), outside)
    inside = mean > max(TISSUE["mr"], GAUSSIAN_SNR * sigma)
    return np.asarray(inside if outside is None else inside & ~outside, np.bool_)
