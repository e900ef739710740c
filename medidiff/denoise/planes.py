"""Planes: a volume of cubic voxels is looked at in all its three planes.

The network knows a slice and its two neighbours. In a volume of cubic voxels the slices of the other two
planes are images of the same kind, with other neighbours: each answer errs in its own way, and their mean
errs less. For answers D_i of one truth x,

    |mean(D) - x|^2 = mean |D_i - x|^2 - mean |D_i - mean(D)|^2,

so that what the answers differ by tells how much was gained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medidiff import scratch
from medidiff.denoise.context import interpolated_step
from medidiff.denoise.evaluator import Evaluator
from medidiff.denoise.noise_model import NoiseModel
from medidiff.denoise.settings import Roi
from medidiff.denoise.surround import Surround
from medidiff.volume import FloatArray, Volume, is_cubic

TURNS = ((1, 0, 2), (2, 0, 1))
"""Axes of the volume that are slice, row and column of the two other planes."""

SMALLEST = 64
"""Voxels along each axis below which the other planes show too little."""

SMOOTH = 5
"""Pixels over which the differences of the answers are averaged: three answers alone tell little."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Answers in the two other planes, in the axes of the volume.

    Attributes:
        answers: D of each, ``[z, y, x]``, network units.
        variance: sum of their variances, ``[z, y, x]``; None where nobody asks for it.
    """

    answers: Sequence[FloatArray]
    variance: FloatArray | None

    def joined(self, k: int, d: FloatArray, v: FloatArray | None) -> tuple[FloatArray, FloatArray | None]:
        """Mean of the three answers for slice k, and its variance.

        Args:
            k: slice of the volume.
            d: the answer in the plane of the slices.
            v: its variance, or None.
        """
        from scipy import ndimage

        three = np.stack([d, *(a[k] for a in self.answers)])
        mean = three.mean(0)
        if self.variance is None or v is None:
            scratch.release(*self.answers)
            return mean, v
        alone = (v + self.variance[k]) / np.float32(3.0)
        scratch.release(*self.answers, self.variance)
        gained = ndimage.uniform_filter(((three - mean) ** 2).mean(0), SMOOTH)
        # Never less than if the three errors were independent.
        return mean, np.maximum(alone - gained, alone / np.float32(3.0))


def has_planes(volume: Volume) -> bool:
    """Whether the other two planes of a volume show images of the same kind."""
    adjacent = volume.adjacent is None or bool(np.all(volume.adjacent))
    return adjacent and is_cubic(volume.spacing) and min(volume.array.shape) >= SMALLEST


def rows_for(volume: Volume, roi: Roi | None) -> tuple[tuple[int, int], ...]:
    """Bounds along ``(y, x)`` of the slices of the other planes that a region needs; of all without one."""
    sides, reach = volume.array.shape[1:], SMOOTH // 2
    if roi is None:
        return tuple((0, n) for n in sides)
    return tuple((max(0, a - reach), min(n, b + reach)) for (a, b), n in zip(roi[1:], sides, strict=True))


def look(
    evaluator: Evaluator,
    sigma: float | FloatArray,
    rows: Sequence[tuple[int, int]],
    uncertainty: bool,
    progress: Callable[[], None],
) -> Planes:
    """Evaluates the network on all slices of the two other planes.

    Args:
        evaluator: of the volume in its own plane.
        sigma: noise SD in the volume's unit, a number or a map ``[z, y, x]``.
        rows: bounds along ``(y, x)`` outside of which nobody asks for an answer.
        uncertainty: whether variances are kept.
        progress: called after each slice.
    """
    shape = evaluator.volume.array.shape
    variance = scratch.zeros(shape) if uncertainty else None
    answers = []
    for axes in TURNS:
        other = _turned(evaluator, axes, sigma)
        found = scratch.zeros(shape)
        # Views of the volume-shaped arrays in the axes of the plane.
        into = found.transpose(axes)
        spread = None if variance is None else variance.transpose(axes)
        for k in range(*rows[axes[0] - 1]):
            t = other.sigma(k)
            d, v = other.denoised(k, t)(other.scan(k), t)
            into[k] = d
            if spread is not None:
                spread[k] += v
            scratch.release(other.volume.array, found, variance)
            progress()
        answers.append(found)
    return Planes(answers, variance)


def _turned(evaluator: Evaluator, axes: tuple[int, int, int], sigma: float | FloatArray) -> Evaluator:
    """The evaluator of another plane: same intensity and noise level, noise texture of its own."""
    volume = evaluator.volume
    columns = [2 - a for a in reversed(axes)]  # the affine goes by x, y, z
    turned = replace(
        volume,
        array=scratch.copy(volume.array.transpose(axes)),
        affine=volume.affine[:, [*columns, 3]],
        padding=None if volume.padding is None else volume.padding.transpose(axes),
        adjacent=None,
    )
    given = sigma.transpose(axes) if isinstance(sigma, np.ndarray) else sigma
    noise = NoiseModel.of(turned, given, evaluator.bundle.modality)
    surround = Surround(turned, evaluator.intensity)
    step = interpolated_step(turned.array, surround.of_slice)
    return replace(evaluator, volume=turned, surround=surround, noise=noise, step=step)
