"""Penalties: optional loss terms on the mean of HU bins and on the spectrum of what was removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from medidiff.diffusion import objective
from medidiff.diffusion.precondition import Precondition
from medidiff.intensity import Intensity
from medidiff.training.config import OptimiserConfig
from medidiff.volume import HU_EDGES

MR_EDGES = (0.0, 0.1, 0.3, 0.6, 1.0, 4.0)
"""MR intensities in units of the foreground p99, in place of HU bins."""

LOW_PASS = 5
"""Side in pixels of the mean that decides about the bin of a pixel: a noisy target would mislead."""

RINGS = 12


@dataclass(frozen=True)
class Penalties:
    """Weights of the optional terms.

    Attributes:
        bias: of L_bias = sum over bins of (mean of (D - x) / c_out over the batch)^2; divided by
            c_out as lambda(s) divides the squared error.
        nps: of the squared log spectral distance between what was removed, y - D, and the noise, y - x.
        edges: bin edges, network units.
    """

    bias: float = 0.0
    nps: float = 0.0
    edges: tuple[float, ...] = ()

    @classmethod
    def of(cls, config: OptimiserConfig, modality: str = "ct") -> Penalties:
        """As a run asks for."""
        units = Intensity.ct()
        ct = tuple((hu - units.offset) / units.scale for hu in HU_EDGES)
        return cls(config.bias, config.nps, ct if modality == "ct" else MR_EDGES)

    def __call__(self, D: Any, samples: tuple[Any, ...], precondition: Precondition) -> Any:
        """The weighted sum of the terms; 0 where both weights are 0.

        Args:
            D: estimates ``[n, p, p]``.
            samples: ``Samples.arrays()``.
            precondition: EDM coefficients.
        """
        state, target, sigma = samples[2], samples[3], samples[4]
        loss: Any = 0.0
        if self.bias:
            error = (D - target) / precondition.c_out(sigma[:, None, None])
            smooth = ops.average_pool(target[..., None], LOW_PASS, strides=1, padding="same")[..., 0]
            loss = loss + self.bias * objective.bias_loss(error, smooth, xp=ops, edges=self.edges)
        if self.nps:
            loss = loss + self.nps * spectral_distance(state - D, state - target, sigma)
        return loss


def spectral_distance(removed: Any, noise: Any, sigma: Any) -> Any:
    """Mean over rings of frequency of (ln power of `removed` - ln power of `noise`)^2, over the batch.

    Args:
        removed: ``[n, p, p]``.
        noise: likewise.
        sigma: noise SD of each patch ``[n]``, by which both are divided, so that no patch outweighs others.
    """
    size = int(noise.shape[-1])
    rings = _Rings(size)
    powers = [rings.power(a / sigma[:, None, None]) for a in (removed, noise)]
    difference = ops.log(powers[0] + 1e-8) - ops.log(powers[1] + 1e-8)
    return ops.mean(difference**2)


@dataclass(frozen=True)
class _Rings:
    """Rings of equal width in the Fourier plane of patches of one size."""

    size: int

    @cached_property
    def window(self) -> NDArray[np.float32]:
        window = np.hanning(self.size)[:, None] * np.hanning(self.size)[None, :]
        return np.asarray(window / np.sqrt((window**2).mean()), np.float32)

    @cached_property
    def share(self) -> NDArray[np.float32]:
        """``[size * size, RINGS]``: mean over the members of each ring."""
        f = np.hypot(np.fft.fftfreq(self.size)[:, None], np.fft.fftfreq(self.size)[None, :]).ravel()
        which = np.digitize(f, np.linspace(0.0, 0.5, RINGS + 1)) - 1
        member = (which[:, None] == np.arange(RINGS)) & (f > 0)[:, None]
        return np.asarray(member / np.maximum(member.sum(0), 1), np.float32)

    def power(self, images: Any) -> Any:
        """Power in each ring, averaged over the images."""
        images = (images - ops.mean(images, axis=(1, 2), keepdims=True)) * self.window
        real, imaginary = ops.fft2((images, ops.zeros_like(images)))
        power = ops.mean(real**2 + imaginary**2, axis=0) / self.size**2
        return ops.matmul(ops.reshape(power, (1, -1)), self.share)[0]
