"""NPS of noise whose spectrum is known in closed form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.errors import PixelError
from medidiff.evaluation.nps import NoisePower, ensemble_noise, frequency_shift, log_l1, nps

PIXEL_MM = 0.7


def white(sd: float, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return (sd * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def gaussian_filtered(
    sd_mm: float, pixel_mm: float, seed: int = 1, column_mm: float | None = None
) -> np.ndarray:
    """White noise of unit SD through the periodic filter exp(-2 pi^2 s^2 f^2), f in cycles per mm."""
    noise = white(1.0, (6, 256, 256), seed)
    fy, fx = np.fft.fftfreq(256, pixel_mm), np.fft.fftfreq(256, column_mm or pixel_mm)
    response = np.exp(-2 * (np.pi * sd_mm) ** 2 * (fy[:, None] ** 2 + fx[None, :] ** 2))
    return np.fft.ifft2(np.fft.fft2(noise) * response).real.astype(np.float32)


@pytest.mark.parametrize("pixel_mm", [0.5, 0.8])
def test_white_noise_is_flat_at_variance_times_pixel_area(pixel_mm: float) -> None:
    found = nps(white(3.0, (8, 192, 192)), None, pixel_mm)
    np.testing.assert_allclose(found.power[2:], 9.0 * pixel_mm**2, rtol=0.06)
    assert found.unit == "HU^2 mm^2"
    assert found.patches == 8 * 25
    assert found.f[-1] <= 5.0 / pixel_mm
    # Flat up to the Nyquist frequency F: sum f^2 / sum f = 2 F / 3; the disk holds pi/4 of the variance.
    assert found.mean_frequency == pytest.approx(2 / 3 * 5.0 / pixel_mm, rel=0.02)
    assert found.sd == pytest.approx(3.0 * np.sqrt(np.pi / 4), rel=0.02)


def test_filtered_noise_has_the_filters_shape_and_integrates_to_the_variance() -> None:
    sd_mm = 0.8
    noise = gaussian_filtered(sd_mm, PIXEL_MM)
    found = nps(noise, None, PIXEL_MM)
    f = np.asarray(found.f)
    expected = PIXEL_MM**2 * np.exp(-4 * (np.pi * sd_mm * f / 10) ** 2)
    band = (f > 0.5) & (f < 3.0)
    np.testing.assert_allclose(np.asarray(found.power)[band], expected[band], rtol=0.1)
    assert found.sd == pytest.approx(float(noise.std()), rel=0.03)
    # integral of f^2 exp(-a f^2) over that of f exp(-a f^2) = sqrt(pi / a) / 2, a in cm^2.
    a = 4 * (np.pi * sd_mm / 10) ** 2
    assert found.mean_frequency == pytest.approx(0.5 * np.sqrt(np.pi / a), rel=0.03)


def test_pixels_need_not_be_square() -> None:
    """Noise that is isotropic in mm has the closed form of above in pixels of 0.5 x 1 mm too."""
    sd_mm, sides = 1.2, (0.5, 1.0)
    noise = gaussian_filtered(sd_mm, sides[0], column_mm=sides[1])
    found = nps(noise, None, sides)
    f = np.asarray(found.f)
    expected = sides[0] * sides[1] * np.exp(-4 * (np.pi * sd_mm * f / 10) ** 2)
    band = (f > 0.5) & (f < 2.0)
    np.testing.assert_allclose(np.asarray(found.power)[band], expected[band], rtol=0.06)
    assert found.sd == pytest.approx(float(noise.std()), rel=0.03)
    a = 4 * (np.pi * sd_mm / 10) ** 2
    assert found.mean_frequency == pytest.approx(0.5 * np.sqrt(np.pi / a), rel=0.04)


def test_the_same_physical_noise_has_the_same_nps_at_two_pixel_sizes() -> None:
    fine, coarse = (nps(gaussian_filtered(1.2, px), None, px) for px in (0.5, 0.75))
    # White noise of one pixel is px^2 of power density: divided out, the curves are one.
    f = np.linspace(0.5, 2.0, 7).astype(np.float32)
    np.testing.assert_allclose(fine.spectrum(f) / 0.25, coarse.spectrum(f) / 0.5625, rtol=0.12)


def test_shift_and_distance_see_texture_not_level() -> None:
    white_noise = nps(white(1.0, (4, 192, 192)), None, PIXEL_MM)
    louder = nps(5.0 * white(1.0, (4, 192, 192)), None, PIXEL_MM)
    soft = nps(gaussian_filtered(0.8, PIXEL_MM), None, PIXEL_MM)
    assert log_l1(white_noise, louder) == pytest.approx(0.0, abs=1e-5)
    assert frequency_shift(white_noise, louder) == pytest.approx(0.0, abs=1e-6)
    assert frequency_shift(white_noise, soft) < -0.4
    # By hand, on the same bins.
    a, b = np.asarray(white_noise.power), np.asarray(soft.power)
    used = np.asarray(soft.f) <= 5.0
    a, b = a[used] / a[used].sum(), b[used] / b[used].sum()
    assert log_l1(white_noise, soft) == pytest.approx(float(np.abs(np.log(a / b)).mean()), rel=1e-4)
    assert log_l1(soft, white_noise) == pytest.approx(log_l1(white_noise, soft), rel=1e-4)


def test_patches_stay_in_the_mask_of_each_slice() -> None:
    noise = white(1.0, (3, 128, 128))
    noise[:, :, 64:] = 1000.0 * np.arange(64)
    left = np.zeros((128, 128), bool)
    left[:, :64] = True
    found = nps(noise, left, PIXEL_MM)
    assert found.patches == 3 * 3
    assert found.power[5] == pytest.approx(PIXEL_MM**2, rel=0.3)
    per_slice = np.stack([left, np.zeros_like(left), left])
    assert nps(noise, per_slice, PIXEL_MM).patches == 2 * 3


def test_slices_weigh_by_their_patches() -> None:
    noise = np.concatenate([white(1.0, (1, 128, 128)), white(3.0, (1, 128, 128), 7)])
    mask = np.ones((2, 128, 128), bool)
    mask[1, :, 64:] = False  # 9 patches and 3
    found = nps(noise, mask, 1.0)
    assert float(np.mean(found.power[3:])) == pytest.approx((9 * 1.0 + 3 * 9.0) / 12, rel=0.1)


def test_no_room_and_no_numbers_are_refused() -> None:
    with pytest.raises(PixelError, match="64x64"):
        nps(white(1.0, (2, 60, 60)), None, PIXEL_MM)
    noise = white(1.0, (1, 64, 64))
    noise[0, 3, 3] = np.nan
    with pytest.raises(PixelError, match="slice 0"):
        nps(noise, None, PIXEL_MM)


def test_no_noise_has_no_texture() -> None:
    none = nps(np.zeros((1, 64, 64), np.float32), None, PIXEL_MM)
    some = nps(white(1.0, (1, 64, 64)), None, PIXEL_MM)
    assert none.sd == 0.0
    assert np.isnan(log_l1(none, some))
    assert np.isnan(frequency_shift(some, none))


def test_ensemble_noise_has_the_variance_of_one_realisation() -> None:
    object_ = 100.0 * white(1.0, (1, 96, 96), 3)
    noise = ensemble_noise(object_ + white(2.0, (5, 96, 96)))
    assert noise.std() == pytest.approx(2.0, rel=0.02)
    np.testing.assert_allclose(noise.mean(0), 0.0, atol=1e-4)


def test_as_dict_is_json() -> None:
    found = nps(white(1.0, (1, 64, 64)), None, PIXEL_MM)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["mean_frequency_lp_cm"] == found.mean_frequency
    again = NoisePower(tuple(plain["f_lp_cm"]), tuple(plain["power"]), plain["unit"], plain["pixel_mm"], 1)
    assert again.sd == found.sd
