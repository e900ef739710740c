"""Run: one volume on its way through a model, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from medidiff.denoise.consistency import Consistency, gain_of
from medidiff.denoise.context import independent_step, neighbours
from medidiff.denoise.familiar import outside
from medidiff.denoise.noise_model import NoiseModel
from medidiff.denoise.orientations import averaged
from medidiff.denoise.result import Result
from medidiff.denoise.settings import Settings
from medidiff.denoise.texture import noise_source, residual_spectrum
from medidiff.denoise.tiles import run_tiled
from medidiff.denoise.untouched import Untouched
from medidiff.diffusion import samplers, schedules
from medidiff.diffusion.precondition import Precondition
from medidiff.diffusion.process import Process
from medidiff.engines.base import Engine
from medidiff.errors import CancelledError, Note
from medidiff.intensity import Intensity
from medidiff.models.bundle import Bundle
from medidiff.models.conditioning import SCAN_WIDTH, Condition, vector
from medidiff.models.processes import MATCHED, PROCESSES, make
from medidiff.noise.mr import beyond_rician, without_floor
from medidiff.noise.spectrum import Spectrum
from medidiff.volume import FloatArray, Volume

LOW_SNR, FULL_SNR = 2.0, 4.0
"""MR: below the first the multi-step state is no magnitude image of its level (Rician floor), above the
second it is as good as Gaussian; between, the answer goes over from the mean to the sampler's."""

FAR = 4.0
"""Neighbour slices noisier than a state by more than this tell nothing about it, and are left out."""

TEXTURE_SLICES = 5
"""Slices from which the noise spectrum for re-injection is measured."""

TISSUE = {"ct": -0.8, "mr": 0.1}
"""Network units above which a pixel counts as tissue there: -900 HU; a tenth of the foreground p99."""

Progress = Callable[[int, int], None]


class Run:
    """One volume on its way through the denoiser."""

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        volume: Volume,
        settings: Settings,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.bundle, self.engine = bundle, engine
        self.precondition = Precondition(bundle.sigma_data)
        self.volume, self.settings = volume, settings
        self.cancelled = cancelled or (lambda: False)
        self.intensity: Intensity = self.bundle.intensity(volume)
        self.untouched = Untouched(volume, self.intensity)
        self.noise = NoiseModel.of(volume, settings.sigma, self.bundle.modality)
        ct = self.bundle.modality == "ct"
        self.step = independent_step(volume.array, volume.padding) if ct else 1
        self.spent = 0
        self.spectrum: Spectrum | None = None
        if settings.mode == "sample" and bundle.process == MATCHED:
            self.spectrum = self._texture()
        gain = gain_of(bundle, settings.guidance)
        self.consistency = self._consistency(gain) if gain else None

    def all(self, progress: Progress | None) -> Result:
        """Every slice."""
        count = len(self.volume.array)
        out = self.volume.array.copy()
        sd = np.zeros_like(self.volume.array) if self.settings.uncertainty else None
        (first, last), *inside = self.settings.roi or ((0, count), (0, None), (0, None))
        # Whole slices, of which the region is kept: a piece of a slice would be rounded otherwise.
        part = tuple(slice(*bounds) for bounds in inside)
        for k in range(first, last):
            image, variance = self._slice(k)
            keep = self.untouched.mask(k, self.noise.of_slice(k))
            out[k][part] = self.untouched.real(k, image, keep)[part]
            if sd is not None and variance is not None:
                found = np.sqrt(variance) * np.float32(self.intensity.scale)
                sd[k][part] = np.where(keep, np.float32(0.0), found)[part]
            if progress:
                progress(k + 1 - first, last - first)
        return Result(
            self.volume.with_array(out),
            sd,
            sigma=self.noise.sigma,
            sigma_text=self.noise.text,
            evaluations=self.spent,
            context=self.step if count > 1 else 0,
            notes=self._notes(),
        )

    def _slice(self, k: int) -> tuple[FloatArray, FloatArray | None]:
        """Answer and variance of slice k, network units."""
        settings = self.settings
        y = self.intensity.to_model(self.volume.array[k])
        sigma = self._sigma(k)
        process = make(self.bundle.process, sigma, self._relative(k))
        denoised = self._network(k, sigma)
        if self.consistency is not None:
            padding = None if self.volume.padding is None else self.volume.padding[k]
            denoised = self.consistency.around(denoised, y, process, sigma, padding)
        rng = np.random.default_rng([settings.seed, k, 0])
        if settings.mode == "mean":
            found = samplers.mean(denoised, y, process, rng=rng)
            image, variance = found.image, found.variance
            self.spent = max(self.spent, found.evaluations)
        elif settings.mode == "natural":
            found = samplers.natural(denoised, y, process, self._levels("quad", sigma), rng=rng)
            image, variance = self._calm(found.image, found.mean, sigma), found.variance
            self.spent = max(self.spent, found.evaluations)
        else:
            image, variance = self._draws(k, y, sigma, process, denoised)
        if settings.mode != "sample" or settings.draws == 1:
            factor = self.bundle.uncertainty_factor(sigma)
            variance = None if variance is None else variance * np.float32(factor**2)
        if settings.coils > 1:
            image, variance = self._without_floor(k, image, variance, sigma)
        if settings.strength < 1.0:
            image = image + np.float32(1.0 - settings.strength) * (y - image)
        return image.astype(np.float32, copy=False), variance

    def _draws(
        self, k: int, y: FloatArray, sigma: float, process: Process, denoised: samplers.Denoised
    ) -> tuple[FloatArray, FloatArray | None]:
        """Mean and variance of posterior draws (one draw: the variance head's variance)."""
        # Without a spectrum the process draws white noise.
        source = None
        if self.spectrum is not None:
            source = noise_source(self.spectrum, y.shape, self.volume.pixel_mm)
        levels = self._levels("geo", sigma)
        total, square = np.zeros(y.shape), np.zeros(y.shape)
        variance: FloatArray | None = None
        for m in range(self.settings.draws):
            rng = np.random.default_rng([self.settings.seed, k, m])
            found = samplers.sample(denoised, y, process, levels, rng=rng, noise=source)
            image = self._calm(found.image, found.mean, sigma)
            total += image
            square += image.astype(np.float64) ** 2
            variance = found.variance
            self.spent = max(self.spent, found.evaluations * self.settings.draws)
        mean = total / self.settings.draws
        if self.settings.draws > 1:
            spread = (square - self.settings.draws * mean**2) / (self.settings.draws - 1)
            variance = np.maximum(spread, 0.0).astype(np.float32)
        return mean.astype(np.float32), variance

    def _network(self, k: int, t_y: float) -> samplers.Denoised:
        """denoised(x, t) of slice k: planes, condition, network, preconditioning."""
        array, pre = self.volume.array, self.precondition
        before, after = neighbours(k, self.step, len(array), self.volume.adjacent)
        kind = PROCESSES[self.bundle.process]
        planes = np.zeros((kind.planes, *array.shape[1:]), np.float32)
        context = [None if i is None else self.intensity.to_model(array[i]) for i in (before, after)]
        planes[3] = np.log(np.clip(self._relative(k), 0.05, 20.0))

        def denoised(state: Any, t: float) -> tuple[FloatArray, FloatArray]:
            self._check()
            x, y = state if isinstance(state, tuple) else (state, None)
            c_in = np.float32(pre.c_in(t))
            planes[0] = c_in * x
            near = self.bundle.process != MATCHED or t_y <= FAR * t
            for slot, neighbour in zip((1, 2), context, strict=True):
                planes[slot] = 0.0 if neighbour is None or not near else c_in * neighbour
            if y is not None:
                planes[4] = np.float32(pre.c_in(t_y)) * y
            condition = vector(
                Condition(
                    sigma=t,
                    kernel=self.noise.texture,
                    pixel_mm=self.volume.pixel_mm,
                    modality=self.bundle.modality,
                    neighbour_ratio=t_y / t if near else 1.0,
                    previous=near and before is not None,
                    following=near and after is not None,
                    scan_sigma=t_y if kind.condition == SCAN_WIDTH else None,
                )
            )[None]
            config = self.bundle.config
            network = averaged(lambda p: self.engine(p, condition), self.settings.views)
            answer = run_tiled(network, planes, self.settings.tile, config.halo, config.stride)
            t32 = np.float32(t)
            return pre.apply(answer[0], x, t32), pre.variance(answer[1], t32)

        return denoised

    def _texture(self) -> Spectrum:
        """Noise spectrum of the scan from a few slices' y - D."""
        count = len(self.volume.array)
        residuals, masks = [], []
        for k in np.unique(np.linspace(0, count - 1, TEXTURE_SLICES + 2).astype(int)):
            y = self.intensity.to_model(self.volume.array[k])
            sigma = self._sigma(int(k))
            mean, _ = self._network(int(k), sigma)(y, sigma)
            residuals.append((y - mean) / np.maximum(self._relative(int(k)), 0.05))
            inside = mean > TISSUE[self.bundle.modality]
            masks.append(inside if self.volume.padding is None else inside & ~self.volume.padding[k])
        return residual_spectrum(residuals, masks, self.volume.pixel_mm, self.bundle.modality)

    def _consistency(self, gain: float) -> Consistency:
        """The noise spectrum of the scan without a network's help."""
        count = len(self.volume.array)
        some = np.unique(np.linspace(0, count - 1, TEXTURE_SLICES + 2).astype(int))
        slices = [self.intensity.to_model(self.volume.array[k]) for k in some]
        tissue = [y > TISSUE[self.bundle.modality] for y in slices]
        return Consistency.of(gain, slices, tissue, self.volume.pixel_mm, self.bundle.modality)

    def _levels(self, kind: str, sigma: float) -> schedules.Levels:
        steps, process = self.settings.evaluations, self.bundle.process
        if process in ("ddpm", "prior") and steps + 1 == len(schedules.FAST_DDPM):
            return schedules.FAST_DDPM
        if process != MATCHED:
            return schedules.uniform(steps)
        return schedules.grid(kind, self.settings.evaluations, sigma, self.bundle.trained.sigma[0])  # type: ignore[arg-type]

    def _sigma(self, k: int) -> float:
        """Noise SD of slice k in network units, held to what the network was trained on."""
        low, high = self.bundle.trained.sigma
        return float(np.clip(self.noise.of_slice(k) / self.intensity.scale, low, high))

    def _relative(self, k: int) -> FloatArray:
        """Local noise SD over that of the slice."""
        relative = self.noise.relative(k)
        return np.ones(self.volume.array.shape[1:], np.float32) if relative is None else relative

    def _without_floor(
        self, k: int, image: FloatArray, variance: FloatArray | None, sigma: float
    ) -> tuple[FloatArray, FloatArray | None]:
        """The signal under the floor of several coils; the network has removed one coil's part of it."""
        floor = beyond_rician(np.float32(sigma) * self._relative(k), self.settings.coils)
        return without_floor(image, variance, floor)

    def _calm(self, image: FloatArray, mean: FloatArray, sigma: float) -> FloatArray:
        """MR at low SNR: the posterior mean instead of a state that is no magnitude image."""
        if self.bundle.modality != "mr":
            return image
        snr = mean / np.float32(sigma)
        share = np.clip((snr - LOW_SNR) / (FULL_SNR - LOW_SNR), 0.0, 1.0)
        return np.asarray(mean + share * (image - mean), np.float32)

    def _check(self) -> None:
        """Stops between two network evaluations if the user wants it."""
        if self.cancelled():
            raise CancelledError("Cancelled; nothing was written")

    def _notes(self) -> tuple[str, ...]:
        """What a user should know: above all where this scan lies outside of what the model has seen."""
        count = len(self.volume.array)
        scale, texture = self.intensity.scale, self.noise.texture
        levels = [self.noise.of_slice(k) / scale for k in range(count)]
        notes = [
            *self.noise.notes,
            *outside(self.bundle, self.volume, self.noise.sigma, levels, scale, texture),
        ]
        notes += self.untouched.notes()
        if self.step > 1:
            notes.append(Note(f"slices overlap: context is taken {self.step} slices away", "overlap"))
        return tuple(notes)
