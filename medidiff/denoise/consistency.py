"""Data consistency: an answer pulled towards the scan, for networks that have not used the scan.

The exact step needs two spectra: that of the scan's noise, t_y^2 S, and that of the estimate's error, V_t.
Both come from the scan: S from its flattest patches, the shape of V_t from the power that anatomy has
beyond the noise; the size of V_t is what the network's variance head says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medidiff.denoise.texture import residual_spectrum
from medidiff.diffusion.guidance import guided
from medidiff.diffusion.process import Process
from medidiff.diffusion.samplers import Denoised
from medidiff.errors import UsageError
from medidiff.models.bundle import Bundle
from medidiff.models.processes import PROCESSES
from medidiff.noise.spectrum import Spectrum, hann_patches
from medidiff.volume import BoolArray, FloatArray

FLATTEST = 0.25
"""Share of the patches of tissue that are flat enough to show noise alone."""

PATCH = 32
BINS = 24
LEAST_SHARE = 1e-3
"""Anatomy has at least this share of the scan's power at any frequency."""


def gain_of(bundle: Bundle, asked: float | None) -> float:
    """The gain g of data consistency for a model.

    Args:
        bundle: the model.
        asked: what the user asked for; None for 1 where the network never sees the scan, else 0.

    Raises:
        UsageError: the network has used the scan already, or it never sees the scan and none is to be used.
    """
    kind = PROCESSES[bundle.process]
    if kind.uses_scan:
        if asked:
            raise UsageError(
                f"The model {bundle.name!r} has used the scan already (process {bundle.process}, "
                f"{kind.title}): data consistency would count it twice",
                received=f"--guidance {asked:g}",
                hint="Leave out --guidance. To stay closer to the scan, use --strength.",
            )
        return 0.0
    if asked == 0.0:
        raise UsageError(
            f"The model {bundle.name!r} never sees the scan (process {bundle.process}): without data "
            "consistency it would invent one",
            received="--guidance 0",
            hint="Use a value up to 1.",
        )
    return 1.0 if asked is None else asked


@dataclass(frozen=True, eq=False)
class Consistency:
    """What is needed to pull an estimate towards a scan.

    Attributes:
        gain: g, 0 to 1.
        noise: spectrum of the scan's noise, any scale.
        pixel_mm: pixel size.
    """

    gain: float
    noise: Spectrum
    pixel_mm: float

    @classmethod
    def of(
        cls, gain: float, slices: list[FloatArray], tissue: list[BoolArray], pixel_mm: float, modality: str
    ) -> Consistency:
        """Measures the noise of a scan.

        Args:
            gain: g.
            slices: some slices ``[h, w]``, network units.
            tissue: where they show tissue.
            pixel_mm: pixel size.
            modality: ``"ct"`` or ``"mr"``.
        """
        from scipy import ndimage

        fine = [y - ndimage.gaussian_filter(y, 4.0) for y in slices]
        parts = [
            hann_patches(a, m, PATCH) for a, m in zip(fine, tissue, strict=True) if min(a.shape) >= PATCH
        ]
        patches = np.concatenate(parts) if parts else np.zeros((0, PATCH, PATCH), np.float32)
        order = np.argsort(patches.var((1, 2)))[: max(8, int(FLATTEST * len(patches)))]
        flat = list(patches[order])
        inside = [np.ones((PATCH, PATCH), np.bool_)] * len(flat)
        return cls(gain, residual_spectrum(flat, inside, pixel_mm, modality, PATCH), pixel_mm)

    def around(
        self, denoised: Denoised, y: FloatArray, process: Process, sigma: float, padding: BoolArray | None
    ) -> Denoised:
        """The network's estimate made consistent with slice y (`guided`).

        Args:
            denoised: the network.
            y: scan ``[h, w]``.
            process: must not use the scan otherwise.
            sigma: noise SD of the slice.
            padding: pixels without image, or None; they count as equal to the mean.
        """
        known = y if padding is None or padding.all() else np.where(padding, y[~padding].mean(), y)
        radius = _radial(y.shape, self.pixel_mm)
        noise = np.maximum(self.noise(radius.astype(np.float32)), 1e-12).astype(np.float64)
        noise *= sigma**2 / noise.mean()
        scan = np.abs(np.fft.fft2(known - known.mean())) ** 2 / y.size
        anatomy = _radial_mean(np.maximum(scan - noise, LEAST_SHARE * scan), radius)

        def error_power(t: float) -> np.ndarray:
            # Error of the estimate from a state with white noise of SD t, for Gaussian anatomy.
            return np.asarray(anatomy * t * t / (anatomy + t * t))

        return guided(denoised, y, process, noise, error_power, self.gain, scale_to_variance=True)


def _radial(shape: tuple[int, ...], pixel_mm: float) -> np.ndarray:
    """Frequency in lp/cm on the `numpy.fft.fft2` grid."""
    fy, fx = (np.fft.fftfreq(n, pixel_mm / 10.0) for n in shape)
    return np.asarray(np.hypot(fy[:, None], fx[None, :]))


def _radial_mean(power: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A power spectrum averaged over rings, narrow ones at low frequency where anatomy falls steeply."""
    edges = radius.max() * (np.linspace(0.0, 1.0, BINS + 1) ** 2)
    which = np.clip(np.digitize(radius, edges) - 1, 0, BINS - 1).ravel()
    total, count = np.bincount(which, power.ravel(), BINS), np.bincount(which, minlength=BINS)
    mean = total / np.maximum(count, 1)
    return np.asarray(mean[which].reshape(radius.shape))
