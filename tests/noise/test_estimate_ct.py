"""CT noise level: on known noise, on real scans, and with known noise added to real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from noise_phantoms import BODY_KERNEL, SHARP_KERNEL, ct_body, ct_noise, ct_series, volume

from medidiff.noise.estimate import estimate
from medidiff.noise.estimate_ct import (
    clean_hu,
    global_noise_level,
    histogram_mode,
    noise_share,
    quiet_level,
    soft_tissue,
    weighted_median,
)
from medidiff.noise.spectrum import draw_kernel, hann_patches, noise_power_spectrum

SERIES = {  # measured noise of the data's own documentation, HU, an upper bound
    "lidc_idri_0001/LIDC-IDRI-0001_s00": 16.8,
    "acrin_flt_breast_001/ACRIN-FLT-Breast_001_s01": 16.9,
    "acrin_flt_breast_013/ACRIN-FLT-Breast_013_s00": 7.5,
    "crlm_ct_1004/CRLM-CT-1004_s00": 9.6,
    "c4kc_kits_00072/KiTS-00072_s00": 13.9,
    "lung_fused_01_0001/LungFCP-01-0001_s00": 22.7,
}


@pytest.mark.parametrize("sigma", [12.0, 30.0, 80.0])
def test_gnl_of_correlated_noise_over_structure(sigma: float, rng: np.random.Generator) -> None:
    image = ct_body() + sigma * ct_noise((320, 320), 0.8, rng)
    found, n = global_noise_level(image)
    assert found == pytest.approx(sigma, rel=0.10)
    assert n > 5000


@pytest.mark.parametrize("kernel", [BODY_KERNEL, SHARP_KERNEL], ids=["body", "sharp"])
@pytest.mark.parametrize("sigma", [10.0, 25.0, 60.0, 150.0])
def test_volume_estimate_of_correlated_noise_over_structure(
    kernel: object, sigma: float, rng: np.random.Generator
) -> None:
    stack = [ct_body(seed=k) + sigma * ct_noise((320, 320), 0.8, rng, kernel) for k in range(3)]  # type: ignore[arg-type]
    found = estimate(volume(np.stack(stack), "CT"))
    assert found.sigma == pytest.approx(sigma, rel=0.08)
    assert found.per_slice == pytest.approx(sigma, rel=0.12)
    assert found.unit == "HU"


def test_padding_outside_the_field_of_view_does_not_count(rng: np.random.Generator) -> None:
    image = ct_body() + 20 * ct_noise((320, 320), 0.8, rng)
    padding = np.zeros(image.shape, dtype=bool)
    padding[:, :140] = True
    marked = image.copy()
    marked[padding] = np.nan
    marked[:20] = -3024  # unmarked vendor padding
    assert global_noise_level(marked, padding)[0] == pytest.approx(20, rel=0.1)
    with_padding = volume(marked, "CT", padding=padding[None])
    assert estimate(with_padding).sigma == pytest.approx(20, rel=0.1)


def test_gnl_needs_200_pixels_of_soft_tissue() -> None:
    sigma, n = global_noise_level(np.full((128, 128), -800, dtype=np.float32))
    assert np.isnan(sigma)
    assert n == 0


def test_noise_share_is_what_simulation_gives(rng: np.random.Generator) -> None:
    """The calibration of `quiet_level` against the colour of the noise, made anew."""
    everywhere = np.ones((384, 384), dtype=bool)
    for pixel_mm in (0.55, 0.7, 0.98, 1.3):
        noise = ct_noise(everywhere.shape, pixel_mm, rng, draw_kernel(rng))
        colour = noise_power_spectrum(hann_patches(noise), pixel_mm).mean_frequency * pixel_mm / 10
        assert quiet_level(noise, everywhere) == pytest.approx(noise_share(colour), rel=0.03)


def test_coarse_noise_that_leaves_the_hu_window_still_has_a_mask(rng: np.random.Generator) -> None:
    image = ct_body() + 330 * ct_noise((320, 320), 0.6, rng)
    assert np.count_nonzero(soft_tissue(clean_hu(image))) > 2000


def test_mode_and_weighted_median() -> None:
    assert histogram_mode(np.r_[np.full(900, 5.1), np.linspace(0, 60, 600)], 0.5) == pytest.approx(
        5.1, abs=0.5
    )
    assert histogram_mode(np.zeros(300)) == 0
    assert weighted_median(np.array([9.0, 1.0, 5.0]), np.array([1, 1, 10])) == 5


@pytest.mark.parametrize("name", SERIES)
def test_real_series_agree_with_their_documented_noise(name: str, shared_data: Path) -> None:
    found = estimate(ct_series(shared_data / "ct" / "train" / name, 9))
    assert 0.7 * SERIES[name] < found.sigma < 1.2 * SERIES[name]
    assert found.kernel_frequency is not None
    assert 2.0 < found.kernel_frequency < 4.2  # soft to standard kernels


@pytest.mark.parametrize(
    "name", ["train/lidc_idri_0001/LIDC-IDRI-0001_s00", "val/crlm_ct_1006/CRLM-CT-1006_s00"]
)
@pytest.mark.parametrize("added", [15.0, 40.0])
def test_noise_added_to_a_real_series_adds_in_quadrature(
    name: str, added: float, shared_data: Path, rng: np.random.Generator
) -> None:
    scan = ct_series(shared_data / "ct" / name, 5)
    own = estimate(scan).sigma
    noise = [ct_noise(s.shape, scan.pixel_mm, rng) for s in scan.array]
    found = estimate(scan.with_array(scan.array + np.float32(added) * np.stack(noise)))
    assert found.sigma == pytest.approx(np.hypot(own, added), rel=0.08)


@pytest.mark.parametrize(
    ("name", "k"), [("crlm_ct_1006/CRLM-CT-1006_s00", 4), ("tcga_luad_lusc/TCGA-92-8064_s77", 0)]
)
def test_the_level_of_small_crops_is_that_of_the_slice(
    name: str, k: int, shared_data: Path, rng: np.random.Generator
) -> None:
    """In 80 x 80 pixels all patches hold anatomy, whose low frequency must not pass for that of the noise."""
    scan = ct_series(shared_data / "ct" / "val" / name, 6)
    image = scan.array[k]
    whole = estimate(volume(image, "CT", scan.pixel_mm)).sigma
    rows, columns = np.nonzero(soft_tissue(clean_hu(image))[40:-40, 40:-40])
    found = []
    for i in rng.choice(len(rows), 12, replace=False):
        crop = image[rows[i] : rows[i] + 80, columns[i] : columns[i] + 80]
        found.append(estimate(volume(crop, "CT", scan.pixel_mm)).sigma / whole)
    assert np.median(found) == pytest.approx(1, abs=0.25)
    assert max(found) < 2


@pytest.mark.parametrize("side", [48, 64, 96])
def test_the_level_of_small_uniform_phantoms(side: int, rng: np.random.Generator) -> None:
    y, x = np.mgrid[:side, :side] - side / 2
    water = np.where(np.hypot(y, x) < 0.45 * side, 0.0, -1000.0)
    for kernel in (BODY_KERNEL, SHARP_KERNEL):
        found = estimate(volume(water + 20 * ct_noise(water.shape, 0.8, rng, kernel), "CT")).sigma
        # In the smallest there is no patch to tell a kernel: a typical one stands in.
        assert found == pytest.approx(20, rel=0.25 if side == 48 else 0.1)
