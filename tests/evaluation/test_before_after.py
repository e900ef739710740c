"""No-reference measures on scans whose noise, texture and changes are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_scans import PIXEL_MM, anatomy, ct_noise
from scipy import ndimage

from medidiff.errors import GeometryError, PixelError
from medidiff.evaluation import NoReference, before_after
from medidiff.evaluation.texture import TextureSum, noise_shift
from medidiff.volume import Volume

SHAPE = (320, 352)
SD = 20.0
LEFT = 0.25


def volume(array: np.ndarray, modality: str = "CT", unit: str = "HU") -> Volume:
    affine = np.diag([PIXEL_MM, PIXEL_MM, 3.0, 1.0])
    return Volume(np.ascontiguousarray(array, np.float32), affine, modality, unit)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair() -> tuple[Volume, np.ndarray, np.ndarray]:
    """Three slices: the scan, its truth, its noise."""
    rng = np.random.default_rng(4)
    clean = np.stack([anatomy(SHAPE)] * 3)
    noise = np.stack([ct_noise(SHAPE, rng, SD) for _ in clean])
    return volume(clean + noise), clean, noise


@pytest.fixture(scope="module")
def good(pair: tuple[Volume, np.ndarray, np.ndarray]) -> NoReference:
    """A denoiser that takes three quarters of the noise away and nothing else."""
    scan, clean, noise = pair
    return before_after(scan, scan.with_array(clean + LEFT * noise), np.full(clean.shape, 4.0, np.float32))


def test_noise_removed_and_left(good: NoReference) -> None:
    assert good.before.sigma == pytest.approx(SD, rel=0.15)
    assert good.noise_left == pytest.approx(LEFT, rel=0.1)
    for s in good.slices:
        assert s.removed_sd == pytest.approx((1 - LEFT) * SD, rel=0.03)
        assert s.removed_ratio == pytest.approx(1 - LEFT, rel=0.15)
        assert s.mean_change == pytest.approx(0.0, abs=0.2)
        assert s.uniform > 20_000
        assert not s.unchanged
    for d in good.drift:
        if d.pixels > 500:
            assert d.mean == pytest.approx(0.0, abs=max(4 * (d.error or 0), 0.3))


def test_texture_that_did_not_change(good: NoReference, pair: tuple[Volume, np.ndarray, np.ndarray]) -> None:
    assert good.nps_shift == pytest.approx(0.0, abs=0.02)
    assert good.nps_removed is not None
    assert good.nps_removed.sd == pytest.approx((1 - LEFT) * SD, rel=0.08)


def test_nothing_is_flagged_where_nothing_is_wrong(good: NoReference) -> None:
    assert good.flags == ()
    assert good.flagged_slices == ()
    assert good.residual is not None
    assert good.residual.share == 0
    assert good.uncertainty is not None
    assert good.uncertainty.median == 4.0
    assert good.uncertainty.relative == pytest.approx(4 / SD, rel=0.15)


def test_json_is_complete_and_valid(good: NoReference) -> None:
    content = json.loads(json.dumps(replace(good, notes=("slices overlap",)).as_dict(), allow_nan=False))
    assert content["notes"] == ["slices overlap"]
    assert content["measured_slices"] == [0, 1, 2]
    assert len(content["slices"]) == 3
    assert content["nps"]["before"]["unit"] == "HU^2 mm^2"
    assert "body (largest connected region above -500 HU)" in content["protocol_text"]


def kinds(found: NoReference) -> set[tuple[int | None, str]]:
    return {(f.slice, f.kind) for f in found.flags}


def test_each_fault_is_flagged_in_its_slice(pair: tuple[Volume, np.ndarray, np.ndarray]) -> None:
    scan, clean, noise = pair
    result = clean + LEFT * noise
    result[0] = scan.array[0]
    result[1] += 8.0
    result[2] = ndimage.gaussian_filter(scan.array[2], 1.5)
    sd = np.full(clean.shape, 4.0, np.float32)
    sd[1] = 20.0
    found = before_after(scan, scan.with_array(result), sd)
    assert {(0, "unchanged"), (1, "drift"), (1, "uncertainty"), (2, "structure"), (2, "edges")} <= kinds(
        found
    )
    wrong = {(0, "structure"), (1, "structure"), (1, "edges"), (2, "drift")}
    assert not wrong & kinds(found)
    assert found.flagged_slices == (0, 1, 2)
    reasons = {f.kind: f.text for f in found.flags if f.slice == 1}
    assert "moved by +8.0" in reasons["drift"]
    assert [f.slice for f in found.flags] == sorted([f.slice for f in found.flags], key=lambda k: k or -1)


def test_a_drift_of_soft_tissue_by_two_hu_is_flagged(pair: tuple[Volume, np.ndarray, np.ndarray]) -> None:
    scan, clean, noise = pair
    found = before_after(scan, scan.with_array(clean + LEFT * noise + 2.0 * (abs(clean - 60) < 50)))
    drift = {d.name: d for d in found.drift}
    assert drift["soft"].mean is not None
    assert 1.5 < drift["soft"].mean < 2.1
    assert (None, "drift") in kinds(found)


def test_more_noise_after_than_before(pair: tuple[Volume, np.ndarray, np.ndarray]) -> None:
    scan, clean, noise = pair
    found = before_after(scan, scan.with_array(clean + 2.5 * noise))
    assert found.noise_left == pytest.approx(2.5, rel=0.1)
    assert (None, "noise") in kinds(found)
    assert {(k, "removed") for k in range(3)} <= kinds(found)


def test_a_blur_lowers_the_frequency_of_the_noise_that_is_left(
    pair: tuple[Volume, np.ndarray, np.ndarray],
) -> None:
    scan, clean, noise = pair
    smooth = ndimage.gaussian_filter(noise, (0, 0.8, 0.8))
    found = before_after(scan, scan.with_array(clean + smooth))
    assert found.nps_shift is not None
    assert found.nps_shift < -0.15


def test_magnitude_mr_without_its_noise_floor(rng: np.random.Generator) -> None:
    """The floor is gone from the dark, as it should be: no structure, no drift of what is bright."""
    clean = np.clip((anatomy(SHAPE) + 1000) / 4, 0, None)[None].repeat(2, 0)
    clean[:, 140:180, 150:190] = 5.0  # a dark ventricle
    n = rng.normal(0, 12, (2, *clean.shape))
    scan = volume(np.abs(clean + n[0] + 1j * n[1]), "MR", "a.u.")
    found = before_after(scan, scan.with_array(clean + 0.2 * n[0]))
    assert found.before.sigma == pytest.approx(12, rel=0.15)
    assert found.flags == ()
    assert [d.name for d in found.drift] == ["all"]
    assert found.drift[0].mean == pytest.approx(0.0, abs=0.5)
    assert found.unit == "a.u."


def test_a_scan_too_small_to_measure_says_so(rng: np.random.Generator) -> None:
    """No noise level, no NPS, no residual test: None each, and the reason."""
    clean = np.full((1, 40, 40), -1000.0)
    clean[:, 10:30, 10:30] = 40.0
    scan = volume(clean + rng.normal(0, 10, clean.shape))
    found = before_after(scan, scan.with_array(clean))
    assert found.before.sigma is None
    assert "cannot be estimated" in found.before.text
    assert found.nps_before is None
    assert found.nps_shift is None
    assert found.noise_left is None
    assert found.residual is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_padding_and_misuse(pair: tuple[Volume, np.ndarray, np.ndarray], good: NoReference) -> None:
    scan, clean, noise = pair
    padding = np.zeros(clean.shape, bool)
    padding[:, :30] = True
    array = scan.array.copy()
    array[padding] = np.nan
    padded = replace(scan, array=array, padding=padding)
    found = before_after(padded, padded.with_array(np.where(padding, np.nan, clean + LEFT * noise)))
    assert found.noise_left == pytest.approx(good.noise_left, rel=0.05)
    assert found.flags == ()
    with pytest.raises(PixelError, match="not numbers"):
        before_after(scan, padded)
    with pytest.raises(GeometryError):
        before_after(scan, scan.with_array(scan.array[:2]))
    with pytest.raises(GeometryError, match="uncertainty"):
        before_after(scan, scan, np.ones((1, *SHAPE), np.float32))


def test_trend_is_no_noise(rng: np.random.Generator) -> None:
    """A parabola of 400 HU over the patch leaves the NPS of the noise on it."""
    u = np.linspace(-1, 1, 128)
    trend = 200 * (u[:, None] ** 2 + u**2 + u[:, None] * u)
    noise = ct_noise((128, 128), rng, 10.0)
    total = TextureSum(PIXEL_MM, "HU")
    flat = np.zeros((128, 128), np.float32)
    total.add((trend + noise).astype("f4"), (trend + 0.5 * noise).astype("f4"), flat, flat == 0)
    before, after, removed = total.result()
    assert before is not None
    assert after is not None
    assert removed is not None
    assert before.patches == 4
    assert before.sd == pytest.approx(10.0, rel=0.15)
    assert after.sd == pytest.approx(0.5 * before.sd, rel=0.01)
    assert removed.sd == pytest.approx(0.5 * before.sd, rel=0.01)
    assert noise_shift(before, after) == pytest.approx(0.0, abs=1e-3)
