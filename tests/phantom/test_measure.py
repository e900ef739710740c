"""Measurements on phantoms whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantoms import synthetic_scan
from scipy.ndimage import gaussian_filter

from medidiff.errors import GeometryError, PixelError
from medidiff.phantom import Design, Exposure, Findings, Scans, measure

DESIGN = Design(realisations=60, depth=1)


@pytest.fixture(scope="module")
def scans() -> Scans:
    return synthetic_scan(DESIGN, Exposure(10.0, (1.0,)))


@pytest.fixture(scope="module")
def noisy(scans: Scans) -> Findings:
    return measure(DESIGN, scans.truth, scans.noisy[0])


def test_the_noisy_scan_has_the_noise_sharpness_and_hu_it_was_given(noisy: Findings) -> None:
    assert noisy.noise is not None
    assert noisy.noise.sd == pytest.approx(10.0, rel=0.05)
    # A ramp times the kernel's response 1/(1+(f/4.36)^3.85) squared.
    f = np.linspace(0.01, 7.1, 2000)
    profile = f / (1 + (f / 4.36) ** 3.85) ** 2
    expected = (profile * f**2).sum() / (profile * f).sum()
    assert noisy.noise.mean_frequency == pytest.approx(expected, rel=0.03)
    assert [e.ttf.contrast for e in noisy.edges] == pytest.approx([20.0, 100.0, 500.0], abs=1.5)
    # The kernel falls to half at 4.36 lp/cm; pixels of 0.7 mm take sinc(0.305) = 0.85 of it.
    assert noisy.edges[2].ttf.f50 == pytest.approx(4.05, abs=0.1)
    assert noisy.texture is None
    held = sum(level.ci[0] <= 0.0 <= level.ci[1] for level in noisy.levels)
    assert held >= len(noisy.levels) - 1


def test_detectability_is_that_of_the_ideal_observer_in_this_noise(noisy: Findings) -> None:
    """Ideal linear observer at 20 HU: d' 2.35, 2.03, 2.34, 1.87 (sum |S|^2 / NPS); 97 % of it is in reach."""
    found = [d.found for d in noisy.detections]
    for d, ideal in zip(found, (2.35, 2.03, 2.34, 1.87), strict=True):
        assert d.d_prime_ci[0] < 2.0 * ideal
        assert d.d_prime == pytest.approx(2.0 * ideal, rel=0.25)
    assert all(d.change is None for d in noisy.detections)


def test_a_blur_loses_sharpness_and_texture_but_little_detectability(scans: Scans, noisy: Findings) -> None:
    """A filter changes little for an observer that can undo it; TTF and NPS change as the filter says."""
    sd_px = 1.0
    soft = gaussian_filter(scans.noisy[0].astype(np.float32), (0, sd_px, sd_px))
    found = measure(DESIGN, scans.truth, soft, noisy)
    assert found.texture is not None
    assert found.texture[0] < -0.2
    assert found.texture[1] > 0.3
    sd_cm = sd_px * 0.07
    for before, after in zip(noisy.edges[1:], found.edges[1:], strict=True):
        f = np.asarray(before.ttf.f)
        ratio = np.asarray(after.ttf.ttf) / np.asarray(before.ttf.ttf)
        np.testing.assert_allclose(ratio[f < 4], np.exp(-2 * (np.pi * sd_cm * f[f < 4]) ** 2), atol=0.05)
    large = found.detections[0].change
    assert large is not None
    assert abs(large[0]) < 0.5


def test_an_offset_is_found_in_every_insert(scans: Scans, noisy: Findings) -> None:
    found = measure(DESIGN, scans.truth, scans.noisy[0] + 2.0, noisy)
    for before, after in zip(noisy.levels, found.levels, strict=True):
        assert after.bias - before.bias == pytest.approx(2.0, abs=1e-4)
        assert after.truth == before.truth
    # Nothing else sees it.
    assert found.detections[3].found.d_prime == pytest.approx(noisy.detections[3].found.d_prime, rel=1e-3)
    assert found.edges[1].ttf.f50 == pytest.approx(noisy.edges[1].ttf.f50, rel=1e-3)


def test_an_eraser_of_lesions_is_caught(scans: Scans, noisy: Findings) -> None:
    """A method that returns the body without the small inserts must lose their detection and their HU."""
    erased = scans.noisy[0].astype(np.float32) - scans.truth
    erased += np.where(np.abs(scans.truth - 40.0) < 15.0, np.float32(40.0), scans.truth)
    found = measure(DESIGN, scans.truth, erased, noisy)
    for d in found.detections:
        assert d.change is not None
        assert d.change[1][1] < 0.0
        assert d.found.auc < 0.75
    assert found.levels[3].bias == pytest.approx(-13.0, abs=2.5)


def test_only_the_middle_slice_counts() -> None:
    design = Design(realisations=40, depth=3)
    scans = synthetic_scan(design, Exposure(10.0, (1.0,)))
    spoilt = scans.noisy[0].copy()
    spoilt[::3] = 0
    spoilt[2::3] = 900
    kept, changed = (measure(design, scans.truth, s).as_dict() for s in (scans.noisy[0], spoilt))
    assert kept == changed


def test_an_anatomical_phantom_has_no_spectrum_and_no_edges() -> None:
    design = Design("anatomical", realisations=40, depth=1)
    scans = synthetic_scan(design, Exposure(10.0, (1.0,)))
    found = measure(design, scans.truth, scans.noisy[0])
    assert found.noise is None
    assert found.edges == ()
    assert len(found.detections) == 4
    json.loads(json.dumps(found.as_dict()))


def test_what_is_no_scan_of_the_phantom_is_refused(scans: Scans) -> None:
    with pytest.raises(GeometryError, match="60 slices"):
        measure(DESIGN, scans.truth, scans.noisy[0][:50])
    few = Design(realisations=5, depth=1)
    with pytest.raises(PixelError, match="at least 40"):
        measure(few, scans.truth[:5], scans.noisy[0][:5])


def test_as_dict_is_json_with_every_insert(noisy: Findings) -> None:
    plain = json.loads(json.dumps(noisy.as_dict()))
    assert [c["insert"] for c in plain["cho"]] == ["10 mm 3 HU", "5 mm 7 HU", "7 mm 5 HU", "3 mm 14 HU"]
    assert [t["insert"] for t in plain["ttf"]] == ["16 mm 20 HU", "16 mm 100 HU", "16 mm 500 HU"]
    assert len(plain["hu"]) == 7
    assert plain["nps"]["unit"] == "HU^2 mm^2"
