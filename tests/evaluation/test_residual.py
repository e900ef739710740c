"""Structure in what was removed is found, noise is not, and z is calibrated against the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_scans import anatomy, ct_noise
from scipy import ndimage
from scipy.stats import norm

from medidiff.evaluation.edges import edge_correlation
from medidiff.evaluation.residual import TEXTURE_SPREAD, ResidualSum
from medidiff.evaluation.structure import ResidualTest

SHAPE = (256, 256)
EVERYWHERE = np.ones(SHAPE, bool)


def judged(
    removed: list[np.ndarray], results: list[np.ndarray], inside: np.ndarray = EVERYWHERE, sd: float = 10.0
) -> ResidualTest:
    total = ResidualSum()
    for k, (r, d) in enumerate(zip(removed, results, strict=True)):
        total.add(k, r.astype(np.float32), d.astype(np.float32), inside)
    found = total.result(sd, "HU")
    assert found is not None
    return found


def white(shape: tuple[int, int], rng: np.random.Generator, sd: float) -> np.ndarray:
    return rng.normal(0, sd, shape)


@pytest.mark.parametrize("noise", [white, ct_noise])
def test_noise_is_not_flagged_and_its_z_is_that_of_the_closed_form(noise, rng: np.random.Generator) -> None:
    """SD of z: sqrt(v / (v + spread^2 / 9)) with v = 2 / (9 nu); the threshold is shared by all patches."""
    removed = [noise(SHAPE, rng, 10.0) for _ in range(6)]
    flat = [white(SHAPE, rng, 1.0) for _ in range(6)]
    found = judged(removed, flat)
    assert not found.flagged
    z = np.concatenate([s.z.ravel() for s in found.slices])
    chance = 2 / (9 * found.freedom)
    assert z.std() == pytest.approx(np.sqrt(chance / (chance + TEXTURE_SPREAD**2 / 9)), rel=0.15)
    assert abs(z.mean()) < 0.2
    assert found.threshold == pytest.approx(norm.isf(0.05 / z.size))
    assert found.tested == z.size == 6 * 15 * 15
    # Of white noise, (G_1.5 - G_6) keeps 1/(4 pi) (1/s^2 + 1/S^2 - 4/(s^2 + S^2)) of the variance,
    # 1 - G_1.5 keeps 1 - 1/(pi s^2) + 1/(4 pi s^2).
    if noise is white:
        s, t = 1.5**2, 6.0**2
        coarse = (1 / s + 1 / t - 4 / (s + t)) / (4 * np.pi)
        fine = 1 - 1 / (np.pi * s) + 1 / (4 * np.pi * s)
        assert found.coarse_share == pytest.approx(coarse / fine, rel=0.08)


def test_noise_whose_level_varies_is_not_flagged(rng: np.random.Generator) -> None:
    """Three times as strong in the middle, half beside it: only the level differs, not the texture."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    level = 0.5 + 2.5 * np.exp(-(x**2 + y**2) / 0.3)
    found = judged(
        [level * ct_noise(SHAPE, rng, 10.0) for _ in range(4)], [white(SHAPE, rng, 1.0) for _ in range(4)]
    )
    assert not found.flagged


def test_a_planted_edge_is_flagged_where_it_is(rng: np.random.Generator) -> None:
    step = np.where(np.arange(SHAPE[1]) < 100, 0.0, 200.0) * np.ones((SHAPE[0], 1))
    lost = step - ndimage.gaussian_filter(step, 1.5)
    lost[:128] = 0
    removed = [ct_noise(SHAPE, rng, 10.0) for _ in range(4)]
    removed[2] = removed[2] + lost
    results = [ndimage.gaussian_filter(step, 1.5)] * 4
    found = judged(removed, results)
    assert {p.slice for p in found.flagged} == {2}
    assert len(found.flagged) >= 8
    for p in found.flagged:
        assert p.column <= 100 <= p.column + 32
        assert p.row + 32 > 128
    # The structure's own root mean square in a patch that lies wholly on it, in the band of the test.
    band = ndimage.gaussian_filter(lost, 1.5) - ndimage.gaussian_filter(lost, 6.0)
    patch = next(p for p in found.flagged if (p.row, p.column) == (176, 80))
    true = np.sqrt(np.mean(band[176:208, 80:112] ** 2))
    assert patch.amplitude == pytest.approx(true, rel=0.15)


def test_a_lesion_that_was_wiped_out_is_flagged_though_the_result_shows_none(
    rng: np.random.Generator,
) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    lesion = 20.0 * (np.hypot(y - 90, x - 140) < 6)
    removed = [ct_noise(SHAPE, rng, 10.0) + lesion * (k == 1) for k in range(3)]
    found = judged(removed, [np.full(SHAPE, 40.0) + white(SHAPE, rng, 1.0) for _ in range(3)])
    assert {p.slice for p in found.flagged} == {1}
    for p in found.flagged:
        assert abs(p.row + 16 - 90) < 24
        assert abs(p.column + 16 - 140) < 24


def test_a_blur_is_flagged_and_a_matched_noise_removal_is_not(rng: np.random.Generator) -> None:
    clean, inside = anatomy(SHAPE), anatomy(SHAPE) > -300
    inside = ndimage.binary_fill_holes(inside)
    scans = [clean + ct_noise(SHAPE, rng, 10.0) for _ in range(4)]
    blurred = [ndimage.gaussian_filter(s, 1.2) for s in scans]
    bad = judged([s - d for s, d in zip(scans, blurred, strict=True)], blurred, inside)
    good = judged([s - clean for s in scans], [clean] * 4, inside)
    assert bad.share > 0.3
    assert good.share == 0
    assert all(s.edges is not None and s.edges.z > 5 and s.edges.value > 0.2 for s in bad.slices)
    assert all(s.edges is not None and abs(s.edges.z) < 4 for s in good.slices)


def test_what_cannot_be_tested_is_none(rng: np.random.Generator) -> None:
    total = ResidualSum()
    total.add(0, white((20, 20), rng, 1.0).astype("f4"), np.zeros((20, 20), "f4"), np.ones((20, 20), bool))
    total.add(1, np.zeros(SHAPE, "f4"), white(SHAPE, rng, 1.0).astype("f4"), EVERYWHERE)
    total.add(2, white(SHAPE, rng, 1.0).astype("f4"), np.zeros(SHAPE, "f4"), ~EVERYWHERE)
    assert total.result(1.0, "HU") is None


def test_edge_correlation_of_noise_is_calibrated(rng: np.random.Generator) -> None:
    """The result keeps half of the very noise that was removed, and has edges: z is still about N(0, 1)."""
    z = []
    clean, inside = anatomy(SHAPE), ndimage.binary_fill_holes(anatomy(SHAPE) > -300)
    for _ in range(40):
        n = ct_noise(SHAPE, rng, 10.0).astype(np.float32)
        smooth = ndimage.gaussian_filter(n, 1.5)
        found = edge_correlation(smooth, np.square(n - smooth), clean + 0.5 * n, inside)
        assert found is not None
        z.append(found.z)
    assert abs(np.mean(z)) < 0.5
    assert 0.6 < np.std(z) < 1.4


def test_a_denoiser_that_spares_edges_has_a_negative_correlation(rng: np.random.Generator) -> None:
    clean = anatomy(SHAPE)
    n = ct_noise(SHAPE, rng, 10.0).astype(np.float32)
    spared = ndimage.gaussian_gradient_magnitude(clean, 1.0) > 5
    kept = np.where(spared, 0, n).astype(np.float32)
    smooth = ndimage.gaussian_filter(kept, 1.5)
    found = edge_correlation(smooth, np.square(kept - smooth), clean, EVERYWHERE)
    assert found is not None
    assert found.z < -3
    assert edge_correlation(smooth, np.square(kept - smooth), clean, EVERYWHERE & False) is None
    constant = np.zeros(SHAPE, np.float32)
    assert edge_correlation(smooth, np.square(kept - smooth), constant, EVERYWHERE) is None
