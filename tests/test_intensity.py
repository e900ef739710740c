"""Intensity maps: fixed constants, exact inverse, an MR scale that noise and padding do not move."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from medidiff.errors import ModelError, PixelError, UsageError
from medidiff.intensity import Intensity, foreground_p99
from medidiff.volume import Volume


def rician(array: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    real = array + sigma * rng.standard_normal(array.shape, dtype=np.float32)
    return np.hypot(real, sigma * rng.standard_normal(array.shape, dtype=np.float32))


def phantom() -> np.ndarray:
    """Ellipsoid of 60 with a bright core of 100, in air of 0."""
    z, y, x = np.mgrid[-1:1:8j, -1:1:96j, -1:1:96j].astype(np.float32)
    radius = np.sqrt((z / 2) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2)
    return np.where(radius < 0.6, 100.0, np.where(radius < 1, 60.0, 0.0)).astype(np.float32)


def test_ct_constants() -> None:
    z = Intensity.ct().to_model(np.array([-500.0, 0.0, 500.0, -1024.0, 3071.0]))
    np.testing.assert_allclose(z, [0.0, 1.0, 2.0, -1.048, 7.142], rtol=1e-6)
    assert z.dtype == np.float32
    assert Intensity.ct().scale == 500.0


def test_ct_clips_padding_and_nan() -> None:
    ct = Intensity.ct()
    z = ct.to_model(np.array([-3024.0, 9000.0, np.nan, np.inf, -np.inf], np.float32))
    np.testing.assert_allclose(ct.from_model(z), [-1024, 3071, -1024, 3071, -1024], rtol=1e-6)


def test_valid_marks_the_trained_range() -> None:
    values = np.array([-1025.0, -1024.0, 0.0, 3071.0, 3071.5, np.nan, np.inf])
    assert Intensity.ct().valid(values).tolist() == [False, True, True, True, False, False, False]
    assert Intensity.mr(100.0).valid(np.array([-0.1, 0.0, 400.0, 400.1])).tolist() == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("intensity", [Intensity.ct(), Intensity.mr(873.5)])
def test_inverse(intensity: Intensity, rng: np.random.Generator) -> None:
    values = rng.uniform(intensity.low, intensity.high, 10_000).astype(np.float32)
    back = intensity.from_model(intensity.to_model(values))
    np.testing.assert_allclose(back, values, atol=1e-3)


def test_noise_sd_scales_with_scale(rng: np.random.Generator) -> None:
    noisy = 40.0 + 25.0 * rng.standard_normal(50_000)
    assert Intensity.ct().to_model(noisy).std() == pytest.approx(25.0 / Intensity.ct().scale, rel=0.02)


def test_serialises_through_json() -> None:
    intensity = Intensity.mr(512.25)
    assert Intensity.from_dict(json.loads(json.dumps(intensity.to_dict()))) == intensity


@pytest.mark.parametrize("damage", [{"scale": "x"}, {"scale": -1.0}, {"kind": "pet"}, {"low": None}])
def test_damaged_dict_is_a_model_error(damage: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="intensity map is not complete"):
        Intensity.from_dict({**Intensity.ct().to_dict(), **damage})


def test_unknown_kind_is_refused() -> None:
    volume = Volume(np.ones((1, 8, 8), np.float32), np.eye(4))
    with pytest.raises(UsageError, match="Received: pet"):
        Intensity.for_volume("pet", volume)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Intensity.ct().scale = 1.0  # type: ignore[misc]


def test_mr_scale_is_the_bright_tissue() -> None:
    assert foreground_p99(phantom()) == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize("percent", [3, 9, 15])
def test_mr_scale_ignores_noise(percent: int, rng: np.random.Generator) -> None:
    """A plateau is the worst case: its percentile lies 2.1 SD of a block mean (noise / 4) above it."""
    clean = phantom()
    noisy = rician(clean, percent, rng)
    assert foreground_p99(noisy) == pytest.approx(foreground_p99(clean), rel=0.6 * percent / 100)
    plain = np.percentile(noisy[clean > 10], 99) / np.percentile(clean[clean > 10], 99)
    assert plain > 1 + 1.5 * percent / 100  # what the block means are for


def test_mr_scale_ignores_padding_and_nan() -> None:
    array, padding = phantom(), np.zeros((8, 96, 96), bool)
    expected = foreground_p99(array)
    array[:, :, :20], padding[:, :, :20] = 30_000.0, True
    array[:, :4] = np.nan
    assert foreground_p99(array, padding) == pytest.approx(expected, rel=0.01)
    assert foreground_p99(array) > 2 * expected  # the mask is what protects it


def test_mr_scale_follows_units() -> None:
    volume = Volume(phantom(), np.eye(4), modality="MR")
    ten = volume.with_array(10 * volume.array)
    one = Intensity.for_volume("mr", volume)
    assert Intensity.for_volume("mr", ten).scale == pytest.approx(10 * one.scale, rel=1e-4)
    np.testing.assert_allclose(
        Intensity.for_volume("mr", ten).to_model(ten.array), one.to_model(volume.array), atol=1e-4
    )


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan])
def test_mr_volume_without_signal_is_refused(value: float) -> None:
    with pytest.raises(PixelError, match="no positive value"):
        foreground_p99(np.full((2, 16, 16), value, np.float32))


@pytest.mark.parametrize(
    "name",
    ["val/open_ms/patient19/study2_T1W.nii.gz", "val/open_ms/patient09/study2_FLAIR.nii.gz"],
)
def test_mr_scale_on_real_brains(shared_data: Path, name: str, rng: np.random.Generator) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(shared_data / "mr" / name)
    array = np.ascontiguousarray(np.asarray(image.dataobj, np.float32).T)
    clean = foreground_p99(array)
    assert foreground_p99(rician(array, 0.09 * clean, rng)) == pytest.approx(clean, rel=0.015)
    assert foreground_p99(rician(array, 0.15 * clean, rng)) == pytest.approx(clean, rel=0.03)
    assert 0.8 < clean / np.percentile(array[array > 0.1 * clean], 99) < 1.05
