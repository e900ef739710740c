"""`estimate`: dispatch by modality, combination of slices, and refusals that say what to do."""

from __future__ import annotations

import numpy as np
import pytest
from noise_phantoms import ct_body, ct_noise, mr_head, volume

from medidiff.errors import NoiseLevelError
from medidiff.noise.estimate import estimate
from medidiff.noise.mr import MRNoise, simulate


def ct_stack(sigmas: list[float], rng: np.random.Generator) -> np.ndarray:
    return np.stack([ct_body() + s * ct_noise((320, 320), 0.8, rng) for s in sigmas])


def test_each_slice_has_its_own_level(rng: np.random.Generator) -> None:
    sigmas = [20.0, 20.0, 25.0, 40.0, 60.0]
    found = estimate(volume(ct_stack(sigmas, rng), "CT"))
    assert found.per_slice.shape == (5,)
    assert found.per_slice.dtype == np.float32
    np.testing.assert_allclose(found.per_slice, sigmas, rtol=0.12)
    assert 20 < found.sigma < 40


def test_slices_without_tissue_are_interpolated(rng: np.random.Generator) -> None:
    stack = ct_stack([30.0, 30.0, 30.0], rng)
    stack[1] = -1000
    found = estimate(volume(stack, "CT"))
    np.testing.assert_allclose(found.per_slice, 30, rtol=0.1)
    assert found.sigma == pytest.approx(30, rel=0.08)


def test_long_volumes_are_sampled(rng: np.random.Generator) -> None:
    slab = np.stack([mr_head() for _ in range(70)])
    noisy, _ = simulate(slab, MRNoise(0.05), rng)
    found = estimate(volume(noisy, "MR"))
    assert found.per_slice.shape == (70,)
    np.testing.assert_allclose(found.per_slice, 0.05, rtol=0.12)


def test_single_slice_and_scale(rng: np.random.Generator) -> None:
    """The unit is that of the image: 800 times the image has 800 times the noise."""
    noisy, _ = simulate(mr_head(), MRNoise(0.04), rng)
    small, large = (estimate(volume(noisy * f, "MR")) for f in (1, 800))
    assert small.sigma == pytest.approx(0.04, rel=0.08)
    assert large.sigma == pytest.approx(800 * small.sigma, rel=1e-3)


def test_bright_vessels_are_no_tissue_to_measure_in(rng: np.random.Generator) -> None:
    """Much brighter than all else they are the whole foreground, and have no flat patch; but there is air."""
    clean = mr_head()
    for y, x in rng.integers(60, 160, (140, 2)):
        clean[y : y + 5, x : x + 5] = 4.0
    noisy, _ = simulate(clean, MRNoise(0.03), rng)
    assert estimate(volume(noisy, "MR")).sigma == pytest.approx(0.03, rel=0.1)


def test_unknown_modality_is_taken_for_a_magnitude_image(rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(0.05), rng)
    assert estimate(volume(noisy, "OT")).sigma == pytest.approx(0.05, rel=0.08)


def test_not_a_number_is_tolerated_in_padding(rng: np.random.Generator) -> None:
    noisy, _ = simulate(mr_head(), MRNoise(0.05), rng)
    padding = np.zeros((1, *noisy.shape), dtype=bool)
    padding[0, :, :90] = True
    noisy[:, :90] = np.nan
    assert estimate(volume(noisy, "MR", padding=padding)).sigma == pytest.approx(0.05, rel=0.1)


def test_same_input_same_answer(rng: np.random.Generator) -> None:
    scan = volume(ct_stack([25.0], rng), "CT")
    before = scan.array.copy()
    assert estimate(scan).sigma == estimate(scan).sigma
    assert np.array_equal(scan.array, before)


@pytest.mark.parametrize(
    ("modality", "array"),
    [
        ("CT", np.full((2, 96, 96), -1000.0)),
        ("CT", np.zeros((1, 8, 8))),
        ("MR", np.zeros((2, 96, 96))),
        ("MR", np.full((1, 40, 40), 7.0)),
        ("PT", np.ones((1, 64, 64))),
    ],
)
def test_too_little_to_go_by_is_refused_with_a_way_out(modality: str, array: np.ndarray) -> None:
    with pytest.raises(NoiseLevelError, match="--sigma"):
        estimate(volume(array, modality))
