"""Kinds of tissue: those that differ by more than noise, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_scans import PIXEL_MM
from scipy import ndimage

from medidiff.evaluation import before_after
from medidiff.evaluation.kinds import MR_KINDS, ONE_KIND, Uniform, kinds_of
from medidiff.volume import Volume

PX = 2.0


def uniform(clean: np.ndarray, noise: np.ndarray) -> Uniform:
    parts = ndimage.gaussian_filter(clean + noise, PX), noise, ndimage.gaussian_filter(noise, PX)
    return Uniform(*(part.astype(np.float32).ravel() for part in parts))


@pytest.mark.parametrize("sigma", [5.0, 20.0, 60.0])
def test_uniform_tissue_is_of_one_kind(sigma: float, rng: np.random.Generator) -> None:
    slices = [uniform(np.full((128, 128), 500.0), rng.normal(0, sigma, (128, 128))) for _ in range(3)]
    names, edges = kinds_of(slices, sigma, PX, 4 * sigma)
    assert names == ONE_KIND
    assert edges[0] == 4 * sigma
    assert edges[1] > max(s.smooth.max() for s in slices)


def test_tissue_that_differs_is_of_three_kinds(rng: np.random.Generator) -> None:
    clean = np.repeat([200.0, 350.0, 500.0], 64)[None] * np.ones((192, 1))
    names, edges = kinds_of([uniform(clean, rng.normal(0, 20, clean.shape))], 20.0, PX, 80.0)
    assert names == MR_KINDS
    assert list(edges) == sorted(edges)
    assert 200 < edges[1] < 350 < edges[2] < 500


@pytest.mark.parametrize("contrast", [0.0, 20.0, 60.0, 200.0, 600.0])
def test_no_bin_chooses_noise(contrast: float, rng: np.random.Generator) -> None:
    """Whatever the contrast, the mean noise of every bin is small: counted, not by the formula."""
    sigma = 20.0
    clean = 500 + contrast * ndimage.zoom(rng.random((5, 5)), 256 / 5, order=1)
    slices = [uniform(clean, rng.normal(0, sigma, clean.shape)) for _ in range(4)]
    names, edges = kinds_of(slices, sigma, PX, 80.0)
    kind = np.digitize(np.concatenate([s.smooth for s in slices]), edges) - 1
    noise = np.concatenate([s.removed for s in slices])
    means = [abs(noise[kind == i].mean()) for i in range(len(names))]
    assert max(means) < 0.08 * sigma
    assert (len(names) == 3) == (contrast > 100)


def test_no_uniform_tissue() -> None:
    assert kinds_of([], 10.0, PX, 40.0).names == ()
    assert kinds_of([uniform(np.zeros((0, 4)), np.zeros((0, 4)))], 10.0, PX, 40.0).names == ()


def test_a_uniform_mr_phantom_does_not_drift(rng: np.random.Generator) -> None:
    """Noise of 20 on 500: taken away to the last bit, its mean on a bright third was -9."""
    v, u = np.mgrid[-128:128, -128:128]
    clean = np.where(v**2 + u**2 < 100**2, 500.0, 0.0)[None].repeat(4, 0)
    n = rng.normal(0, 20, (2, *clean.shape))
    affine = np.diag([PIXEL_MM, PIXEL_MM, 3.0, 1.0])
    scan = Volume(np.abs(clean + n[0] + 1j * n[1]).astype(np.float32), affine, "mr", "a.u.")
    found = before_after(scan, scan.with_array(clean.astype(np.float32)))
    (drift,) = found.drift
    assert drift.name == "all"
    # The mean of Rician noise: sigma^2 / (2 A) = 0.4.
    assert drift.mean == pytest.approx(-0.4, abs=0.3)
    assert found.flags == ()
