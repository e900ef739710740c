"""Run: one volume on its way through a model, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from medidiff import scratch
from medidiff.denoise.consistency import Consistency, gain_of
from medidiff.denoise.context import independent_step, interpolated_step
from medidiff.denoise.counter import Counter, Progress
from medidiff.denoise.evaluator import Evaluator
from medidiff.denoise.familiar import outside
from medidiff.denoise.level import agreement
from medidiff.denoise.noise_model import NoiseModel
from medidiff.denoise.planes import Planes, has_planes, look, rows_for
from medidiff.denoise.result import Result
from medidiff.denoise.settings import Settings
from medidiff.denoise.spread import about_the_truth, of_draws, trusted
from medidiff.denoise.surround import Surround
from medidiff.denoise.texture import TISSUE, noise_source, residual_spectrum
from medidiff.denoise.untouched import Untouched
from medidiff.diffusion import samplers, schedules
from medidiff.diffusion.process import Process
from medidiff.engines.base import Engine
from medidiff.errors import Note
from medidiff.intensity import Intensity
from medidiff.models.bundle import Bundle
from medidiff.models.conditioning import RELATIVE_SD
from medidiff.models.processes import MATCHED, make
from medidiff.noise.floor import beyond_rician, without_floor
from medidiff.noise.spectrum import Spectrum
from medidiff.volume import FloatArray, Volume, spread

SPECTRUM_SLICES = 7
"""Slices, the first and the last among them, from which the noise spectrum of the scan is measured."""


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
        self.bundle, self.volume, self.settings = bundle, volume, settings
        self.intensity: Intensity = bundle.intensity(volume)
        self.surround = Surround(volume, self.intensity)
        self.untouched = Untouched(volume, self.intensity, self.surround)
        self.noise = NoiseModel.of(volume, settings.sigma, bundle.modality)
        if bundle.modality == "ct":
            step = independent_step(volume.array, self.surround.of_slice)
        else:
            step = interpolated_step(volume.array, self.surround.of_slice, volume.adjacent)
        self.evaluator = Evaluator(
            bundle, engine, volume, self.intensity, self.surround, self.noise, step, settings.views,
            settings.tile, cancelled or (lambda: False),
        )  # fmt: skip
        if settings.sigma is None and bundle.process == MATCHED:
            self.noise = self.noise.scaled(agreement(self.evaluator), volume.unit)
            self.evaluator = replace(self.evaluator, noise=self.noise)
        self.planes: Planes | None = None
        self.spent = 0
        self.spectrum: Spectrum | None = None
        if settings.mode == "sample" and bundle.process == MATCHED:
            self.spectrum = self._texture()
        gain = gain_of(bundle, settings.guidance)
        self.consistency = self._consistency(gain) if gain else None

    def all(self, progress: Progress | None) -> Result:
        """Every slice."""
        count = len(self.volume.array)
        out = scratch.copy(self.volume.array)
        sd = scratch.zeros(out.shape) if self.settings.uncertainty else None
        (first, last), *inside = self.settings.roi or ((0, count), (0, None), (0, None))
        # Whole slices, of which the region is kept: a piece of a slice would be rounded otherwise.
        part = tuple(slice(*bounds) for bounds in inside)
        rows = self._rows()
        tick = Counter(last - first + sum(end - start for start, end in rows), progress)
        if rows:
            sigma = self.noise.sigma if self.settings.sigma is None else self.settings.sigma
            self.planes = look(self.evaluator, sigma, rows, self.settings.uncertainty, tick)
        for k in range(first, last):
            image, variance = self._slice(k)
            keep = self.untouched.mask(k, self.noise.of_slice(k))
            out[k][part] = self.untouched.real(k, image, keep, floor=self.settings.coils == 1)[part]
            if sd is not None and variance is not None:
                found = np.sqrt(variance) * np.float32(self.intensity.scale)
                sd[k][part] = np.where(keep, np.float32(0.0), found)[part]
            scratch.release(self.volume.array, out, sd)
            tick()
        return Result(
            self.volume.with_array(out),
            sd,
            sigma=self.noise.sigma,
            sigma_text=self.noise.text,
            evaluations=self.spent,
            context=self.evaluator.step if count > 1 else 0,
            planes=3 if self.planes else 1,
            notes=self._notes(),
        )

    def _rows(self) -> tuple[tuple[int, int], ...]:
        """Bounds of the slices of the other planes that the answer asks for; none where it asks for none."""
        settings = self.settings
        wanted = settings.all_planes and self.bundle.modality == "mr" and self.bundle.process == MATCHED
        if not (wanted and has_planes(self.volume)):
            return ()
        # Only the mean does not ask for what lies around the region.
        return rows_for(self.volume, settings.roi if settings.mode == "mean" else None)

    def _slice(self, k: int) -> tuple[FloatArray, FloatArray | None]:
        """Answer and variance of slice k, network units."""
        settings = self.settings
        y, sigma = self.evaluator.scan(k), self.evaluator.sigma(k)
        process = make(self.bundle.process, sigma, self.evaluator.relative(k))
        denoised = self._denoised(k, sigma)
        if self.consistency is not None:
            outside = self.surround.of_slice(k)
            denoised = self.consistency.around(denoised, y, process, sigma, outside)
        rng = np.random.default_rng([settings.seed, k, 0])
        if settings.mode == "mean":
            found = samplers.mean(denoised, y, process, rng=rng)
            image, variance = found.image, found.variance
            self.spent = max(self.spent, found.evaluations)
        elif settings.mode == "natural":
            found = samplers.natural(denoised, y, process, self._levels("quad", sigma), rng=rng)
            image, _ = self._calm(k, found, sigma)
            variance = about_the_truth(image, found.mean, found.variance) if settings.uncertainty else None
            self.spent = max(self.spent, found.evaluations)
        else:
            image, variance = self._draws(k, y, sigma, process, denoised)
        if settings.coils > 1:
            image, variance = self._without_floor(k, image, variance, sigma)
        if settings.strength < 1.0:
            image = image + np.float32(1.0 - settings.strength) * (y - image)
        return image.astype(np.float32, copy=False), variance

    def _draws(
        self, k: int, y: FloatArray, sigma: float, process: Process, denoised: samplers.Denoised
    ) -> tuple[FloatArray, FloatArray | None]:
        """Mean of posterior draws, and the variance of the truth about it."""
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
            image, share = self._calm(k, found, sigma)
            total += image
            square += image.astype(np.float64) ** 2
            self.spent = max(self.spent, found.evaluations * self.settings.draws)
        mean = total / self.settings.draws
        if self.settings.draws > 1:
            spread = (square - self.settings.draws * mean**2) / (self.settings.draws - 1)
            few = np.maximum(spread, 0.0).astype(np.float32)
            variance = of_draws(few, self.settings.draws, share, found.variance)
        elif self.settings.uncertainty:
            variance = about_the_truth(image, found.mean, found.variance)
        return mean.astype(np.float32), variance

    def _denoised(self, k: int, sigma: float) -> samplers.Denoised:
        """denoised(x, t) of slice k; all planes have a part in the answer to the scan itself."""
        alone = self.evaluator.denoised(k, sigma)
        if self.planes is None:
            return alone
        planes = self.planes

        def denoised(state: Any, t: float) -> tuple[FloatArray, FloatArray | None]:
            d, v = alone(state, t)
            return planes.joined(k, d, v) if t >= sigma else (d, v)

        return denoised

    def _texture(self) -> Spectrum:
        """Noise spectrum of the scan from a few slices' y - D."""
        residuals, masks = [], []
        for k in map(int, spread(len(self.volume.array), SPECTRUM_SLICES)):
            y, sigma = self.evaluator.scan(k), self.evaluator.sigma(k)
            mean, _ = self.evaluator.denoised(k, sigma)(y, sigma)
            residuals.append((y - mean) / np.maximum(self.evaluator.relative(k), RELATIVE_SD[0]))
            inside = mean > TISSUE[self.bundle.modality]
            outside = self.surround.of_slice(k)
            masks.append(inside if outside is None else inside & ~outside)
            scratch.release(self.volume.array)
        return residual_spectrum(residuals, masks, self.volume.pixel_mm, self.bundle.modality)

    def _consistency(self, gain: float) -> Consistency:
        """The noise spectrum of the scan without a network's help."""
        some = spread(len(self.volume.array), SPECTRUM_SLICES)
        slices = [self.evaluator.scan(int(k)) for k in some]
        scratch.release(self.volume.array)
        tissue = [y > TISSUE[self.bundle.modality] for y in slices]
        return Consistency.of(gain, slices, tissue, self.volume.pixel_mm, self.bundle.modality)

    def _levels(self, kind: Literal["geo", "quad"], sigma: float) -> schedules.Levels:
        steps, process = self.settings.evaluations, self.bundle.process
        if process in ("ddpm", "prior") and steps + 1 == len(schedules.FAST_DDPM):
            return schedules.FAST_DDPM
        if process != MATCHED:
            return schedules.uniform(steps)
        low, left = self.bundle.trained.sigma[0], schedules.LEFT[self.bundle.modality]
        return schedules.grid(kind, steps, sigma, low, left)

    def _without_floor(
        self, k: int, image: FloatArray, variance: FloatArray | None, sigma: float
    ) -> tuple[FloatArray, FloatArray | None]:
        """The signal under the floor of several coils; the network has removed one coil's part of it."""
        floor = beyond_rician(np.float32(sigma) * self.evaluator.relative(k), self.settings.coils)
        return without_floor(image, variance, floor)

    def _calm(
        self, k: int, found: samplers.Estimate, sigma: float
    ) -> tuple[FloatArray, FloatArray | np.float32]:
        """The sampler's answer for slice k where it can be trusted, and its share in what is returned."""
        share = trusted(found.mean, sigma * self.evaluator.relative(k), self.bundle.modality)
        return np.asarray(found.mean + share * (found.image - found.mean), np.float32), share

    def _notes(self) -> tuple[str, ...]:
        """What a user should know: above all where this scan lies outside of what the model has seen."""
        count = len(self.volume.array)
        scale, texture = self.intensity.scale, self.noise.texture
        levels = [self.noise.of_slice(k) / scale for k in range(count)]
        notes = list(outside(self.bundle, self.volume, self.noise.sigma, levels, scale, texture))
        notes += self.untouched.notes()
        if self.evaluator.step > 1:
            why = "overlap" if self.bundle.modality == "ct" else "share noise, as interpolated ones do"
            text = f"slices {why}: context is taken {self.evaluator.step} slices away"
            notes.append(Note(text, "overlap"))
        return tuple(notes)
