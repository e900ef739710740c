"""ANTs DenoiseImage and dipy's non-local means, as their own fields use them.

ANTs (Manjon et al. 2010) finds the local noise level itself. dipy (Coupe et al. 2008) is told the level and
that the noise is Rician, and works on the slab in three dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medidiff.volume import FloatArray
from peers.given import Given

ANTS_RADII = ((1, 2), (2, 3))
"""Patch and search radius."""

DIPY_RADII = ((1, 2), (1, 5), (2, 5))


def ants(given: Given) -> Iterator[FloatArray]:
    """ANTs DenoiseImage with its Gaussian noise model on the slice."""
    yield from _ants(given, "Gaussian")


def ants_rician(given: Given) -> Iterator[FloatArray]:
    """ANTs DenoiseImage with its Rician noise model on the slab."""
    yield from _ants(given, "Rician")


def dipy_nlm(given: Given) -> Iterator[FloatArray]:
    """dipy's nlmeans with the true level, Rician noise, three radii."""
    from dipy.denoise.nlmeans import nlmeans

    volume = np.ascontiguousarray(given.slab.transpose(1, 2, 0), np.float64)
    centre = given.centre
    if volume.shape[2] == 1:
        volume, centre = np.repeat(volume, 3, axis=2), 1
    for patch, block in DIPY_RADII:
        answer = nlmeans(volume, sigma=given.sigma, patch_radius=patch, block_radius=block, rician=True)
        yield np.asarray(answer, np.float32)[..., centre]


def _ants(given: Given, model: str) -> Iterator[FloatArray]:
    import ants as library

    slab = given.image if model == "Gaussian" else np.ascontiguousarray(given.slab.transpose(1, 2, 0))
    flat = slab[..., 0] if slab.ndim == 3 and slab.shape[2] == 1 else slab
    for p, r in ANTS_RADII:
        image = library.from_numpy(np.ascontiguousarray(flat, np.float64))
        found = library.denoise_image(image, noise_model=model, p=p, r=r, shrink_factor=1).numpy()
        yield found if found.ndim == 2 else found[..., given.centre]
