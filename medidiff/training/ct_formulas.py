"""What a CT training slice is made of, as formulas that NumPy and JAX share: noise, spectra, texture.

`ct_source` draws and computes on the CPU, `device_ct` on an accelerator; the physics of both stands here.
"""

from __future__ import annotations

from medidiff.diffusion.arrays import Array, Namespace

TARGET_RATIO = 1.41
"""A state of level t may use targets up to t / 1.41 (a <= 0.5)."""

MAX_FILTER = 2.0
"""Cap of S_F / S_ins: where the target's own noise dominates a frequency, the target says little about it."""

OWN_KERNEL = 0.55
"""Share of samples whose inserted noise has the scan's own measured kernel."""

PHOTONS = (4e3, 5e5)
"""Photons a ray, I0 of `medidiff.noise.ct.Scanner`; log-uniform."""

ELECTRONIC = (5.0, 20.0)
"""Electronic noise variance, Ne of `medidiff.noise.ct.Scanner`."""

LEAST_SD = 1e-9
"""HU; so that noise can be divided by its SD where there is none."""

TEXTURE_TOLD = (0.86, 1.0)
"""The network is told the mean frequency as the blind estimate reads it: up to 14 % below that of the
ideal ramp, because interpolation in real and simulated reconstructions takes away the highest frequencies."""


def mixes(
    quantum: tuple[Array, Array], electronic: Array, turn: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    """Noise before the kernel, of the slice before, of the slice and of the slice after.

    Two orthogonal mixes of the quantum realisations: one for the slice, one for a neighbour. The other
    neighbour takes a mirrored mix: a body is nearly symmetric, and so is its noise.

    Args:
        quantum: two realisations ``[h, w]``.
        electronic: the electronic part, as strong as it is to be.
        turn: cosine and sine of the angle of the mix.
    """
    (q0, q1), (c, s) = quantum, turn
    return c * q1 - s * q0, c * q0 + s * q1 + electronic, (c * q0 - s * q1)[:, ::-1]


def noise_power(response: Array, f: Array, xp: Namespace) -> Array:
    """Noise power of a kernel behind the ramp, integral 1.

    Args:
        response: amplitude of the kernel.
        f: radial frequency, lp/cm.
        xp: ``numpy`` or ``jax.numpy``.
    """
    power = f * response * response
    return power / xp.maximum(power.sum(), 1e-12)


def echo_filter(own: Array, inserted: Array, share: Array, xp: Namespace) -> Array:
    """S_F / S_ins at each frequency, capped: the part of inserted noise that the corrected target takes.

    x* = x_F - F^-1[(S_F / S_ins) F n]: (1 - A)^-1 (x_F - A y) with A = S_F / (S_F + S_ins), which is the
    correction of `medidiff.diffusion.objective.NoisyTarget` at each frequency.

    Args:
        own: `noise_power` of the noise that the slice has.
        inserted: that of the noise to insert.
        share: variance of the first over that of the second.
        xp: ``numpy`` or ``jax.numpy``.
    """
    ratio = xp.where(inserted > 0, own / xp.maximum(inserted, 1e-12), 1.0)
    return xp.minimum(share * ratio, MAX_FILTER)


def mean_frequency(power: Array, f: Array) -> Array:
    """Mean frequency of noise ``[h, w // 2 + 1]``, lp/cm."""
    return (power * f).sum() / power.sum()
