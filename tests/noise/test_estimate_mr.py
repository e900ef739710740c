"""MR noise level from tissue: on known noise, and with noise added to real volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from noise_phantoms import mr_head, mr_volume
from scipy import ndimage

from medidiff.noise.air import air_noise
from medidiff.noise.estimate import estimate
from medidiff.noise.estimate_mr import foreground, otsu, rician_share, tissue_noise
from medidiff.noise.floor import koay_xi, rician_mean
from medidiff.noise.mr import MRNoise, simulate

REAL = [
    "train/open_ms/patient12/study1_T1W.nii.gz",
    "train/open_ms/patient04/study1_T2W.nii.gz",
    "val/open_ms/patient19/study1_FLAIR.nii.gz",
    "train/fetal_haste/sub-01_run-1_T2w.nii.gz",
    "train/philips/phil1_T1_MPRAGE.nii.gz",
    "val/uih/uih1_T1.nii.gz",
]
ACQUISITIONS = {
    "full matrix": {},
    "zero-filled 1.5": {"zero_fill": (1.5, 1.5)},
    "zero-filled 2": {"zero_fill": (2.0, 2.0)},
    "partial Fourier": {"acquired": 0.65},
    "four coils": {"coils": 4},
}


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_tissue_gives_the_declared_sigma(name: str, sigma: float, rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(sigma, **ACQUISITIONS[name]), rng)  # type: ignore[arg-type]
    found = tissue_noise(noisy)
    assert found is not None
    assert found.sigma == pytest.approx(sigma, rel=0.12)


def test_tissue_does_not_need_air(rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(0.05), rng)
    masked = noisy * (ndimage.gaussian_filter(mr_head(), 2) > 0.1)
    assert air_noise(masked[None]) is None
    found = tissue_noise(masked)
    assert found is not None
    assert found.sigma == pytest.approx(0.05, rel=0.08)


def test_rician_share_is_koay_at_the_snr_of_that_mean() -> None:
    for snr in (0.0, 1.0, 2.5, 6.0):
        assert float(rician_share(rician_mean(snr, 1.0))) == pytest.approx(float(koay_xi(snr)), abs=2e-3)


def test_foreground_and_otsu() -> None:
    head = mr_head()
    inside = foreground(head)
    assert inside[128, 112 - 60]
    assert not inside[4, 4]
    rng = np.random.default_rng(0)
    low, high = (rng.normal(m, 0.05, 4000).astype(np.float32) for m in (0.2, 0.8))
    threshold = otsu(np.r_[low, high])
    assert np.mean(low < threshold) > 0.99
    assert np.mean(high > threshold) > 0.99


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.full((64, 64), 3.0), np.zeros((6, 6))])
def test_nothing_to_see(image: np.ndarray) -> None:
    assert tissue_noise(image.astype(np.float32)) is None
    assert air_noise(image.astype(np.float32)[None]) is None


@pytest.mark.parametrize("name", REAL)
def test_noise_added_to_a_real_volume_adds_in_quadrature(
    name: str, shared_data: Path, rng: np.random.Generator
) -> None:
    scan = mr_volume(shared_data / "mr" / name, 5)
    own = estimate(scan).sigma
    assert 0.005 < own < 0.05
    body = np.stack([ndimage.binary_fill_holes(ndimage.gaussian_filter(s, 2) > 0.06) for s in scan.array])
    for added in (0.03, 0.06, 0.09):
        noisy, _ = simulate(scan.array, MRNoise(added), rng)
        true = np.hypot(own, added)
        assert estimate(scan.with_array(noisy)).sigma == pytest.approx(true, rel=0.10), "with air"
        assert estimate(scan.with_array(noisy * body)).sigma == pytest.approx(true, rel=0.10), "masked"
