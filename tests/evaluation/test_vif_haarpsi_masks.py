"""VIF and HaarPSI where slices are small, flat, identical or partly masked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.evaluation import WINDOWS, Protocol, Score, haarpsi, vif
from medidiff.evaluation.protocol import RMSE_CLIP_HU

ABDOMEN = Protocol(WINDOWS["abdomen"], None, RMSE_CLIP_HU)


@pytest.fixture
def images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    a = np.kron(rng.choice([-80.0, 20.0, 60.0, 200.0], (2, 10, 12)), np.ones((1, 8, 8))).astype(np.float32)
    return a, a + rng.normal(0, 25, a.shape).astype(np.float32)


@pytest.mark.parametrize("metric", [vif, haarpsi])
def test_identical_is_one_flat_is_nothing(metric, images: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = images
    assert metric(a, a, ABDOMEN).mean == pytest.approx(1.0, abs=1e-9)
    assert 0 < metric(a, b, ABDOMEN).mean < 1
    flat = np.full_like(a, 40.0)
    score: Score = metric(flat, flat, ABDOMEN)
    if metric is vif:
        assert np.isnan(score.mean)
    else:  # the zeros beyond the border are contrast to HaarPSI, unless the image is black too
        assert score.mean == pytest.approx(1.0)
        assert np.isnan(haarpsi(flat - 500, flat - 500, ABDOMEN).mean)


@pytest.mark.parametrize(("metric", "side"), [(vif, 41), (haarpsi, 16)])
def test_small_slices_have_none_and_say_so(metric, side: int) -> None:
    a = np.arange(side * (side - 1), dtype=np.float32).reshape(1, side, side - 1) % 97
    score = metric(a, a + 1, ABDOMEN)
    assert np.isnan(score.mean)
    assert f"{side} x {side}" in score.note
    assert json.loads(json.dumps(score.as_dict(), allow_nan=False))["mean"] is None
    a = np.arange(side * side, dtype=np.float32).reshape(1, side, side) % 97
    assert np.isfinite(metric(a, a + 1, ABDOMEN).mean)
    assert metric(a, a + 1, ABDOMEN).note == ""


@pytest.mark.parametrize("metric", [vif, haarpsi])
def test_what_is_masked_does_not_count(metric, images: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = images
    valid = np.ones(a.shape, bool)
    valid[:, :, 60:] = False
    spoiled_a, spoiled_b = a.copy(), b.copy()
    spoiled_a[~valid], spoiled_b[~valid] = np.nan, 3000.0
    found = metric(spoiled_a, spoiled_b, ABDOMEN, valid).mean
    assert np.isfinite(found)
    other = a.copy()
    other[~valid] = 500.0
    assert metric(other, b, ABDOMEN, valid).mean == found
    # Noise in the counted part only, and in the other part only, are told apart.
    part, rest = a.copy(), a.copy()
    part[valid], rest[~valid] = b[valid], b[~valid]
    assert metric(a, part, ABDOMEN, valid).mean == pytest.approx(found, rel=1e-9)
    assert metric(a, rest, ABDOMEN, valid).mean == pytest.approx(1.0, abs=1e-9)


def scene(rng: np.random.Generator, side: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles of tissue with noise, 1000 HU above the low end, which a mask's outline would dwarf."""
    a = np.kron(rng.choice([-80.0, 20.0, 60.0, 200.0], (1, side // 8, side // 8)), np.ones((1, 8, 8)))
    return a.astype(np.float32), (a + rng.normal(0, 25, a.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("top", "left", "height", "width", "tolerance"),
    [(32, 16, 96, 112, 1e-9), (8, 0, 41, 41, 1e-9), (33, 21, 150, 160, 0.02), (5, 7, 120, 100, 0.05)],
)
def test_the_vif_of_a_rectangle_is_that_of_the_cut_images(
    rng: np.random.Generator, top: int, left: int, height: int, width: int, tolerance: float
) -> None:
    """At places divisible by 8 the coarser scales fall onto the same pixels: there it is the very number."""
    a, b = scene(rng)
    part = np.s_[:, top : top + height, left : left + width]
    valid = np.zeros(a.shape, bool)
    valid[part] = True
    assert vif(a, b, ABDOMEN, valid).mean == pytest.approx(vif(a[part], b[part], ABDOMEN).mean, rel=tolerance)


def test_the_outline_of_a_round_mask_is_no_structure(rng: np.random.Generator) -> None:
    """White noise on a flat scene: inside any mask there is as little information as without one."""
    a, b = (rng.normal(40, sd, (1, 200, 200)).astype(np.float32) for sd in (20, 20))
    y, x = np.ogrid[:200, :200]
    valid = (np.hypot(y - 100, x - 95) < 80)[None]
    assert vif(a, b, ABDOMEN).mean < 0.05
    assert vif(a, b, ABDOMEN, valid).mean < 0.05
    assert vif(a, a, ABDOMEN, valid).mean == pytest.approx(1.0, abs=1e-9)


def test_a_mask_that_holds_no_window_of_every_scale_has_no_vif(rng: np.random.Generator) -> None:
    a, b = scene(rng)
    valid = np.zeros(a.shape, bool)
    valid[:, 8:48, 8:100] = True
    score = vif(a, b, ABDOMEN, valid)
    assert np.isnan(score.mean)
    assert "41 x 41" in score.note
    valid[:, 8:49] = True
    assert np.isfinite(vif(a, b, ABDOMEN, valid).mean)
    assert vif(a, b, ABDOMEN, valid).note == ""
