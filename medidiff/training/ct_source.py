"""CT samples: cached slices with a fresh dose, kernel and mix of their noise bases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import RefusedError
from medidiff.intensity import Intensity
from medidiff.noise.spectrum import draw_kernel, radial_frequency
from medidiff.training.config import TrainConfig
from medidiff.training.ct_formulas import (
    ELECTRONIC,
    LEAST_SD,
    OWN_KERNEL,
    PHOTONS,
    TARGET_RATIO,
    TEXTURE_TOLD,
    echo_filter,
    mean_frequency,
    mixes,
    noise_power,
)
from medidiff.training.ct_reference import MAX_TARGET_SD, OWN_GRID, Reference, cached_references
from medidiff.training.inserts import draw_inserts
from medidiff.training.patches import SimulatedSlice, neighbour_level, too_small
from medidiff.volume import HU_RANGE, FloatArray

BEFORE, CENTRE, AFTER = range(3)


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
                f"No {role} slice can be a target: all are noisier than {MAX_TARGET_SD:g} HU, or show too "
                "little soft tissue to tell", hint="Add thicker or smoother reconstructions.",
            )  # fmt: skip
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
        item, scale = reference.item, self.intensity.scale
        noise = _Noise.drawn(reference, rng)
        coloured = noise.spectrum(CENTRE)
        unit, sd = noise.unit(coloured)
        inserted = float(np.sqrt(t * t - sigma_f * sigma_f))
        target, excess = noise.corrected(coloured, sd, inserted, sigma_f)
        neighbour_t = neighbour_level(t, rng)
        extra = np.float32(np.sqrt(max(neighbour_t**2 - sigma_f**2, 0.0)))
        previous, following = (
            self._network(item.hu[plane] + extra * noise.unit(noise.spectrum(plane))[0])
            if item.present[plane]
            else None
            for plane in (BEFORE, AFTER)
        )
        return SimulatedSlice(
            state=self._network(item.hu[CENTRE] + np.float32(inserted) * unit),
            previous=previous,
            following=following,
            target=(target - np.float32(self.intensity.offset)) / np.float32(scale),
            sigma=t / scale,
            neighbour_sigma=neighbour_t / scale,
            relative_sd=noise.relative,
            excess=excess / np.float32(scale) ** 2,
            weight=reference.weight,
            worth=reference.worth,
            texture=noise.mean_frequency(inserted, sigma_f),
            pixel_mm=item.pixel_mm,
            modality="ct",
            reference=self._network(item.hu.astype(np.float32)),
            reference_sigma=sigma_f / scale,
            scan=item.scan,
        )

    def _network(self, hu: FloatArray) -> FloatArray:
        return self.intensity.to_model(hu)


@dataclass(frozen=True, eq=False)
class _Noise:
    """Noise for a slice and its neighbours: mixes of the bases of the slice through one kernel.

    Attributes:
        reference: the slice.
        relative: ``[h, w]`` its local noise SD, 1 in soft tissue.
        f: ``[h, w // 2 + 1]`` radial frequency of the spectra, lp/cm.
        own: kernel of the noise that the slice has already.
        response: kernel of the noise to insert.
        mixes: ``[h, w]`` before the kernel, of the slice before, of the slice and of the slice after.
    """

    reference: Reference
    relative: FloatArray
    f: FloatArray
    own: FloatArray
    response: FloatArray
    mixes: tuple[FloatArray, FloatArray, FloatArray]

    @classmethod
    def drawn(cls, reference: Reference, rng: np.random.Generator) -> _Noise:
        """With kernel, mix and dose at random."""
        item = reference.item
        f = radial_frequency(item.hu.shape[1:], item.pixel_mm)
        own = np.interp(f, OWN_GRID, reference.own).astype(np.float32)
        response = own if rng.random() < OWN_KERNEL else draw_kernel(rng).response(f)
        theta = rng.uniform(0.0, 2.0 * np.pi)
        q0, q1, electronic = (b.astype(np.float32) for b in item.bases)
        turn = np.float32(np.cos(theta)), np.float32(np.sin(theta))
        photons = float(np.exp(rng.uniform(np.log(PHOTONS[0]), np.log(PHOTONS[1]))))
        share = np.float32(np.sqrt(rng.uniform(*ELECTRONIC) / photons) * item.electronic_ratio)
        mixed = mixes((q0, q1), share * electronic, turn)
        return cls(reference, item.relative_sd.astype(np.float32), f, own, response, mixed)

    def spectrum(self, plane: int) -> NDArray[np.complex64]:
        """Spectrum of the noise of a slice, to be scaled."""
        from scipy import fft

        return np.asarray(fft.rfft2(self.mixes[plane]) * self.response)

    def image(self, spectrum: NDArray[np.complex64]) -> FloatArray:
        """The image ``[h, w]`` of a spectrum."""
        from scipy import fft

        return np.asarray(fft.irfft2(spectrum, s=self.relative.shape), np.float32)

    def sd(self, image: FloatArray) -> float:
        """SD in soft tissue of noise whose local SD is `relative`."""
        soft = self.reference.soft
        return float(np.sqrt(np.mean((image[soft] / self.relative[soft]) ** 2)))

    def unit(self, spectrum: NDArray[np.complex64]) -> tuple[FloatArray, float]:
        """Noise of SD 1 in soft tissue, and the SD that it had."""
        image = self.image(spectrum)
        sd = max(self.sd(image), LEAST_SD)
        return image / np.float32(sd), sd

    def corrected(
        self, spectrum: NDArray[np.complex64], sd: float, inserted: float, sigma_f: float
    ) -> tuple[FloatArray, FloatArray]:
        """The target without what its own noise adds to the loss, and its noise variance ``[h, w]``, HU.

        x* = x_F less what `echo_filter` passes of the noise.

        Args:
            spectrum: of the noise n that was inserted, to be scaled.
            sd: SD that it has.
            inserted: SD that it gets.
            sigma_f: SD of the noise of the slice itself; 0 for none.
        """
        target = self.reference.item.hu[CENTRE].astype(np.float32)
        excess = np.zeros(target.shape, np.float32)
        if sigma_f > 0.0:
            own, new = noise_power(self.own, self.f, np), noise_power(self.response, self.f, np)
            echo = self.image(spectrum * echo_filter(own, new, (sigma_f / inserted) ** 2, np))
            echo *= np.float32(inserted / sd)
            target -= echo
            excess += np.float32(sigma_f**2 + self.sd(echo) ** 2) * self.relative**2
        return target, excess

    def mean_frequency(self, inserted: float, sigma_f: float) -> float:
        """Mean frequency of the noise of the slice, its own and what was inserted, lp/cm."""
        own, new = noise_power(self.own, self.f, np), noise_power(self.response, self.f, np)
        return float(mean_frequency(inserted**2 * new + sigma_f**2 * own, self.f))
