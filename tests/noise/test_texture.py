"""Noise texture: kernel frequency and zero-fill factor against known noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from noise_phantoms import BODY_KERNEL, SHARP_KERNEL, ct_body, ct_noise, mr_head, mr_volume

from medidiff.noise.estimate_ct import clean_hu, soft_tissue
from medidiff.noise.mr import MRNoise, simulate
from medidiff.noise.spectrum import Kernel, hann_patches, noise_power_spectrum
from medidiff.noise.texture import interpolation_factor, kernel_frequency


@pytest.mark.parametrize(
    "kernel", [Kernel(3.5, 5.0), BODY_KERNEL, SHARP_KERNEL], ids=["soft", "body", "sharp"]
)
@pytest.mark.parametrize("sigma", [15.0, 60.0])
def test_kernel_frequency_is_that_of_the_noise_alone(
    kernel: Kernel, sigma: float, rng: np.random.Generator
) -> None:
    shape, pixel_mm = (384, 384), 0.75
    noise = ct_noise(shape, pixel_mm, rng, kernel)
    true = noise_power_spectrum(hann_patches(noise), pixel_mm).mean_frequency
    image = clean_hu(ct_body(shape) + sigma * noise)
    assert kernel_frequency(image, pixel_mm, soft_tissue(image)) == pytest.approx(true, rel=0.07)


def test_no_kernel_frequency_without_flat_tissue() -> None:
    assert kernel_frequency(np.zeros((128, 128), np.float32), 0.8, np.zeros((128, 128), bool)) is None
    assert kernel_frequency(np.zeros((16, 16), np.float32), 0.8, np.ones((16, 16), bool)) is None
    assert kernel_frequency(np.zeros((128, 128), np.float32), 0.8, np.ones((128, 128), bool)) is None


@pytest.mark.parametrize("zero_fill", [(1.0, 1.0), (1.25, 1.5), (2.0, 1.0), (1.5, 2.0)])
@pytest.mark.parametrize("sigma", [0.03, 0.08])
def test_interpolation_factor(zero_fill: tuple[float, float], sigma: float, rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(sigma, zero_fill=zero_fill), rng)
    assert interpolation_factor(noisy[None]) == pytest.approx(zero_fill, rel=0.05)


def test_real_haste_is_interpolated_along_its_phase_axis(shared_data: Path) -> None:
    scan = mr_volume(shared_data / "mr/train/fetal_haste/sub-01_run-1_T2w.nii.gz", 5)
    y, x = interpolation_factor(scan.array)
    assert x == pytest.approx(1.5, abs=0.1)
    assert 1.0 <= y < 1.2


def test_tiny_images_have_no_interpolation_factor() -> None:
    assert interpolation_factor(np.ones((1, 20, 20), dtype=np.float32)) == (1.0, 1.0)


@pytest.mark.parametrize("pixel_mm", [4.5, 5.0, 20.0])
def test_pixels_too_coarse_to_show_the_kernel_have_no_frequency(
    pixel_mm: float, rng: np.random.Generator
) -> None:
    """Attenuation-correction CT on the grid of a PET: there is nothing above the structure."""
    image = (40 + 20 * rng.standard_normal((160, 160))).astype(np.float32)
    mask = np.ones(image.shape, bool)
    assert kernel_frequency(image, 1.0, mask) is not None
    assert kernel_frequency(image, pixel_mm, mask) is None
