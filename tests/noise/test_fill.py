"""Fill around the image: found where one value stands, not where noise repeats a value by chance."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.noise.estimate import estimate
from medidiff.noise.fill import border_fill, holes
from medidiff.volume import Volume

N = 160


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:N, :N] - (N - 1) / 2
    return np.hypot(y, x) < radius


@pytest.mark.parametrize("value", [0.0, -1000.0, -2000.0, 40.0, -0.7])
def test_one_value_around_a_noisy_image_is_fill(value: float, rng: np.random.Generator) -> None:
    inside = disc(60)
    image = np.where(inside, 40 + 25 * rng.standard_normal((N, N)), value).astype(np.float32)
    found = border_fill(image)
    assert found is not None
    assert not found[disc(58)].any()
    np.testing.assert_array_equal(found, ~inside)


def test_specks_in_fill_are_no_image(rng: np.random.Generator) -> None:
    """Air of one value but for a few pixels, as clipping leaves it."""
    inside = disc(50)
    image = np.where(inside, 40 + 25 * rng.standard_normal((N, N)), -1024.0).astype(np.float32)
    specks = ~disc(58) & (rng.random((N, N)) < 0.003)
    image[specks] = -1010.0
    found = border_fill(image)
    assert found is not None
    assert specks.sum() > 20
    assert found[~disc(52)].mean() > 0.98


def test_a_hole_that_does_not_reach_the_frame_is_image(rng: np.random.Generator) -> None:
    """Saturated metal, or a digital phantom in noise."""
    image = (40 + 25 * rng.standard_normal((N, N))).astype(np.float32)
    image[60:90, 60:90] = 3071.0
    assert border_fill(image) is None


def test_noise_is_no_fill(rng: np.random.Generator) -> None:
    air = -1000 + 25 * rng.standard_normal((N, N))
    half_clipped = np.maximum(np.rint(air), -1000).astype(np.float32)
    assert 0.4 < (half_clipped == -1000).mean() < 0.6
    assert border_fill(half_clipped) is None
    mostly = np.maximum(np.rint(air), -985).astype(np.float32)
    found = border_fill(mostly)
    assert 0.7 < (mostly == -985).mean() < 0.76
    assert found is None or found.mean() < 0.1  # connected by chance from 0.59 on
    dark = np.rint(np.hypot(*(0.8 * rng.standard_normal((2, N, N))))).astype(np.float32)
    assert np.unique(dark).size < 6
    assert border_fill(dark) is None


def test_known_padding_is_not_sought_again(rng: np.random.Generator) -> None:
    image = np.where(disc(60), 25 * rng.standard_normal((N, N)), -2000.0).astype(np.float32)
    assert border_fill(image, image == -2000.0) is None


@pytest.mark.parametrize("around", [0.0, 40.0, -1000.0])
def test_the_level_of_a_masked_scan_is_that_of_its_image(around: float, rng: np.random.Generator) -> None:
    """The usual fill of resampled and masked NIfTI lies among the HU of soft tissue, and has no noise."""
    from medidiff.noise.spectrum import Kernel, radial_frequency, synthesise

    f = radial_frequency((N, N), 0.8)
    amplitude = np.sqrt(f) * Kernel().response(f)
    inside = disc(66)
    slices = [np.where(inside, 40 + 25 * synthesise((N, N), amplitude, rng), around) for _ in range(4)]
    volume = Volume(np.stack(slices).astype(np.float32), np.diag([0.8, 0.8, 3.0, 1.0]), "CT", "HU")
    assert estimate(volume).sigma == pytest.approx(25.0, rel=0.12)


def test_holes_are_told_from_noise_that_reaches_zero(rng: np.random.Generator) -> None:
    """Integers: bright tissue with a dark cavity of two units of noise; tissue with and without holes."""
    inside, cavity = disc(60), disc(30)
    noise = 2 * rng.standard_normal((2, N, N)) + np.array([np.where(cavity, 1.0, 50.0), np.zeros((N, N))])
    image = np.where(inside, np.rint(np.hypot(*noise)), 0.0).astype(np.float32)
    around = border_fill(image)
    assert around is not None
    assert 50 < np.count_nonzero((image == 0) & inside)
    assert holes(image, around) is None
    tissue = np.where(inside, 50 + np.rint(noise[1]), 0.0).astype(np.float32)
    none = holes(tissue, ~inside)
    assert none is None or not none.any()
    cut = disc(20) | ((np.arange(N) == 110) & inside)
    found = holes(np.where(cut, np.float32(0.0), tissue), ~inside)
    assert found is not None
    np.testing.assert_array_equal(found, cut)
