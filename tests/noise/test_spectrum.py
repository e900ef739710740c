"""Kernels, noise power spectra and synthesised noise, held to closed forms with their absolute scale."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.noise.spectrum import (
    Kernel,
    Spectrum,
    draw_kernel,
    filter_image,
    hann_patches,
    noise_power_spectrum,
    radial_frequency,
    synthesise,
)

PIXEL_MM = 0.7


def test_radial_frequency_is_in_line_pairs_per_centimetre() -> None:
    f = radial_frequency((40, 50), (0.5, 0.8))
    assert f.shape == (40, 26)
    assert f[0, 0] == 0.0
    # Nyquist is half a cycle a pixel; one coefficient is one cycle over the field of view.
    assert f[20, 0] == pytest.approx(0.5 / 0.05)
    assert f[0, 25] == pytest.approx(0.5 / 0.08)
    assert f[1, 1] == pytest.approx(np.hypot(1 / (40 * 0.05), 1 / (50 * 0.08)), rel=1e-6)
    assert np.array_equal(radial_frequency((8, 6), 0.7), radial_frequency((8, 6), (0.7, 0.7)))


def test_kernel_falls_to_half_at_f50_and_boosts_without_it() -> None:
    f = np.array([0.0, 4.36, 6.0], np.float32)
    np.testing.assert_allclose(Kernel(4.36, 3.85).response(f)[:2], [1.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(Kernel(np.inf, boost=0.009).response(f), 1 + 0.009 * f**2, rtol=1e-6)


def test_soft_kernel_lies_within_the_measured_amplitudes() -> None:
    """Measured on quarter-minus-full-dose noise of a B30f kernel, to within .08."""
    f = np.array([1.1, 1.7, 2.3, 2.9, 3.6, 4.2, 4.8, 5.5, 6.1, 6.7], np.float32)
    measured = [1.0, 1.05, 0.87, 0.81, 0.67, 0.56, 0.43, 0.30, 0.20, 0.13]
    assert np.abs(Kernel().response(f) - measured).max() < 0.09


def test_drawn_kernels_span_the_training_family() -> None:
    rng = np.random.default_rng(3)
    kernels = [draw_kernel(rng) for _ in range(600)]
    soft = [k for k in kernels if k.boost == 0.0]
    assert 0.68 < len(soft) / len(kernels) < 0.82
    assert all(3.5 <= k.f50 <= 6.0 and 3.0 <= k.power <= 6.0 for k in soft)
    assert all(0.0 < k.boost <= 0.02 for k in kernels if k not in soft)
    assert len({k.f50 for k in kernels}) == len(kernels)
    again = np.random.default_rng(3)
    assert kernels[:5] == [draw_kernel(again) for _ in range(5)]


@pytest.mark.parametrize(("count", "pixel_mm"), [(160, 0.5), (100, 0.8), (114, 0.7)])
def test_a_kernel_is_the_same_filter_at_every_pixel_size(count: int, pixel_mm: float) -> None:
    """A wave of 4 lp/cm (whole cycles in 80 mm) comes out with amplitude A(4)."""
    length_cm = count * pixel_mm / 10
    cycles = round(4.0 * length_cm)
    f = cycles / length_cm
    wave = np.cos(2 * np.pi * cycles * np.arange(count) / count).astype(np.float32)
    image = np.tile(wave, (24, 1))
    kernel = Kernel(4.36, 3.85, 0.01)
    out = filter_image(image, kernel.response(radial_frequency(image.shape, pixel_mm)))
    expected = (1 + 0.01 * f**2) / (1 + (f / 4.36) ** 3.85)
    np.testing.assert_allclose(out, expected * image, atol=2e-5)


def test_filter_keeps_odd_shapes_and_leading_axes() -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 21, 33), dtype=np.float32)
    out = filter_image(images, np.ones((21, 17), np.float32))
    np.testing.assert_allclose(out, images, atol=1e-5)


def test_patches_lie_wholly_inside_the_mask() -> None:
    image = np.arange(96 * 96, dtype=np.float32).reshape(96, 96)
    mask = np.zeros((96, 96), bool)
    mask[:, 32:] = True
    patches = hann_patches(image, mask, 32)
    assert patches.shape == (5 * 3, 32, 32)  # half overlap: 5 rows, columns from 32, 48 and 64
    assert {int(p[0, 0]) % 96 for p in patches} == {32, 48, 64}
    assert len(hann_patches(image, None, 32)) == 25
    assert hann_patches(image, ~np.ones_like(mask), 32).shape == (0, 32, 32)
    assert hann_patches(image[:20], None, 32).shape == (0, 32, 32)


def test_nps_of_white_noise_is_flat_at_variance_times_pixel_area() -> None:
    rng = np.random.default_rng(1)
    patches = 3.0 * rng.standard_normal((160, 32, 32))
    found = noise_power_spectrum(patches.astype(np.float32), PIXEL_MM, 12)
    # The two lowest bins lose power to the removed mean; the rest is flat.
    np.testing.assert_allclose(found.power[2:], 9.0 * PIXEL_MM**2, rtol=0.05)
    assert np.all(np.diff(found.f) > 0)
    assert found.f[-1] < 5.0 / PIXEL_MM


def test_nps_of_coloured_noise_has_the_analytic_shape_and_integrates_to_the_variance() -> None:
    """Filtered white noise of unit SD has NPS px^2 A(f)^2; its integral over the plane is the variance."""
    rng = np.random.default_rng(2)
    kernel = Kernel(3.0, 6.0)
    response = kernel.response(radial_frequency((512, 512), PIXEL_MM))
    noise = filter_image(rng.standard_normal((4, 512, 512), dtype=np.float32), response)
    patches = np.concatenate([hann_patches(n, None, 64) for n in noise])
    found = noise_power_spectrum(patches, PIXEL_MM, 32)
    band = (found.f > 0.5) & (found.f < 4.0)
    expected = PIXEL_MM**2 * kernel.response(found.f) ** 2
    np.testing.assert_allclose(found.power[band], expected[band], rtol=0.08)
    # Parseval, f in cycles per mm; this kernel leaves nothing in the corners beyond the Nyquist ring.
    f = np.linspace(0.0, 0.5 / PIXEL_MM, 4000)
    integral = np.trapezoid(found((10.0 * f).astype(np.float32)) * 2.0 * np.pi * f, f)
    assert integral == pytest.approx(float(noise.var()), rel=0.03)


def test_mean_frequency_of_simple_profiles() -> None:
    f = np.linspace(0.001, 6.0, 6000).astype(np.float32)
    # integral f^2 / integral f = 2F/3 for a flat profile, integral f^3 / integral f^2 = 3F/4 for a ramp.
    assert Spectrum(f, np.ones_like(f)).mean_frequency == pytest.approx(4.0, rel=1e-3)
    assert Spectrum(f, f).mean_frequency == pytest.approx(4.5, rel=1e-3)
    peak = np.where(np.abs(f - 2.5) < 0.01, 1.0, 0.0).astype(np.float32)
    assert Spectrum(f, peak).mean_frequency == pytest.approx(2.5, rel=1e-3)


def test_spectrum_interpolates_and_ends_flat() -> None:
    spectrum = Spectrum(np.array([1.0, 3.0], np.float32), np.array([2.0, 6.0], np.float32))
    np.testing.assert_allclose(spectrum(np.array([0.0, 1.0, 2.0, 9.0], np.float32)), [2.0, 2.0, 4.0, 6.0])


@pytest.mark.parametrize("shape", [(96, 96), (64, 75), (75, 64), (33, 35)])
def test_synthesised_noise_has_unit_sd_for_any_shape(shape: tuple[int, int]) -> None:
    """The scale comes from the spectrum, not from the draw, so only the mean over draws is 1."""
    f = radial_frequency(shape, PIXEL_MM)
    amplitude = 40.0 * np.sqrt(f) * Kernel().response(f)
    rng = np.random.default_rng(4)
    draws = np.stack([synthesise(shape, amplitude, rng) for _ in range(60)])
    assert draws.dtype == np.float32
    assert np.sqrt(np.mean(draws.astype(np.float64) ** 2)) == pytest.approx(1.0, rel=0.01)
    # Spread of the SD of single draws: nothing was forced to 1.
    assert draws.std((1, 2)).std() > 1e-4


def test_synthesised_noise_has_the_spectrum_asked_for() -> None:
    shape = (256, 256)
    f = radial_frequency(shape, PIXEL_MM)
    amplitude = np.sqrt(f) * Kernel().response(f)
    rng = np.random.default_rng(5)
    noise = [synthesise(shape, amplitude, rng) for _ in range(6)]
    found = noise_power_spectrum(np.concatenate([hann_patches(n, None, 64) for n in noise]), PIXEL_MM, 24)
    band = (found.f > 1.0) & (found.f < 6.0)
    shape_asked = found.f * Kernel().response(found.f) ** 2
    ratio = found.power[band] / shape_asked[band]
    np.testing.assert_allclose(ratio / ratio.mean(), 1.0, atol=0.08)


def test_synthesised_noise_follows_seed_and_map() -> None:
    amplitude = np.ones((32, 17), np.float32)
    first, second = (synthesise((32, 32), amplitude, np.random.default_rng(s)) for s in (7, 8))
    assert np.array_equal(first, synthesise((32, 32), amplitude, np.random.default_rng(7)))
    assert not np.array_equal(first, second)
    sd = np.linspace(0.5, 2.0, 32 * 32, dtype=np.float32).reshape(32, 32)
    mapped = synthesise((32, 32), amplitude, np.random.default_rng(7), sd)
    np.testing.assert_array_equal(mapped, first * sd)
