"""MR noise against physics: Rayleigh air, Rician mean, second moments, k-space box, g-map, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.errors import UsageError
from medidiff.noise.mr import (
    MRNoise,
    draw,
    g_map,
    simulate,
    simulate_pair,
)

SIGMA = 0.04
SHAPE = (192, 160)
VARIANTS = {
    "rician": MRNoise(SIGMA),
    "g-map": MRNoise(SIGMA, g_strength=2.0),
    "chi": MRNoise(SIGMA, coils=6),
    "zero-filled": MRNoise(SIGMA, zero_fill=(2.0, 1.5)),
    "partial Fourier": MRNoise(SIGMA, acquired=0.65, g_strength=1.0),
    "zero-filled chi": MRNoise(SIGMA, coils=3, zero_fill=(1.25, 1.25)),
}


def flat(level: float, slices: int = 1) -> np.ndarray:
    return np.full((slices, *SHAPE), level, dtype=np.float32)


def test_air_is_rayleigh(rng: np.random.Generator) -> None:
    noisy, _ = simulate(flat(0, 8), MRNoise(SIGMA), rng)
    assert noisy.mean() == pytest.approx(1.2533 * SIGMA, rel=5e-3)
    assert noisy.std() == pytest.approx(0.6551 * SIGMA, rel=5e-3)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("level", [0.0, 0.1, 0.6])
def test_second_moment(name: str, level: float, rng: np.random.Generator) -> None:
    """E[m^2] = A^2 + 2 L sigma^2, whatever the coils, the box and the g-map."""
    params = VARIANTS[name]
    noisy, target, sigma_map = simulate_pair(flat(level, 6), params, rng)
    excess = np.mean(noisy.astype(np.float64) ** 2 - target.astype(np.float64) ** 2)
    noise_power = 2 * params.coils * np.mean(sigma_map.astype(np.float64) ** 2)
    assert excess == pytest.approx(noise_power, rel=0.05 if level < 0.5 else 0.12)


@pytest.mark.parametrize("zero_fill", [(1.25, 1.25), (1.5, 2.0), (2.0, 1.0)])
def test_zero_filled_noise_fills_a_box_of_the_declared_sd(
    zero_fill: tuple[float, float], rng: np.random.Generator
) -> None:
    params = MRNoise(SIGMA, zero_fill=zero_fill, phase_modes=0)
    noisy, target, _ = simulate_pair(flat(1.0, 6), params, rng)
    noise = noisy - target  # SNR 25: the real channel
    assert noise.std() == pytest.approx(SIGMA, rel=0.02)
    power = np.mean(np.abs(np.fft.fft2(noise)) ** 2, axis=0)
    fy, fx = (np.abs(np.fft.fftfreq(n)) for n in SHAPE)
    half_y, half_x = (0.5 / z for z in zero_fill)
    inside = (fy < half_y - 0.01)[:, None] & (fx < half_x - 0.01)[None, :]
    outside = (fy > half_y + 0.01)[:, None] | (fx > half_x + 0.01)[None, :]
    assert power[outside].mean() < 0.01 * power[inside].mean()
    near = inside & (np.hypot(fy[:, None], fx[None, :]) < 0.1)
    assert power[near].mean() == pytest.approx(power[inside & ~near].mean(), rel=0.08)


def test_partial_fourier_keeps_the_declared_share_of_lines(rng: np.random.Generator) -> None:
    params = MRNoise(SIGMA, acquired=0.7, phase_modes=0)
    noisy, target, _ = simulate_pair(flat(1.0, 4), params, rng)
    power = np.mean(np.abs(np.fft.fft2(noisy - target)) ** 2, axis=(0, 2))
    f = np.abs(np.fft.fftfreq(SHAPE[0]))
    # The real channel shares a dropped line with its acquired mirror line: half the power beyond 0.2.
    assert power[f > 0.22].mean() == pytest.approx(power[(f < 0.18) & (f > 0)].mean() / 2, rel=0.1)


def test_g_map_scales_the_local_sd(rng: np.random.Generator) -> None:
    params = MRNoise(SIGMA, g_strength=2.0, g_modes=1)
    noisy, sigma_map = simulate(flat(1.0, 400), params, rng)
    assert np.all(sigma_map == sigma_map[0])
    assert sigma_map.max() / sigma_map.min() == pytest.approx(3, rel=1e-3)
    assert np.sqrt(np.mean(sigma_map[0] ** 2)) == pytest.approx(SIGMA, rel=1e-3)
    ratio = noisy.std(axis=0) / sigma_map[0]
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio.std() < 1.2 / np.sqrt(2 * 400)


def test_g_map_runs_from_one() -> None:
    g = g_map(SHAPE, 1.5, 2, np.random.default_rng(3))
    assert (float(g.min()), float(g.max())) == pytest.approx((1.0, 2.5))


@pytest.mark.parametrize("coils", [1, 4])
def test_direct_draw_is_the_same_distribution_as_k_space(coils: int, rng: np.random.Generator) -> None:
    """A box that drops no line goes through k-space, and must agree with the direct draw."""
    image = flat(0.07, 6)
    direct, _ = simulate(image, MRNoise(SIGMA, coils=coils), rng)
    params = MRNoise(SIGMA, coils=coils, acquired=0.9999)
    assert params.band_limited
    through, target, _ = simulate_pair(image, params, rng)
    np.testing.assert_allclose(target, image, rtol=1e-4)
    share = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(through, share), np.quantile(direct, share), rtol=0.015)


def test_target_is_the_clean_image_at_the_resolution_of_the_noisy_one(rng: np.random.Generator) -> None:
    image = rng.random(SHAPE, dtype=np.float32)
    noisy, target, _ = simulate_pair(image, MRNoise(0.0), rng)
    np.testing.assert_allclose(noisy, image, atol=1e-6)
    assert np.array_equal(target, image)
    blurred, target, _ = simulate_pair(image, MRNoise(0.0, zero_fill=(2.0, 2.0), phase_modes=0), rng)
    np.testing.assert_allclose(blurred, target, atol=1e-6)
    assert target.std() < 0.6 * image.std()


@pytest.mark.parametrize("name", VARIANTS)
def test_seed_alone_decides(name: str) -> None:
    image = flat(0.3)[0]
    first, second, other = (simulate(image, VARIANTS[name], np.random.default_rng(s))[0] for s in (5, 5, 6))
    assert first.dtype == np.float32
    assert first.shape == image.shape
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_draws_are_replayable_and_within_range() -> None:
    draws = [draw(np.random.default_rng(k), 0.05) for k in range(400)]
    assert draws == [draw(np.random.default_rng(k), 0.05) for k in range(400)]
    assert 0.7 < np.mean([d.coils == 1 for d in draws]) < 0.95
    assert max(d.coils for d in draws) <= 32
    assert {z for d in draws for z in d.zero_fill} == {1.0, 1.25, 1.5, 2.0}
    assert all(5 / 8 <= d.acquired <= 1 and 0 <= d.g_strength <= 3 for d in draws)
    assert np.mean([not d.band_limited and d.g_strength == 0 for d in draws]) > 0.2


@pytest.mark.parametrize(
    "bad", [{"sigma": -1.0}, {"coils": 0}, {"g_strength": -0.1}, {"acquired": 0.3}, {"zero_fill": (0.5, 1.0)}]
)
def test_impossible_parameters_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Received"):
        MRNoise(**{"sigma": SIGMA, **bad})  # type: ignore[arg-type]


def test_only_slices_and_stacks(rng: np.random.Generator) -> None:
    with pytest.raises(UsageError, match="MR noise needs"):
        simulate(np.zeros(8, dtype=np.float32), MRNoise(SIGMA), rng)
