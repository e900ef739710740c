"""Figures against scikit-image called directly and against closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medidiff.errors import GeometryError, PixelError, UsageError
from medidiff.evaluation import WINDOWS, Protocol, Window, hu_bias, parse_window, psnr, rmse, ssim
from medidiff.evaluation.protocol import FULL_CT, RMSE_CLIP_HU

ABDOMEN = Protocol(WINDOWS["abdomen"], None, RMSE_CLIP_HU)
RAW = Protocol(None, data_range=1000.0)


def windowed(hu: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The definition, written again."""
    return np.minimum(np.maximum((hu.astype(float) - centre + width / 2) / width, 0), 1)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Anatomy-like steps from lung to bone with 30 HU of noise, three slices."""
    steps = np.kron(rng.choice([-800.0, -100.0, 40.0, 60.0, 700.0], (3, 6, 7)), np.ones((1, 8, 8)))
    return steps.astype(np.float32), (steps + rng.normal(0, 30, steps.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "centre", "width"), [("chest", -600, 1500), ("abdomen", 50, 400), ("neuro", 40, 80)]
)
def test_windowed_metrics_are_scikit_image_per_slice(
    pair: tuple[np.ndarray, np.ndarray], name: str, centre: float, width: float
) -> None:
    a, b = pair
    protocol = Protocol(parse_window(name), None, RMSE_CLIP_HU)
    wa, wb = windowed(a, centre, width), windowed(b, centre, width)
    expected = [peak_signal_noise_ratio(x, y, data_range=1) for x, y in zip(wa, wb, strict=True)]
    assert psnr(a, b, protocol).per_slice == pytest.approx(expected, rel=1e-9)
    assert psnr(a, b, protocol).mean == pytest.approx(np.mean(expected))
    expected = [structural_similarity(x, y, data_range=1) for x, y in zip(wa, wb, strict=True)]
    assert ssim(a, b, protocol).per_slice == pytest.approx(expected, rel=1e-9)
    expected = [
        np.sqrt(np.mean((np.clip(x + 1024.0, 0, 2924) - np.clip(y + 1024.0, 0, 2924)) ** 2))
        for x, y in zip(a, b, strict=True)
    ]
    assert rmse(a, b, protocol).per_slice == pytest.approx(expected, rel=1e-5)


def test_constant_offset() -> None:
    """d HU in a window of W: 20 log10(W / d) dB, RMSE d, SSIM the luminance term alone."""
    a = np.full((2, 16, 16), 50.0, np.float32)
    b = a + 8
    assert psnr(a, b, ABDOMEN).per_slice == pytest.approx([20 * np.log10(400 / 8)] * 2)
    assert rmse(a, b, ABDOMEN).mean == pytest.approx(8.0)
    c1 = 0.01**2
    assert ssim(a, b, ABDOMEN).mean == pytest.approx((2 * 0.5 * 0.52 + c1) / (0.5**2 + 0.52**2 + c1))
    raw = psnr(a, b, RAW)
    assert raw.mean == pytest.approx(20 * np.log10(1000 / 8))
    assert raw.protocol.data_range == 1000.0


def test_known_noise_and_why_the_window_must_be_named(rng: np.random.Generator) -> None:
    """Noise of SD s: 20 log10(W / s). The same pair differs by 20 log10(4096 / 400) = 20.2 dB."""
    a = np.full((1, 512, 512), 50.0, np.float32)
    b = a + rng.normal(0, 12, a.shape).astype(np.float32)
    narrow, wide = psnr(a, b, ABDOMEN), psnr(a, b, Protocol(FULL_CT))
    assert narrow.mean == pytest.approx(20 * np.log10(400 / 12), abs=0.05)
    assert wide.mean - narrow.mean == pytest.approx(20 * np.log10(4096 / 400), abs=1e-6)
    assert "abdomen (C 50 W 400)" in str(narrow)
    assert str(narrow) != str(wide)


def test_window_clips_what_it_does_not_show() -> None:
    a = np.full((1, 16, 16), -900.0, np.float32)
    assert psnr(a, a - 100, ABDOMEN).mean == float("inf")
    assert rmse(a, a - 100, ABDOMEN).mean == pytest.approx(100.0)
    assert rmse(a, a - 500, ABDOMEN).mean == pytest.approx(124.0)  # -1400 counts as -1024
    assert rmse(a, a + 5000, ABDOMEN).mean == pytest.approx(2800.0)  # 4100 counts as 1900


def test_padding_is_left_out(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (x[:, :, :48].copy() for x in pair)
    valid = np.ones(a.shape, bool)
    valid[:, :, 40:] = False
    spoiled_a, spoiled_b = a.copy(), b.copy()
    spoiled_a[~valid], spoiled_b[~valid] = np.nan, 3000.0
    cut_a, cut_b = a[:, :, :40], b[:, :, :40]
    for metric in (psnr, rmse):
        expected = metric(cut_a, cut_b, ABDOMEN).per_slice
        assert metric(spoiled_a, spoiled_b, ABDOMEN, valid).per_slice == pytest.approx(expected, rel=1e-12)
    # SSIM: padding is the low end in both; the mean is over valid pixels off the 3 px border
    wa, wb = (np.where(valid, windowed(x, 50, 400), 0.0) for x in (a, b))
    expected = [
        structural_similarity(x, y, data_range=1, full=True)[1][3:-3, 3:40].mean()
        for x, y in zip(wa, wb, strict=True)
    ]
    got = ssim(spoiled_a, spoiled_b, ABDOMEN, valid).per_slice
    assert got == pytest.approx(expected, rel=1e-9)
    assert got != pytest.approx(ssim(cut_a, cut_b, ABDOMEN).per_slice, rel=1e-9)


def test_slices_without_pixels_or_without_difference() -> None:
    a = np.full((3, 16, 16), 50.0, np.float32)
    b = a.copy()
    b[0] += 8
    valid = np.ones(a.shape, bool)
    valid[1] = False
    score = psnr(a, b, ABDOMEN, valid)
    assert np.isnan(score.per_slice[1])
    assert score.per_slice[2] == float("inf")
    assert score.mean == pytest.approx(20 * np.log10(50))
    assert score.identical == 1
    assert "1 identical" in str(score)
    text = json.dumps(score.as_dict(), allow_nan=False)
    assert json.loads(text)["per_slice"][1:] == [None, None]
    assert np.isnan(psnr(a[1:2], b[1:2], ABDOMEN, valid[1:2]).mean)


def test_data_range_of_mr_is_read_from_the_reference_once_and_printed() -> None:
    a = np.linspace(0, 1000, 2 * 64 * 64, dtype=np.float32).reshape(2, 64, 64)
    score = psnr(a, a + 5, Protocol(None))
    assert score.protocol.data_range == pytest.approx(995.0, abs=0.01)
    assert score.mean == pytest.approx(20 * np.log10(995 / 5), abs=1e-4)
    assert "data range 995" in str(score)
    assert ssim(a, a + 5, Protocol(None)).mean == pytest.approx(
        np.mean([structural_similarity(x, x + 5, data_range=995.0) for x in a.astype(float)]), rel=1e-6
    )
    with pytest.raises(PixelError, match="data range"):
        psnr(np.zeros_like(a), a, Protocol(None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("Abdomen", WINDOWS["abdomen"]),
        ("-20, 300", Window("-20,300", -20.0, 300.0)),
    ],
)
def test_windows_by_name(text: str, expected: Window | None) -> None:
    assert parse_window(text) == expected


@pytest.mark.parametrize("text", ["liver", "50", "50,0", "50,-3", "nan,400", "1,2,3", ""])
def test_unknown_windows_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_window(text)


def test_misuse() -> None:
    a = np.zeros((1, 6, 20), np.float32)
    with pytest.raises(GeometryError, match="7 x 7"):
        ssim(a, a, ABDOMEN)
    with pytest.raises(GeometryError, match="same shape"):
        psnr(a, np.zeros((1, 6, 21), np.float32), ABDOMEN)
    with pytest.raises(UsageError, match="positive"):
        Protocol(None, data_range=0.0)


def test_bias_by_bins(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, _ = pair
    offset = np.select([a < -500, a < 200], [7.0, -2.0], 30.0).astype(np.float32)
    found = {b.name: b for b in hu_bias(a, a + offset, smoothing_px=0.0)}
    assert found["lung"].bias == pytest.approx(7.0, abs=1e-3)
    assert found["soft"].bias == pytest.approx(-2.0, abs=1e-3)
    assert found["bone"].bias == pytest.approx(30.0, abs=1e-3)
    assert found["fat"].bias is None
    assert found["fat"].pixels == 0
    assert sum(b.pixels for b in found.values()) == a.size


def test_a_noisy_reference_biases_its_own_bins_unless_low_passed(rng: np.random.Generator) -> None:
    """Truth 190 HU, 10 HU under an edge; the test image is the truth: no bias anywhere."""
    truth = np.full((1, 256, 256), 190.0, np.float32)
    reference = truth + rng.normal(0, 25, truth.shape).astype(np.float32)
    naive = {b.name: b for b in hu_bias(reference, truth, smoothing_px=0.0)}
    assert naive["dense"].bias is not None
    assert naive["dense"].bias < -20
    smoothed = {b.name: b for b in hu_bias(reference, truth, smoothing_px=2.0)}
    assert smoothed["soft"].pixels > 0.98 * truth.size
    assert smoothed["soft"].bias == pytest.approx(0.0, abs=0.5)


def test_padding_does_not_leak_into_the_low_passed_bins() -> None:
    a = np.full((1, 64, 64), 40.0, np.float32)
    valid = np.ones(a.shape, bool)
    valid[..., 32:] = False
    a[~valid] = -3000.0
    found = {b.name: b for b in hu_bias(a, a + 1, valid)}
    assert found["soft"].pixels == valid.sum()


def test_normalisation_trap() -> None:
    """x * std + std for x * std + mean lifts every image by 20.73 HU; the bias shows it in every bin."""
    mean, std = 481.45, 502.19
    hu = np.array([-900.0, -300.0, 50.0, 400.0, 1200.0], np.float32)
    image = np.broadcast_to(np.repeat(hu, 8)[None, :, None], (1, 40, 40)).copy()
    normalised = (image + 1024 - mean) / std
    right, wrong = normalised * std + mean - 1024, normalised * std + std - 1024
    assert all(abs(b.bias or 0) < 1e-3 for b in hu_bias(image, right, smoothing_px=0.0))
    for b in hu_bias(image, wrong, smoothing_px=0.0):
        assert b.pixels == 320
        assert b.bias == pytest.approx(std - mean, abs=1e-3)
        assert b.bias == pytest.approx(20.73, abs=0.02)


def test_ct_intensity_round_trip_has_no_bias() -> None:
    """medidiff's own normalisation does not fall into the trap."""
    from medidiff.intensity import Intensity

    hu = np.linspace(-1024, 1899, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    intensity = Intensity.ct()
    back = intensity.from_model(intensity.to_model(hu))
    assert all(abs(b.bias or 0) < 1e-3 for b in hu_bias(hu, back, smoothing_px=0.0))


def test_on_a_real_slice(shared_data: Path, rng: np.random.Generator) -> None:
    """12 bit against abdomen window on real anatomy: close to, and below, the 20.2 dB of unclipped values."""
    import pydicom

    path = sorted((shared_data / "ct" / "val" / "crlm_ct_1006").rglob("*.dcm"))[25]
    ds = pydicom.dcmread(path)
    hu = (ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)).astype(np.float32)[None]
    noisy = hu + rng.normal(0, 20, hu.shape).astype(np.float32)
    wide, narrow = psnr(hu, noisy, Protocol(FULL_CT)), psnr(hu, noisy, ABDOMEN)
    assert wide.mean == pytest.approx(20 * np.log10(4096 / 20), abs=1.5)  # air at the clip costs a little
    assert 15.0 < wide.mean - narrow.mean < 20 * np.log10(4096 / 400)
    expected = structural_similarity(windowed(hu[0], 50, 400), windowed(noisy[0], 50, 400), data_range=1)
    assert ssim(hu, noisy, ABDOMEN).mean == pytest.approx(expected, rel=1e-9)
