"""CT samples: cached slices with a fresh dose, kernel and mix of their noise bases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import NoImageError
from medidiff.intensity import Intensity
from medidiff.noise import ct
from medidiff.noise.spectrum import Kernel, draw_kernel, hann_patches, noise_power_spectrum, radial_frequency
from medidiff.training import ct_cache
from medidiff.training.config import TrainConfig
from medidiff.training.inserts import draw_inserts
from medidiff.training.patches import SimulatedSlice
from medidiff.volume import FloatArray

TARGET_RATIO = 1.41
"""A state of level t may use targets up to t / 1.41 (a <= 0.5)."""

MAX_TARGET_SD = 32.0
"""HU; noisier slices are no targets."""

MAX_FILTER = 2.0
"""Cap of S_F / S_ins: where the target's own noise dominates a frequency, the target says little about it."""

OWN_KERNEL = 0.55
"""Share of samples whose inserted noise has the scan's own measured kernel."""


@dataclass(frozen=True)
class Reference:
    """A cached slice as a training target.

    Attributes:
        item: pixels and noise bases.
        sigma: its own noise SD, HU.
        own: its kernel relative to the ramp, amplitude on `OWN_GRID`.
        soft: mask for the noise level.
        weight: loss weight.
        worth: where there is a body.
    """

    item: ct_cache.Item
    sigma: float
    own: FloatArray
    soft: NDArray[np.bool_]
    weight: FloatArray
    worth: NDArray[np.bool_]


BINNED = 0.4
"""Noise of a mean of three slices binned two by two, over that of one: 1/sqrt(3) times 0.7 for its colour."""

TEXTURE_TOLD = (0.86, 1.0)
"""The network is told the mean frequency as the blind estimate reads it: up to 14 % below that of the
ideal ramp, because interpolation in real and simulated reconstructions takes away the highest frequencies."""

OWN_GRID = np.linspace(0.0, 14.0, 57).astype(np.float32)
"""Frequencies in lp/cm of the measured kernels."""


class CTSource:
    """Draws simulated low-dose CT slices; every slice is a function of the generator passed in.

    Args:
        config: the training run.
        role: ``"train"`` or ``"val"``.
    """

    def __init__(self, config: TrainConfig, role: str = "train") -> None:
        self.config = config
        # Validation stays comparable between runs: it sees the scans as they are.
        self.insert_share = config.data.insert_share if role == "train" else 0.0
        self.intensity = Intensity.ct()
        if config.data.pack:
            from medidiff.training import pack

            everything = pack.references(config, role)
        else:
            everything = cached_references(config, role)
        self.references = [r for r in everything if not r.item.clean and r.sigma <= MAX_TARGET_SD]
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
            if t < TARGET_RATIO * reference.sigma:
                reference = self.clean[int(rng.integers(len(self.clean)))]
        # Below 1.41 sigma_F no correction exists; the slab means of the clean pool then count as truth.
        sigma_f = reference.sigma if t >= TARGET_RATIO * reference.sigma else 0.0
        if self.insert_share and rng.random() < self.insert_share:
            item = reference.item
            hu = np.maximum(item.hu + draw_inserts(item.hu, item.pixel_mm, rng), np.float32(ct_cache.LOW_HU))
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

        neighbour_t = t
        if rng.random() < 0.3:
            neighbour_t = t * float(np.exp(rng.uniform(0.0, np.log(10.0))))
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


def cached_references(config: TrainConfig, role: str) -> list[Reference]:
    """All slices of the cache of a role, with their measured levels and kernels."""
    target = ct_cache.folder(config) / role
    paths = sorted(target.glob("[!.]*.npz"))
    if not paths:
        raise NoImageError(
            "The CT noise cache is empty", where=target, hint="`medidiff train` fills it before training."
        )
    items = [ct_cache.load(p) for p in paths]
    kernels, levels = measured_kernels(items), measured_levels(items)
    weight = config.optimiser.soft_weight
    return [
        _reference(item, levels[item.scan, item.clean][k], kernels[item.scan], weight)
        for item, k in zip(items, _rank(items), strict=True)
    ]


def _normalised(response: FloatArray, f: FloatArray) -> FloatArray:
    """Noise power of a kernel behind the ramp, integral 1."""
    power = f * response * response
    return np.asarray(power / max(float(power.sum()), 1e-12), np.float32)


def _spectrum_ratio(own: FloatArray, response: FloatArray, f: FloatArray) -> FloatArray:
    """S_F / S_ins at equal SD."""
    ours, theirs = _normalised(own, f), _normalised(response, f)
    return np.asarray(np.where(theirs > 0, ours / np.maximum(theirs, 1e-12), 1.0), np.float32)


def _reference(item: ct_cache.Item, sigma: float, own: FloatArray, soft_weight: float) -> Reference:
    from scipy import ndimage

    hu = item.hu[1].astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, 2.0)
    weight = np.where((smooth > -200.0) & (smooth < 200.0), soft_weight, 1.0).astype(np.float32)
    return Reference(item, sigma, own, ct.soft_tissue(hu), weight, smooth > -900.0)


def _rank(items: list[ct_cache.Item]) -> list[int]:
    """Place of each item among those of its scan and pool."""
    seen: dict[tuple[str, bool], int] = {}
    ranks = []
    for item in items:
        key = (item.scan, item.clean)
        ranks.append(seen.get(key, 0))
        seen[key] = ranks[-1] + 1
    return ranks


def measured_levels(items: list[ct_cache.Item]) -> dict[tuple[str, bool], list[float]]:
    """Noise SD in HU of each item, by scan and pool, steadied by its neighbours in the scan.

    The global noise level of one slice scatters; the dose changes slowly along a scan, so that a running
    median of five is used. Slices without enough soft tissue take the median of their scan. Binned slab
    means have too little flat tissue to measure; they carry `BINNED` of the level of their scan.
    """
    from scipy import ndimage

    from medidiff.noise.estimate_ct import global_noise_level

    raw: dict[tuple[str, bool], list[float]] = {}
    for item in [i for i in items if not i.clean]:
        sigma, _ = global_noise_level(item.hu[1].astype(np.float32))
        raw.setdefault((item.scan, False), []).append(sigma)
    levels = {}
    for key, values in raw.items():
        found = np.asarray(values)
        middle = float(np.nanmedian(found)) if np.isfinite(found).any() else MAX_TARGET_SD + 1.0
        found = np.where(np.isfinite(found), found, middle)
        if len(found) > 1:  # of a single value scipy's filter makes 0
            found = ndimage.median_filter(found, 5, mode="nearest")
        levels[key] = [float(v) for v in found]
    for item in [i for i in items if i.clean]:
        parent = float(np.median(levels[item.scan, False]))
        levels.setdefault((item.scan, True), []).append(BINNED * parent)
    return levels


def measured_kernels(items: list[ct_cache.Item], size: int = 32) -> dict[str, FloatArray]:
    """Kernel of each scan relative to the ramp, from the noise in its flat soft tissue.

    The NPS of flat patches over that of the ramp-filtered bases in the same places is A^2. Below
    1.2 lp/cm anatomy leaks into the patches, so A is held constant there; where too few flat patches
    exist, a typical body kernel stands in.

    Returns:
        For each scan label, amplitude on `OWN_GRID`, 1 at low frequency.
    """
    from scipy import ndimage

    tables: dict[str, FloatArray] = {}
    for label in sorted({i.scan for i in items}):
        image, ramp, pixel_mm = [], [], 0.7
        for item in [i for i in items if i.scan == label and not i.clean]:
            hu = item.hu[1].astype(np.float32)
            pixel_mm = item.pixel_mm
            mean = ndimage.uniform_filter(hu, 9)
            local = np.sqrt(np.maximum(ndimage.uniform_filter(hu * hu, 9) - mean * mean, 0.0))
            mask = ct.soft_tissue(hu)
            if mask.sum() < 200:
                continue
            flat = mask & (local < 1.5 * np.percentile(local[mask], 20))
            flat = ndimage.binary_dilation(ndimage.binary_erosion(flat), iterations=3)
            high = hu - ndimage.gaussian_filter(hu, 6.0)
            image.append(hann_patches(high, flat, size))
            ramp.append(hann_patches(item.bases[0].astype(np.float32), flat, size))
        count = sum(map(len, image))
        response = Kernel().response(OWN_GRID)
        if count >= 8:
            measured = noise_power_spectrum(np.concatenate(image), pixel_mm, 16)
            base = noise_power_spectrum(np.concatenate(ramp), pixel_mm, 16)
            amplitude = np.sqrt(measured.power / np.maximum(base.power, 1e-12))
            amplitude = ndimage.gaussian_filter1d(amplitude, 0.7)
            level = float(np.interp(1.2, measured.f, amplitude))
            response = np.interp(OWN_GRID, measured.f, amplitude / max(level, 1e-9)).astype(np.float32)
            response[OWN_GRID < 1.2] = 1.0
            response = np.clip(response, 0.01, 3.0)
        tables[label] = response.astype(np.float32)
    return tables
