"""Windows of k-space: closed forms of scipy, and what they do to noise and image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft
from scipy.signal import windows

from medidiff.errors import UsageError
from medidiff.noise.kspace import NAMED, Window, draw_window
from medidiff.noise.mr import MRNoise, simulate, simulate_pair

N = 64
SIGMA = 0.05


@pytest.mark.parametrize(
    ("window", "known"),
    [
        (NAMED["hann"], windows.hann(N + 1)),
        (NAMED["hamming"], windows.hamming(N + 1)),
        (NAMED["tukey"], windows.tukey(N + 1, 0.4)),
        (Window(flat=1.0), np.ones(N + 1)),
    ],
)
def test_named_windows(window: Window, known: np.ndarray) -> None:
    """Along an axis, those of scipy, whose last sample repeats the first of the next period."""
    ours = fft.fftshift(window.values((N, 8), (1.0, 1.0))[:, 0])
    np.testing.assert_allclose(ours, known[:-1], atol=1e-6)


def test_windows_end_where_the_samples_end() -> None:
    """Half the samples along y: the window reaches its edge value at a quarter cycle a pixel."""
    window = Window(edge=0.2).values((N, N), (2.0, 1.0))
    f = fft.fftfreq(N)
    assert window[np.isclose(np.abs(f), 0.25), 0] == pytest.approx([0.2, 0.2], abs=1e-6)
    assert window[0, np.isclose(np.abs(f), 0.25)] == pytest.approx([0.6, 0.6], abs=1e-6)


def test_an_elliptical_window_has_no_corners_and_no_direction() -> None:
    window = Window(elliptical=True).values((N, N), (1.0, 1.0))
    r = np.hypot(fft.fftfreq(N)[:, None], fft.fftfreq(N)[None, :])
    assert not window[r > 0.5].any()
    np.testing.assert_allclose(window, window.T, atol=1e-6)
    assert window[3, 4] == pytest.approx(window[5, 0], abs=1e-6)


@pytest.mark.parametrize("zero_fill", [(1.0, 1.0), (1.5, 1.25)])
@pytest.mark.parametrize("window", [Window(), Window(0.3, 0.3, elliptical=True)])
def test_noise_has_its_level_and_the_power_of_the_window(
    window: Window, zero_fill: tuple[float, float], rng: np.random.Generator
) -> None:
    """On strong signal the magnitude shows the real channel: SD sigma, spectrum window squared in the box."""
    noisy, target, _ = simulate_pair(
        np.full((60, N, N), 20 * SIGMA, np.float32),
        MRNoise(SIGMA, window=window, zero_fill=zero_fill, phase_modes=0),
        rng,
    )
    noise = noisy - target
    assert noise.std() == pytest.approx(SIGMA, rel=0.03)
    power = np.mean(np.abs(fft.fft2(noise, norm="ortho")) ** 2, axis=0)
    v, u = (np.abs(fft.fftfreq(N)) * 2 * z for z in zero_fill)
    inside = (v[:, None] < 0.97) & (u[None, :] < 0.97)
    expected = window.values((N, N), zero_fill) ** 2 * inside
    expected *= SIGMA**2 * N * N / expected.sum()
    for low, high in ((0.05, 0.2), (0.2, 0.4), (0.4, 0.5)):
        r = np.hypot(fft.fftfreq(N)[:, None], fft.fftfreq(N)[None, :])
        ring = (r >= low) & (r < high) & inside
        assert power[ring].mean() == pytest.approx(expected[ring].mean(), rel=0.1, abs=1e-3 * SIGMA**2)


def test_the_target_is_the_windowed_image(rng: np.random.Generator) -> None:
    """Without noise, noisy image and target are the image convolved with the window's transform."""
    image = rng.uniform(0.5, 1.0, (N, N)).astype(np.float32)
    window = Window(edge=0.08)
    noisy, target, _ = simulate_pair(image, MRNoise(0.0, window=window, phase_modes=0), rng)
    smooth = np.abs(fft.ifft2(fft.fft2(image) * window.values((N, N), (1.0, 1.0))))
    np.testing.assert_allclose(target, smooth, atol=1e-5)
    np.testing.assert_array_equal(noisy, target)


def test_a_window_that_passes_all_is_none(rng: np.random.Generator) -> None:
    flat = np.full((40, N, N), 0.3, np.float32)
    passing, _ = simulate(flat, MRNoise(SIGMA, window=Window(flat=1.0)), rng)
    plain, _ = simulate(flat, MRNoise(SIGMA), rng)
    for q in (0.05, 0.5, 0.95):
        assert np.quantile(passing, q) == pytest.approx(np.quantile(plain, q), rel=0.01)


def test_draws_cover_the_named_windows() -> None:
    drawn = [draw_window(np.random.default_rng(k)) for k in range(300)]
    assert drawn == [draw_window(np.random.default_rng(k)) for k in range(300)]
    assert min(w.flat for w in drawn) < 0.05 < 0.95 < max(w.flat for w in drawn)
    assert min(w.edge for w in drawn) < 0.01 < 0.5 < max(w.edge for w in drawn)
    assert 0.3 < np.mean([w.elliptical for w in drawn]) < 0.5


@pytest.mark.parametrize("bad", [{"flat": -0.1}, {"flat": 1.1}, {"edge": 2.0}])
def test_impossible_windows_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Received"):
        Window(**bad)
