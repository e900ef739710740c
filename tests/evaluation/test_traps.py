"""Traps of definition: each test shows how far the figure is off if one falls in."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.evaluation import WINDOWS, Protocol, psnr, ssim, vif
from medidiff.evaluation.protocol import RMSE_CLIP_HU

ABDOMEN = Protocol(WINDOWS["abdomen"], None, RMSE_CLIP_HU)


def windowed(image: np.ndarray, centre: float = 50, width: float = 400) -> np.ndarray:
    return np.clip((image.astype(np.float64) - centre + width / 2) / width, 0, 1)


def slow_ssim(a: np.ndarray, b: np.ndarray, ddof: int, border: bool) -> float:
    """SSIM window by window; with `border`, windows over the edge see the mirrored image."""
    if border:
        a, b = (np.pad(image, 3, mode="symmetric") for image in (a, b))
    c1, c2, values = 0.01**2, 0.03**2, []
    for i in range(a.shape[0] - 6):
        for j in range(a.shape[1] - 6):
            x, y = a[i : i + 7, j : j + 7].ravel(), b[i : i + 7, j : j + 7].ravel()
            cov = np.cov(x, y, ddof=ddof)
            values.append(
                (2 * x.mean() * y.mean() + c1)
                * (2 * cov[0, 1] + c2)
                / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2))
            )
    return float(np.mean(values))


def test_ssim_takes_the_sample_covariance_and_leaves_the_border_out(rng: np.random.Generator) -> None:
    a = 50 + 60 * np.sin(np.arange(24)[:, None] / 4) * np.cos(np.arange(28) / 5) + np.zeros((24, 28))
    b = a + rng.normal(0, 12, a.shape)
    found = ssim(a[None], b[None], ABDOMEN).mean
    images = windowed(a), windowed(b)
    assert found == pytest.approx(slow_ssim(*images, ddof=1, border=False), rel=1e-9)
    assert abs(found - slow_ssim(*images, ddof=0, border=False)) > 5e-4
    assert abs(found - slow_ssim(*images, ddof=1, border=True)) > 1e-3


def test_the_window_clips_before_the_difference_is_taken() -> None:
    """Air at -1000 against -700 HU differs by 300 HU, and by nothing in the abdomen window."""
    a = np.full((1, 16, 16), -1000.0, np.float32)
    a[:, :8] = 50.0
    b = a + 8
    b[:, 8:] = -700.0
    assert psnr(a, b, ABDOMEN).mean == pytest.approx(-10 * np.log10(0.5 * (8 / 400) ** 2), abs=1e-5)
    late = -10 * np.log10(np.mean(((b - a) / 400) ** 2))
    assert psnr(a, b, ABDOMEN).mean - late > 25


@pytest.mark.parametrize(("name", "decibel"), [("abdomen", 0.0218), ("neuro", 0.1093), ("chest", 0.0058)])
def test_a_window_of_dicom_is_one_value_narrower(name: str, decibel: float) -> None:
    """PS3.3 C.11.2.1.2.1 maps W - 1 values (as ldct-benchmark does); the protocol here maps W."""
    window = WINDOWS[name]
    a = np.full((1, 16, 16), window.centre, np.float32)
    b = a + 3
    lower, upper = (window.centre - 0.5 + s * (window.width - 1) / 2 for s in (-1, 1))
    dicom = [np.clip((i - window.centre + 0.5) / (window.width - 1) + 0.5, 0, 1) for i in (a, b)]
    assert lower < a.min() < b.max() < upper
    theirs = -10 * np.log10(np.mean((dicom[0] - dicom[1]) ** 2))
    assert psnr(a, b, Protocol(window)).mean - theirs == pytest.approx(decibel, abs=2e-4)


def test_the_data_range_is_fixed_not_that_of_the_image(rng: np.random.Generator) -> None:
    """Max - min of each image, as some codes take it, would make the figure depend on one bright pixel."""
    a = rng.normal(50, 30, (2, 32, 32)).astype(np.float32)
    a[1, 0, 0] = 3000.0
    b = a + 5
    given = psnr(a, b, Protocol(None, data_range=1000.0)).per_slice
    assert given[0] == pytest.approx(given[1], abs=1e-4)
    theirs = [20 * np.log10((s.max() - s.min()) / 5) for s in a]
    assert theirs[1] - theirs[0] > 15


def test_vif_is_not_symmetric(rng: np.random.Generator) -> None:
    """A test that took the denoised image for the reference would reward blur."""
    from scipy.ndimage import gaussian_filter

    a = rng.normal(50, 60, (1, 64, 64)).astype(np.float32)
    blurred = gaussian_filter(a, (0, 1, 1))
    assert vif(a, blurred, ABDOMEN).mean < 0.15
    assert vif(blurred, a, ABDOMEN).mean > 1.5 * vif(a, blurred, ABDOMEN).mean
