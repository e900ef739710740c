"""Total variation and non-local means (scikit-image), told the true noise level."""

from __future__ import annotations

from collections.abc import Iterator

from medidiff.volume import FloatArray
from peers.given import Given

TV_STRENGTHS = (0.3, 0.5, 0.75, 1.0, 1.4, 2.0)
NLM_STRENGTHS = (0.4, 0.6, 0.8, 1.1)


def tv(given: Given) -> Iterator[FloatArray]:
    """Total variation (Chambolle 2004); the weight is in units of sigma."""
    from skimage.restoration import denoise_tv_chambolle

    for strength in TV_STRENGTHS:
        scaled = given.image / given.sigma
        yield denoise_tv_chambolle(scaled, weight=strength, max_num_iter=200) * given.sigma


def nlm(given: Given) -> Iterator[FloatArray]:
    """Non-local means (Buades et al. 2005), fast mode, 5x5 patches, 13x13 search, variance subtracted."""
    from skimage.restoration import denoise_nl_means

    for strength in NLM_STRENGTHS:
        yield denoise_nl_means(
            given.image,
            patch_size=5,
            patch_distance=6,
            h=strength * given.sigma,
            sigma=given.sigma,
            fast_mode=True,
        )
