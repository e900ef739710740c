"""CT samples: cached slices with a fresh dose, kernel and mix of their noise bases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import RefusedError
from medidiff.intensity import Intensity
from medidiff.noise.spectrum import draw_kernel, radial_frequency
from medidiff.training.config import TrainConfig
from medidiff.training.ct_reference import MAX_TARGET_SD, OWN_GRID, Reference, cached_references
from medidiff.training.inserts import draw_inserts
from medidiff.training.patches import SimulatedSlice, neighbour_level, too_small
from medidiff.volume import HU_RANGE, FloatArray

TARGET_RATIO = 1.41
"""A state of level t may use targets up to t / 1.41 (a <= 0.5)."""


MAX_FILTER = 2.0
"""Cap of S_F / S_ins: where the target's own noise dominates a frequency, the target says little about it."""

OWN_KERNEL = 0.55
"""Share of samples whose inserted noise has the scan's own measured kernel."""


TEXTURE_TOLD = (0.86, 1.0)
"""The network is told the mean frequency as the blind estimate reads it: up to 14 % below that of the
ideal ramp, because interpolation in real and simulated reconstructions takes away the highest frequencies."""


class CTSource:
    """Draws simulated low-dose CT slices; every slice is a function of the generator passed in.

    Args:
        config: the training run.
        role: ``"train"`` or ``"val"``.
    """

    def __init__(self, config: TrainConfig, role: str = "train") -> None:
        self.config = config
        # Validation stays comparable between runs: it sees the scans as they are.
        training = role == "train"
        self.insert_share = config.data.insert_share if training else 0.0
        self.clean_share = config.data.clean_share if training else 0.0
        self.intensity = Intensity.ct()
        if config.data.pack:
            from medidiff.training import pack

            everything = pack.references(config, role)
        else:
            everything = cached_references(config, role)
        # The cache is shared by runs of every patch size.
        everything = [r for r in everything if min(r.item.hu.shape[1:]) >= config.data.patch]
        if not everything:
            raise too_small("ct", role, config.data.patch)
        self.references = [r for r in everything if not r.item.clean and r.sigma <= MAX_TARGET_SD]
        if not self.references:
            raise RefusedError(
                f"No {role} slice can be a target: the noise of all is above {MAX_TARGET_SD:g} HU, or they "
                "show too little soft tissue to measure it",
                hint="Add thicker or smoother reconstructions.",
            )
        self.clean = [r for r in everything if r.item.clean] or self.references
        # Small crops have fewer pixels to offer.
        area = np.array([min(r.item.hu.shape[1:]) for r in self.references], float)
        share = np.where(area >= 256, 1.0, 0.3)
        self.share = share / share.sum()

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        """One noisy slice with its truth."""
        data = self.config.data
        low = rng.random() < data.low_share
        if low:
            reference = self.clean[int(rng.integers(len(self.clean)))]
            t = float(np.exp(rng.uniform(np.log(data.low_sigma), np.log(2.0 * data.sigma[0]))))
        else:
            t = float(np.exp(rng.uniform(np.log(data.sigma[0]), np.log(data.sigma[1]))))
            reference = self.references[int(rng.choice(len(self.references), p=self.share))]
            wanted = bool(self.clean_share) and rng.random() < self.clean_share
            if wanted or t < TARGET_RATIO * reference.sigma:
                reference = self.clean[int(rng.integers(len(self.clean)))]
        # Below 1.41 sigma_F no correction exists; the slab means of the clean pool then count as truth.
        sigma_f = reference.sigma if t >= TARGET_RATIO * reference.sigma else 0.0
        if self.insert_share and rng.random() < self.insert_share:
            item = reference.item
            hu = np.maximum(item.hu + draw_inserts(item.hu, item.pixel_mm, rng), np.float32(HU_RANGE[0]))
            reference = replace(reference, item=replace(item, hu=hu))
        drawn = self.simulate(reference, t, sigma_f, rng)
        told = drawn.texture or 0.0
        return replace(drawn, texture=told * float(rng.uniform(*TEXTURE_TOLD)))

    def simulate(
        self, reference: Reference, t: float, sigma_f: float, rng: np.random.Generator
    ) -> SimulatedSlice:
        """Inserts noise so that the slice has level t, and corrects the target for its own noise.

        Args:
            reference: slice with bases.
            t: total noise SD in HU.
            sigma_f: noise SD of the slice that is known to be there, 0 to count it as clean.
            rng: source of randomness.
        """
        from scipy import fft

        item = reference.item
        shape = item.hu.shape[1:]
        f = radial_frequency(shape, item.pixel_mm)
        own = np.interp(f, OWN_GRID, reference.own).astype(np.float32)
        if rng.random() < OWN_KERNEL:
            response = own
        else:
            response = draw_kernel(rng).response(f)

        # Two orthogonal mixes of the quantum realisations: one for the centre, one for a neighbour.
        theta = rng.uniform(0.0, 2.0 * np.pi)
        q0, q1, electronic = (b.astype(np.float32) for b in item.bases)
        c, s = np.float32(np.cos(theta)), np.float32(np.sin(theta))
        counts = float(np.exp(rng.uniform(np.log(4e3), np.log(5e5))))
        share = np.float32(np.sqrt(rng.uniform(5.0, 20.0) / counts) * item.electronic_ratio)
        coloured = fft.rfft2(c * q0 + s * q1 + share * electronic) * response
        relative = item.relative_sd.astype(np.float32)

        def unit(spectrum: NDArray[np.complex64]) -> tuple[FloatArray, float]:
            noise = np.asarray(fft.irfft2(spectrum, s=shape), np.float32)
            sd = float(np.sqrt(np.mean((noise[reference.soft] / relative[reference.soft]) ** 2)))
            return noise / np.float32(max(sd, 1e-9)), sd

        noise, sd = unit(coloured)
        inserted = float(np.sqrt(t * t - sigma_f * sigma_f))
        y = item.hu[1] + np.float32(inserted) * noise

        # x* = x_F - F^-1[(S_F / S_ins) F n]: (1 - A)^-1 (x_F - A y) with A = S_F / (S_F + S_ins).
        target = item.hu[1].astype(np.float32)
        excess = np.zeros(shape, np.float32)
        if sigma_f > 0.0:
            ratio = (sigma_f / inserted) ** 2 * _spectrum_ratio(own, response, f)
            echo = np.asarray(fft.irfft2(coloured * np.minimum(ratio, MAX_FILTER), s=shape), np.float32)
            echo *= np.float32(inserted / max(sd, 1e-9))
            echo_sd = float(np.sqrt(np.mean((echo[reference.soft] / relative[reference.soft]) ** 2)))
            target -= echo
            excess += np.float32(sigma_f**2 + echo_sd**2) * relative**2

        neighbour_t = neighbour_level(t, rng)
        extra = np.float32(np.sqrt(max(neighbour_t**2 - sigma_f**2, 0.0)))
        neighbours: list[FloatArray | None] = [None, None]
        # The other side takes the mirrored mix: a body is nearly symmetric, and so is its noise.
        mixes = (c * q1 - s * q0, (c * q0 - s * q1)[:, ::-1])
        for slot, plane in ((0, 0), (1, 2)):
            if item.present[plane]:
                fresh, _ = unit(fft.rfft2(mixes[slot]) * response)
                neighbours[slot] = self._network(item.hu[plane] + extra * fresh)
        total = inserted**2 * _normalised(response, f) + sigma_f**2 * _normalised(own, f)
        scale = np.float32(self.intensity.scale)
        return SimulatedSlice(
            state=self._network(y),
            previous=neighbours[0],
            following=neighbours[1],
            target=(target - np.float32(self.intensity.offset)) / scale,
            sigma=t / self.intensity.scale,
            neighbour_sigma=neighbour_t / self.intensity.scale,
            relative_sd=relative,
            excess=excess / scale**2,
            weight=reference.weight,
            worth=reference.worth,
            texture=float((total * f).sum() / total.sum()),
            pixel_mm=item.pixel_mm,
            modality="ct",
            reference=self._network(item.hu.astype(np.float32)),
            reference_sigma=sigma_f / self.intensity.scale,
            scan=item.scan,
        )

    def _network(self, hu: FloatArray) -> FloatArray:
        return self.intensity.to_model(hu)


def _normalised(response: FloatArray, f: FloatArray) -> FloatArray:
    """Noise power of a kernel behind the ramp, integral 1."""
    power = f * response * response
    return np.asarray(power / max(float(power.sum()), 1e-12), np.float32)


def _spectrum_ratio(own: FloatArray, response: FloatArray, f: FloatArray) -> FloatArray:
    """S_F / S_ins at equal SD."""
    ours, theirs = _normalised(own, f), _normalised(response, f)
    return np.asarray(np.where(theirs > 0, ours / np.maximum(theirs, 1e-12), 1.0), np.float32)
