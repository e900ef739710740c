"""The other methods, each with the setting that suits it best.

TV and NLM get the noise level and, over a grid, the strength with the smallest error against the
reference: an advantage that no user has, and that medidiff does not get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Method = Callable[[FloatArray, float], Iterator[FloatArray]]


def tv(image: FloatArray, sigma: float) -> Iterator[FloatArray]:
    """Total variation (Chambolle), scikit-image."""
    from skimage.restoration import denoise_tv_chambolle

    for strength in (0.3, 0.5, 0.75, 1.0, 1.4, 2.0):
        yield denoise_tv_chambolle(image / sigma, weight=strength, max_num_iter=200) * sigma


def nlm(image: FloatArray, sigma: float) -> Iterator[FloatArray]:
    """Non-local means, fast mode, 5x5 patches, 13x13 search, scikit-image."""
    from skimage.restoration import denoise_nl_means

    for strength in (0.4, 0.6, 0.8, 1.1):
        yield denoise_nl_means(
            image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, fast_mode=True
        )


def ants(image: FloatArray, sigma: float, model: str = "Gaussian") -> Iterator[FloatArray]:
    """ANTs DenoiseImage (Manjon et al. 2010); estimates the noise itself, two patch and search radii."""
    import ants as library

    for p, r in ((1, 2), (2, 3)):
        found = library.denoise_image(
            library.from_numpy(image.astype(np.float64)), noise_model=model, p=p, r=r, shrink_factor=1
        )
        yield found.numpy()


def ants_rician(image: FloatArray, sigma: float) -> Iterator[FloatArray]:
    """ANTs DenoiseImage with its Rician noise model."""
    yield from ants(image, sigma, "Rician")


def bm3d(image: FloatArray, sigma: float) -> Iterator[FloatArray]:
    """BM3D with the true noise level, white (the package is not free software; comparison only)."""
    import bm3d as library

    yield library.bm3d(image, sigma_psd=sigma)


def without_floor(method: Method) -> Method:
    """The method as it is, and with its mean magnitudes freed from the Rician floor in two ways.

    An average of magnitudes is above the signal: by sigma^2 in the square where there is signal, by up to
    2 sigma^2 in air.
    """

    def both(image: FloatArray, sigma: float) -> Iterator[FloatArray]:
        for answer in method(image, sigma):
            yield answer
            for share in (1.0, 2.0):
                yield np.sqrt(np.maximum(np.square(answer) - share * sigma**2, 0.0))

    return both


CT_PEERS: dict[str, Method] = {"TV": tv, "NLM": nlm, "ANTs": ants}
MR_PEERS: dict[str, Method] = {
    "TV": without_floor(tv),
    "NLM": without_floor(nlm),
    "ANTs (Rician)": without_floor(ants_rician),
}


def best(
    method: Method, image: FloatArray, sigma: float, reference: FloatArray, valid: NDArray[np.bool_]
) -> FloatArray:
    """The setting with the smallest squared error against the reference."""
    answers = [np.asarray(a, np.float32) for a in method(image, sigma)]
    errors = [float(np.mean((a[valid] - reference[valid]) ** 2)) for a in answers]
    return answers[int(np.argmin(errors))]
