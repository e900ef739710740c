"""Measure: noise texture, sharpness, detectability and HU of the phantom in one stack of slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import GeometryError
from medidiff.evaluation.cho import Detectability, detectability, difference
from medidiff.evaluation.nps import NoisePower, ensemble_noise, frequency_shift, log_l1, nps
from medidiff.evaluation.score import plain
from medidiff.evaluation.ttf import Ttf, ttf
from medidiff.phantom.design import PIXEL_MM, SIZE_PX, Design, Insert, Point
from medidiff.volume import FloatArray

CHANNEL_WIDTH = 1.5
"""w of the channels over the insert's diameter: with the patches below, 97 % of the d' of the ideal linear
observer in the noise of a soft kernel, for all four inserts."""

PATCH_WIDTH = 1.1
"""Half side of the observer's patch over w."""

INNER = 0.7
"""Share of the radius inside which an insert's HU are read."""


@dataclass(frozen=True, eq=False)
class Edge:
    """Sharpness of one insert.

    Attributes:
        insert: which.
        ttf: its task transfer function.
    """

    insert: Insert
    ttf: Ttf


@dataclass(frozen=True, eq=False)
class Detection:
    """Detectability of one insert.

    Attributes:
        insert: which.
        found: of this stack.
        change: of d' against the noisy scan of the same realisations, with its 95 % interval; None for the
            noisy scan itself.
    """

    insert: Insert
    found: Detectability
    change: tuple[float, tuple[float, float]] | None


@dataclass(frozen=True)
class Level:
    """HU of one insert, or of its empty place.

    Attributes:
        insert: which.
        truth: mean HU of the noise-free image there (inner 70 % of the radius).
        bias: mean of the stack minus the truth there.
        ci: 95 % interval of the bias, from the scatter between realisations.
    """

    insert: Insert
    truth: float
    bias: float
    ci: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Findings:
    """What was measured in one stack.

    Attributes:
        noise: NPS of the differences from the mean of all realisations; None in an anatomical background,
            which is another one each time.
        texture: shift of the mean frequency and log-L1 distance of the NPS against the noisy scan, or None.
        edges: TTF of the inserts with an edge to measure.
        detections: of the inserts to detect.
        levels: HU of all inserts.
    """

    noise: NoisePower | None
    texture: tuple[float, float] | None
    edges: tuple[Edge, ...]
    detections: tuple[Detection, ...]
    levels: tuple[Level, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "nps": None if self.noise is None else self.noise.as_dict(),
            "mean_frequency_shift": None if self.texture is None else plain(self.texture[0]),
            "nps_log_l1": None if self.texture is None else plain(self.texture[1]),
            "ttf": [{"insert": e.insert.label, **e.ttf.as_dict()} for e in self.edges],
            "cho": [
                {
                    "insert": d.insert.label,
                    **d.found.as_dict(),
                    "d_prime_change": None if d.change is None else d.change[0],
                    "d_prime_change_ci": None if d.change is None else list(d.change[1]),
                }
                for d in self.detections
            ],
            "hu": [
                {"insert": v.insert.label, "truth": v.truth, "bias": v.bias, "bias_ci": list(v.ci)}
                for v in self.levels
            ],
        }


def measure(
    design: Design,
    truth: NDArray[Any],
    stack: NDArray[Any],
    before: Findings | None = None,
    seed: int = 0,
) -> Findings:
    """Everything about one stack of slices: the noisy scan, or what a denoiser made of it.

    Args:
        design: the phantom.
        truth: noise-free stack, ``[realisations * depth, y, x]`` HU.
        stack: same shape.
        before: findings of the noisy scan with the same seed, to compare with.
        seed: of halves and bootstrap.

    Raises:
        GeometryError: the stack is not one of this phantom.
        PixelError: there are too few realisations.
    """
    expected = (design.realisations * design.depth, SIZE_PX, SIZE_PX)
    if stack.shape != expected or truth.shape != expected:
        raise GeometryError(
            f"This is no scan of the phantom, which has {expected[0]} slices of {SIZE_PX} x {SIZE_PX} pixels",
            received=f"{stack.shape} and {truth.shape}",
        )
    clean, image = (np.asarray(a[design.depth // 2 :: design.depth], np.float32) for a in (truth, stack))
    noise, texture = None, None
    if design.background == "uniform" and design.realisations > 1:
        noise = nps(ensemble_noise(image), design.body, PIXEL_MM)
        if before is not None and before.noise is not None:
            texture = frequency_shift(before.noise, noise), log_l1(before.noise, noise)
    edges: list[Edge] = []
    detections: list[Detection] = []
    for k, insert in enumerate(design.inserts):
        rng = np.random.default_rng([seed, k])
        if insert.use == "edge":
            edges.append(Edge(insert, ttf(image, insert.centre_yx, 0.5 * insert.diameter_mm, PIXEL_MM, rng)))
            continue
        width = CHANNEL_WIDTH * insert.diameter_mm / PIXEL_MM
        present, absent = _patches(image, insert, int(np.ceil(PATCH_WIDTH * width)))
        found = detectability(present, absent, width, rng)
        change = None if before is None else difference(before.detections[len(detections)].found, found)
        detections.append(Detection(insert, found, change))
    levels = tuple(_level(clean, image, insert) for insert in design.inserts)
    return Findings(noise, texture, tuple(edges), tuple(detections), levels)


def _patches(image: FloatArray, insert: Insert, half: int) -> tuple[FloatArray, FloatArray]:
    """Patches about the insert and about the empty place opposite, ``[n, 2 half + 1, 2 half + 1]``."""

    def about(point: Point) -> FloatArray:
        y, x = (round(v) for v in point)
        return image[:, y - half : y + half + 1, x - half : x + half + 1]

    if insert.absent_yx is None:
        raise TypeError("an insert to detect has an empty place opposite")
    return about(insert.centre_yx), about(insert.absent_yx)


def _level(clean: FloatArray, image: FloatArray, insert: Insert) -> Level:
    """HU of an insert."""
    y, x = np.ogrid[: image.shape[1], : image.shape[2]]
    distance = np.hypot(y - insert.centre_yx[0], x - insert.centre_yx[1])
    inside = distance <= INNER * 0.5 * insert.diameter_mm / PIXEL_MM
    error = (image[:, inside].astype(np.float64) - clean[:, inside]).mean(axis=1)
    bias, margin = float(error.mean()), 1.96 * float(error.std(ddof=1) / np.sqrt(len(error)))
    return Level(insert, float(clean[:, inside].mean(dtype=np.float64)), bias, (bias - margin, bias + margin))
