"""Views of a slice: the mean over them does not depend on how the slice lies."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import PixelWiener, bundle, ct_volume

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.orientations import VIEWS, averaged
from medidiff.denoise.tiles import run_tiled
from medidiff.errors import UsageError

RNG = np.random.default_rng(0)
PLANES = RNG.standard_normal((1, 4, 16, 24)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 3)).astype(np.float32)


def lopsided(planes: np.ndarray) -> np.ndarray:
    """A local filter that prefers a direction, as a network of finite training does."""
    from scipy import ndimage

    first = ndimage.correlate(planes[0, :2], KERNEL[None], mode="constant")
    return np.asarray(first[None], np.float32)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_the_mean_commutes_with_its_views(count: int) -> None:
    mean = averaged(lopsided, count)
    for turns, mirrored in VIEWS[:count]:
        turned = np.ascontiguousarray(np.rot90(PLANES[..., ::-1] if mirrored else PLANES, turns, (-2, -1)))
        back = np.rot90(mean(turned), -turns, (-2, -1))
        back = back[..., ::-1] if mirrored else back
        np.testing.assert_allclose(back, mean(PLANES), atol=1e-5)
    assert np.abs(mean(PLANES) - lopsided(PLANES)).max() > 0.1


def test_an_upright_network_is_not_changed_by_its_views() -> None:
    """What has no direction, such as a pixel-wise function, has the same mean."""

    def pixelwise(planes: np.ndarray) -> np.ndarray:
        return np.tanh(planes[:, :2])

    for count in (1, 2, 4, 8):
        np.testing.assert_allclose(averaged(pixelwise, count)(PLANES), pixelwise(PLANES), atol=1e-6)


def test_all_views_are_different() -> None:
    picture = np.arange(6.0).reshape(1, 1, 2, 3)
    seen: list[np.ndarray] = []
    averaged(lambda p: (seen.append(p), np.zeros((1, 2, *p.shape[2:]), np.float32))[1], 8)(picture)
    assert len({(p.shape, p.tobytes()) for p in seen}) == 8


def test_other_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        averaged(lopsided, 3)


def test_tiles_of_views_are_the_views_of_the_whole() -> None:
    whole = averaged(lopsided, 8)(PLANES)[0]
    tiled = run_tiled(averaged(lopsided, 8), PLANES[0], 8, 4, 4)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_the_tier_sets_the_number_of_views() -> None:
    volume = ct_volume((1, 48, 56))
    calls = {}
    for tier in ("fast", "best"):
        engine = PixelWiener()
        Denoiser(bundle(), engine).run(volume, Settings(sigma=50.0, tier=tier))
        calls[tier] = len(engine.calls)
    assert calls == {"fast": 1, "best": 8}


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(UsageError, match="fast, standard, best"):
        Settings(tier="middling")
