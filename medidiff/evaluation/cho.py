"""CHO: how well a low-contrast insert can be told from its absence (channelized Hotelling observer).

Laguerre-Gauss channels (Gallas and Barrett 2003, JOSA A 20:1725). The observer is trained on one half of
the realisations and tested on the other, then the reverse: tested on its training cases it would flatter
itself, and more so the fewer they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import PixelError
from medidiff.volume import FloatArray

CHANNELS = 6
LEVEL, NORMAL_QUANTILE = 0.95, 1.959964
RESAMPLES = 1000
MIN_CASES = 40
"""Fewer of a class leave less than three training cases a channel."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Detectability:
    """How well one insert is detected.

    Attributes:
        d_prime: detectability index on realisations that the observer was not trained on; below 0 it is
            wrong more often than right.
        d_prime_ci: its 95 % interval, +/- 1.96 bootstrap standard errors.
        auc: Phi(d' / sqrt 2), the area under the ROC curve of a Gaussian decision variable.
        auc_ci: its interval.
        auc_rank: area under the empirical ROC curve (Mann-Whitney), which assumes no distribution.
        present: realisations with the insert.
        absent: realisations without.
        channels: number of channels.
        width_px: w of the Laguerre-Gauss channels, in pixels.
        draws: d' of the bootstrap replicates, for `difference`.
    """

    d_prime: float
    d_prime_ci: tuple[float, float]
    auc: float
    auc_ci: tuple[float, float]
    auc_rank: float
    present: int
    absent: int
    channels: int
    width_px: float
    draws: Floats = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "d_prime": self.d_prime,
            "d_prime_ci": list(self.d_prime_ci),
            "auc": self.auc,
            "auc_ci": list(self.auc_ci),
            "auc_rank": self.auc_rank,
            "present": self.present,
            "absent": self.absent,
            "channels": self.channels,
            "width_px": self.width_px,
            "ci_level": LEVEL,
            "protocol": "Laguerre-Gauss CHO, trained and tested on different halves, bootstrap over cases",
        }


def laguerre_gauss(shape: tuple[int, int], width_px: float, channels: int = CHANNELS) -> Floats:
    """Channels u_p(r) = sqrt(2)/w exp(-pi r^2/w^2) L_p(2 pi r^2/w^2), p = 0, 1, ...

    Args:
        shape: of the patch ``(h, w)``; r is measured from its middle, ((h - 1)/2, (w - 1)/2).
        width_px: w in pixels.
        channels: how many.

    Returns:
        float64 ``[h * w, channels]``, orthonormal but for the pixel grid and the cut at the patch's edge.
    """
    from scipy.special import eval_laguerre

    y, x = (np.arange(n) - (n - 1) / 2.0 for n in shape)
    square = (y[:, None] ** 2 + x[None, :] ** 2).ravel() / width_px**2
    envelope = np.sqrt(2.0) / width_px * np.exp(-np.pi * square)
    return np.stack([envelope * eval_laguerre(p, 2.0 * np.pi * square) for p in range(channels)], axis=1)


def detectability(
    present: FloatArray,
    absent: FloatArray,
    width_px: float,
    rng: np.random.Generator,
    channels: int = CHANNELS,
) -> Detectability:
    """Hotelling observer on channel outputs: template S^-1 dv, d' = dv^T S^-1 dv / its SD, cross-tested.

    Args:
        present: patches with the insert in their middle, ``[n, h, w]``.
        absent: patches without, ``[m, h, w]``.
        width_px: w of the channels, tied to the insert's size.
        rng: draws the halves and the bootstrap. Generators of the same seed pair the replicates of two
            treatments of the same cases (`difference`).
        channels: how many.

    Raises:
        PixelError: too few cases, or patches without any variation between cases.
    """
    if min(len(present), len(absent)) < MIN_CASES:
        raise PixelError(
            f"The observer needs at least {MIN_CASES} cases with and without the insert",
            received=f"{len(present)} and {len(absent)}",
            hint="Use more realisations; 200 are usual.",
        )
    shape = (present.shape[1], present.shape[2])
    u = laguerre_gauss(shape, width_px, channels)
    signal, noise = (p.reshape(len(p), -1).astype(np.float64) @ u for p in (present, absent))
    signal_halves, noise_halves = (_halves(v, rng) for v in (signal, noise))
    if min(float(h.var(axis=0).min()) for h in (*signal_halves, *noise_halves)) <= 0:
        raise PixelError("The cases do not differ from each other: nothing can be said of detection")
    scores = [
        _scores(signal_halves[k], noise_halves[k], signal_halves[1 - k], noise_halves[1 - k]) for k in (0, 1)
    ]
    found = float(np.mean([_index(*s) for s in scores]))
    rank = float(np.mean([_rank_area(*s) for s in scores]))
    drawn_signal, drawn_noise = (
        [h[rng.integers(0, len(h), (RESAMPLES, len(h)))] for h in halves]
        for halves in (signal_halves, noise_halves)
    )
    draws = np.mean(
        [
            _index(*_scores(drawn_signal[k], drawn_noise[k], drawn_signal[1 - k], drawn_noise[1 - k]))
            for k in (0, 1)
        ],
        axis=0,
    )
    margin = NORMAL_QUANTILE * float(draws.std(ddof=1))
    ci = found - margin, found + margin
    return Detectability(
        found, ci, auc_of(found), (auc_of(ci[0]), auc_of(ci[1])), rank, len(present), len(absent), channels,
        width_px, draws,
    )  # fmt: skip


def difference(before: Detectability, after: Detectability) -> tuple[float, tuple[float, float]]:
    """Change of d' with its 95 % interval, for two treatments of the same cases.

    Both must come from `detectability` with generators of the same seed, so that their replicates are paired;
    the interval is then narrower than the two single intervals suggest.
    """
    change = after.d_prime - before.d_prime
    margin = NORMAL_QUANTILE * float((after.draws - before.draws).std(ddof=1))
    return change, (change - margin, change + margin)


def auc_of(d_prime: float) -> float:
    """Area under the ROC curve of two unit normal distributions d' apart: Phi(d' / sqrt 2)."""
    from scipy.special import ndtr

    return float(ndtr(d_prime / np.sqrt(2.0)))


def _halves(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two random halves of the cases."""
    order = rng.permutation(len(values))
    middle = len(values) // 2
    return values[order[:middle]], values[order[middle:]]


def _scores(train1: Floats, train0: Floats, test1: Floats, test0: Floats) -> tuple[Floats, Floats]:
    """Decision variable ``[..., n]`` of the test cases, from channel outputs ``[..., n, channels]``."""
    covariance = 0.5 * (_covariance(train1) + _covariance(train0))
    mean = train1.mean(axis=-2) - train0.mean(axis=-2)
    template = np.linalg.solve(covariance, mean[..., None])
    return (test1 @ template)[..., 0], (test0 @ template)[..., 0]


def _covariance(values: Floats) -> Floats:
    """Sample covariance of ``[..., n, channels]``."""
    centred = values - values.mean(axis=-2, keepdims=True)
    return np.asarray(np.swapaxes(centred, -1, -2) @ centred / (values.shape[-2] - 1))


def _index(signal: Floats, noise: Floats) -> Floats:
    """Distance of the mean scores in units of their mean SD."""
    spread = 0.5 * (signal.var(axis=-1, ddof=1) + noise.var(axis=-1, ddof=1))
    return np.asarray((signal.mean(axis=-1) - noise.mean(axis=-1)) / np.sqrt(spread))


def _rank_area(signal: Floats, noise: Floats) -> float:
    """Share of pairs in which the case with the insert scores higher; ties count half."""
    above = np.sign(signal[:, None] - noise[None, :])
    return float(0.5 * (1.0 + above.mean()))
