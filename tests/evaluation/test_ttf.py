"""TTF of disks whose blur is known in closed form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.errors import PixelError
from medidiff.evaluation.ttf import Ttf, ttf

PIXEL_MM = 0.7
RADIUS_MM = 10.5  # 15 px
CENTRE = (40.3, 41.8)


def blurred_disk(
    contrast: float = 100.0, sd_px: float = 1.0, size: int = 84, radius_px: float = RADIUS_MM / PIXEL_MM
) -> np.ndarray:
    """A disk through a Gaussian, in Fourier space: exact, with no pixel aperture.

    Transform of a disk of radius R: R J1(2 pi R f) / f.
    """
    from scipy.special import j1

    n = 256
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None, :])
    safe = np.where(f > 0, f, 1.0)
    disk = np.where(f > 0, radius_px * j1(2 * np.pi * radius_px * safe) / safe, np.pi * radius_px**2)
    shift = np.exp(
        -2j * np.pi * (np.fft.fftfreq(n)[:, None] * CENTRE[0] + np.fft.fftfreq(n)[None, :] * CENTRE[1])
    )
    image = np.fft.ifft2(disk * np.exp(-2 * (np.pi * sd_px * f) ** 2) * shift).real
    return (contrast * image[:size, :size]).astype(np.float32)


def measured(stack: np.ndarray, seed: int = 0) -> Ttf:
    return ttf(stack, CENTRE, RADIUS_MM, PIXEL_MM, np.random.default_rng(seed))


@pytest.mark.parametrize("sd_px", [0.8, 1.2, 2.0])
def test_a_gaussian_blur_has_its_own_mtf(sd_px: float) -> None:
    found = measured(blurred_disk(sd_px=sd_px)[None])
    f = np.asarray(found.f)
    sd_cm = sd_px * PIXEL_MM / 10
    np.testing.assert_allclose(found.ttf, np.exp(-2 * (np.pi * sd_cm * f) ** 2), atol=0.015)
    # exp(-2 (pi s f)^2) = 1/2
    assert found.f50 == pytest.approx(np.sqrt(np.log(2) / 2) / (np.pi * sd_cm), rel=0.015)
    assert found.ttf[0] == 1.0
    assert found.f[-1] == pytest.approx(5.0 / PIXEL_MM)
    assert found.f50_ci is None


@pytest.mark.parametrize("contrast", [-300.0, 14.0, 1000.0])
def test_the_contrast_is_measured_and_does_not_enter_the_shape(contrast: float) -> None:
    found = measured(blurred_disk(contrast)[None] + np.float32(40.0))
    assert found.contrast == pytest.approx(contrast, rel=2e-3)
    assert found.f50 == pytest.approx(measured(blurred_disk()[None]).f50, rel=1e-3)


def test_noise_is_averaged_over_realisations_and_gives_the_interval() -> None:
    truth = measured(blurred_disk()[None]).f50
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 25.0, (150, 84, 84)).astype(np.float32)
    found = measured(blurred_disk(100.0) + noise)
    assert found.f50_ci is not None
    low, high = found.f50_ci
    assert found.f50 == pytest.approx(truth, rel=0.05)
    assert low < truth < high
    assert 0.0 < high - low < 0.2 * truth
    few = measured(blurred_disk(100.0) + noise[:20]).f50_ci
    assert few is not None
    assert few[1] - few[0] > 1.8 * (high - low)


def test_the_interval_comes_from_the_generator_passed_in() -> None:
    noise = np.random.default_rng(3).normal(0.0, 10.0, (12, 84, 84)).astype(np.float32)
    stack = blurred_disk() + noise
    assert measured(stack, 1) == measured(stack, 1)
    assert measured(stack, 1).f50_ci != measured(stack, 2).f50_ci


def test_a_sharper_image_has_a_higher_ttf() -> None:
    """A smoothed image must lose TTF50 by the widths added in quadrature."""
    from scipy.ndimage import gaussian_filter

    sharp = blurred_disk(sd_px=1.0)
    soft = gaussian_filter(sharp, 1.0)
    ratio = measured(soft[None]).f50 / measured(sharp[None]).f50
    assert ratio == pytest.approx(1 / np.sqrt(2), rel=0.02)


def test_a_disk_that_cannot_be_measured_is_refused() -> None:
    rng = np.random.default_rng(0)
    image = blurred_disk()[None]
    with pytest.raises(PixelError, match="too small"):
        ttf(image, CENTRE, 2.0, PIXEL_MM, rng)
    with pytest.raises(PixelError, match="border"):
        ttf(image, (10.0, 40.0), RADIUS_MM, PIXEL_MM, rng)
    with pytest.raises(PixelError, match="no contrast"):
        ttf(np.zeros_like(image), CENTRE, RADIUS_MM, PIXEL_MM, rng)


def test_as_dict_is_json() -> None:
    found = measured(blurred_disk()[None])
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["ttf50_lp_cm"] == found.f50
    assert plain["f_lp_cm"] == list(found.f)
