"""MR samples: slices of clean magnitude volumes, in three orientations, with simulated noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medidiff.noise import mr
from medidiff.noise.floor import beyond_rician
from medidiff.noise.texture import interpolation_factor
from medidiff.training.binning import binned, may_be_binned
from medidiff.training.config import TrainConfig
from medidiff.training.mr_own import binned_colour, colour, own_spectrum, simulate_own
from medidiff.training.mr_stacks import BACKGROUND, Stack, foreground, load_stacks
from medidiff.training.patches import SimulatedSlice, neighbour_level, too_small
from medidiff.training.scans import data_root, list_scans
from medidiff.volume import FloatArray

BINNED_SHARE = 0.4
"""Share of large slices that are binned two by two."""

GAIN, GAMMA = (-0.35, 0.3), (-0.35, 0.35)
"""Logarithm of a factor on the brightness, and of an exponent of it, which half of the slices get."""

INVERTED, TOP = 0.12, (1.0, 1.2)
"""Share of slices with inverted contrast, and the value that becomes black."""

SHADED, SHADING = 0.6, (0.1, 0.5)
"""Share of slices with a bias field, and its strength: from a head coil's slight shading to that of a surface
coil."""

MASKED = 0.15
"""Share of slices whose background is zero, as skull-stripped or defaced scans come."""

STRONGEST_OWN = 0.5
"""Strongest noise like a scan's own, over the strongest of all."""

QUIETEST = 0.1
"""Relative noise SD below which a place gets no more weight."""

LEAST_INSERTED = 2.0
"""Inserted noise over the scan's own, from which on the network is told both; below it the scan counts as
noise-free."""

MOST_INSERTED = 0.5
"""Inserted noise over the scan's own, up to which weak noise is drawn where stronger noise is like its own:
in between, targets with that noise would teach a network to leave it at the very level found in scans."""

BINNED = 0.55
"""Noise of a slice binned two by two, over that of the slice: that of real scans is not quite white."""

Own = tuple[NDArray[np.float64], float]
"""Noise spectrum of a stack and its zero-fill factor."""


class MRSource:
    """Draws simulated noisy MR slices; every slice is a function of the generator passed in.

    Args:
        config: the training run.
        role: ``"train"`` or ``"val"``.
    """

    def __init__(self, config: TrainConfig, role: str = "train") -> None:
        self.config = config
        self.stacks: list[Stack] = []
        # Validation stays comparable between runs.
        self.own_share = config.data.own_share if role == "train" else 0.0
        self.measured: dict[int, Own | None] = {}
        if config.data.pack:
            from medidiff.training import pack

            self.stacks = pack.stacks(config, role)
        else:
            for scan in list_scans(data_root(config.data.root), "mr", role):
                self.stacks += load_stacks(scan, config.data.patch)
        if not self.stacks:
            raise too_small("mr", role, config.data.patch)
        # A slice is as likely as any other, whichever volume it is of.
        counts = np.array([len(s.slices) for s in self.stacks], float)
        self.share = np.minimum(counts, 60) / np.minimum(counts, 60).sum()

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        """One noisy slice with its truth."""
        at = int(rng.choice(len(self.stacks), p=self.share))
        stack = self.stacks[at]
        k = int(rng.integers(len(stack.slices)))
        clean = _with_neighbours(stack.slices, k)
        if self.own_share and rng.random() < self.own_share and (own := self.own_noise(at)) is not None:
            return replace(self._like_own(clean, stack, own, rng), scan=stack.label)
        height = clean.shape[1]
        clean, sigma_f = self._augment(clean, stack.sigma, rng)
        pixel_mm = stack.pixel_mm * (2.0 if clean.shape[1] < height else 1.0)  # binned
        sigma = self._sigma(sigma_f, rng)
        if sigma < LEAST_INSERTED * sigma_f:
            # The scan's own noise is in the target: told of it too, a network would learn to leave it.
            sigma_f = 0.0
        drawn = simulate_slice(clean, sigma_f, mr.draw(rng, sigma), pixel_mm, rng)
        return replace(drawn, scan=stack.label)

    def own_noise(self, at: int) -> Own | None:
        """Noise spectrum and zero-fill factor of a stack, measured when first asked for."""
        if at not in self.measured:
            slices = self.stacks[at].slices
            power = own_spectrum(slices) if self.stacks[at].sigma > 0.0 else None
            factor = float(np.sqrt(np.prod(interpolation_factor(slices[len(slices) // 2 - 2 :][:5]))))
            self.measured[at] = None if power is None else (power, factor)
        return self.measured[at]

    def _like_own(
        self,
        clean: FloatArray,
        stack: Stack,
        own: Own,
        rng: np.random.Generator,
    ) -> SimulatedSlice:
        """A slice with noise like its own; augmented so that its noise stays the same everywhere."""
        sigma_f, pixel_mm, (power, factor) = stack.sigma, stack.pixel_mm, own
        amplitude = colour(power, clean.shape[1:])
        if may_be_binned(clean.shape, self.config.data.patch) and rng.random() < BINNED_SHARE:
            clean, sigma_f, pixel_mm = binned(clean), sigma_f * BINNED, 2.0 * pixel_mm
            amplitude, factor = binned_colour(amplitude), 1.0
        gain = float(np.exp(rng.uniform(*GAIN)))
        clean, sigma_f = clean * np.float32(gain), sigma_f * gain
        low, high = max(self.config.data.low_sigma, sigma_f), self.config.data.sigma[1]
        inserted = float(np.exp(rng.uniform(np.log(low), np.log(max(STRONGEST_OWN * high, low)))))
        return simulate_own(clean, sigma_f, inserted, amplitude, factor, pixel_mm, rng)

    def _sigma(self, sigma_f: float, rng: np.random.Generator) -> float:
        data = self.config.data
        if rng.random() < data.low_share:
            high = data.sigma[0]
            if self.own_share and sigma_f > 0.0:
                high = max(min(high, MOST_INSERTED * sigma_f), data.low_sigma)
            return float(np.exp(rng.uniform(np.log(data.low_sigma), np.log(high))))
        low = max(data.sigma[0], LEAST_INSERTED * sigma_f)
        return float(np.exp(rng.uniform(np.log(low), np.log(data.sigma[1]))))

    def _augment(
        self, clean: FloatArray, sigma_f: float, rng: np.random.Generator
    ) -> tuple[FloatArray, float]:
        """Contrast, brightness, bias field; binning where the picture is large enough for it."""
        from scipy import ndimage

        if may_be_binned(clean.shape, self.config.data.patch) and rng.random() < BINNED_SHARE:
            clean, sigma_f = binned(clean), sigma_f * BINNED
        gain = float(np.exp(rng.uniform(*GAIN)))
        clean = clean * np.float32(gain)
        sigma_f *= gain
        if rng.random() < 0.5:
            clean = np.power(np.maximum(clean, 0.0), np.float32(np.exp(rng.uniform(*GAMMA))))
        if rng.random() < INVERTED:
            # Dark becomes bright inside the object, as between T1 and T2 weighting; air stays dark.
            inside = np.clip(ndimage.uniform_filter(clean, (0, 5, 5)) / (3.0 * BACKGROUND), 0.0, 1.0)
            clean = inside * np.maximum(np.float32(rng.uniform(*TOP)) - clean, 0.0)
        if rng.random() < SHADED:
            field = mr.smooth_field(clean.shape[1:], 1, rng)
            top = np.percentile(clean, 99)
            clean = clean * np.exp(np.float32(rng.uniform(*SHADING)) * field)
            # A scan comes in units of its own p99, however it is shaded.
            scale = np.float32(top / max(float(np.percentile(clean, 99)), 1e-6))
            clean, sigma_f = clean * scale, sigma_f * float(scale)
        return clean.astype(np.float32, copy=False), sigma_f


def simulate_slice(
    clean: FloatArray, sigma_f: float, params: mr.MRNoise, pixel_mm: float, rng: np.random.Generator
) -> SimulatedSlice:
    """Adds noise to a slice and its neighbours.

    Args:
        clean: ``[3, h, w]`` previous, centre, next, in units of the foreground p99.
        sigma_f: noise SD that the slice has already; the network is told the total.
        params: noise to add.
        pixel_mm: pixel size.
        rng: source of randomness.
    """
    noisy, target, sigma_map = mr.simulate_pair(clean, params, rng)
    sigma = float(np.hypot(params.sigma, sigma_f))
    neighbour_sigma = neighbour_level(sigma, rng)
    if neighbour_sigma > sigma:
        louder = replace(params, sigma=float(np.sqrt(neighbour_sigma**2 - sigma_f**2)))
        neighbours, _, _ = mr.simulate_pair(clean[[0, 2]], louder, rng)
        noisy[0], noisy[2] = neighbours
    inside = foreground(clean[1])
    relative = sigma_map[1] / np.float32(params.sigma)
    # Nobody can tell from a picture how many coils made its floor: m^2 = A^2 + 2 L sigma^2. What every
    # magnitude image has is one coil's part of it; the rest stays in the truth (see `beyond_rician`).
    truth = np.sqrt(target[1] ** 2 + beyond_rician(sigma_map[1], params.coils))
    if rng.random() < MASKED:
        noisy, truth = noisy * inside, truth * inside
    return SimulatedSlice(
        state=noisy[1],
        previous=noisy[0],
        following=noisy[2],
        target=truth,
        sigma=sigma,
        neighbour_sigma=neighbour_sigma,
        relative_sd=relative,
        excess=np.zeros_like(noisy[1]),
        # In units of the local noise power: else a few noisy places would be all of the loss.
        weight=1.0 / np.maximum(relative, QUIETEST) ** 2,
        worth=inside,
        texture=float(np.sqrt(params.zero_fill[0] * params.zero_fill[1])),
        pixel_mm=pixel_mm,
        modality="mr",
        reference=np.stack([target[0], truth, target[2]]),
        reference_sigma=sigma_f,
    )


def _with_neighbours(slices: FloatArray, k: int) -> FloatArray:
    """``[3, h, w]``: previous, centre, next; at the ends the inner neighbour twice."""
    last = len(slices) - 1
    before = k - 1 if k > 0 else min(1, last)
    after = k + 1 if k < last else max(last - 1, 0)
    return slices[[before, k, after]]
