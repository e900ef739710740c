"""Removed-noise ratio: known shares, noisy references, and which pixels count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medidiff.errors import GeometryError
from medidiff.evaluation import Region, removed_noise
from medidiff.volume import Volume

SHAPE = (3, 96, 96)


def volume(array: np.ndarray, modality: str = "CT", unit: str = "HU") -> Volume:
    return Volume(np.ascontiguousarray(array, np.float32), np.diag([0.7, 0.7, 3.0, 1.0]), modality, unit)  # type: ignore[arg-type]


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 20, SHAPE)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0, 1.3])
def test_a_known_share(share: float, noise: np.ndarray) -> None:
    truth, scan = volume(np.full(SHAPE, 40.0)), volume(40 + noise)
    found = removed_noise(truth, scan, volume(40 + (1 - share) * noise))
    assert found.ratio == pytest.approx(share, abs=1e-5)
    assert found.pixels == noise.size
    assert "-200 to 200 HU" in found.text


def test_a_noisy_reference_has_its_own_optimum(noise: np.ndarray, rng: np.random.Generator) -> None:
    """Reference with a = 25 % of the noise variance: clean 1 / sqrt(1 - a), best estimate sqrt(1 - a)."""
    a = 0.25
    of_reference = rng.normal(0, 20 * np.sqrt(a), SHAPE)
    scan = volume(40 + of_reference + np.sqrt(1 - a) * noise)
    reference, clean = volume(40 + of_reference), volume(np.full(SHAPE, 40.0))
    assert removed_noise(reference, scan, clean).ratio == pytest.approx(1 / np.sqrt(1 - a), rel=0.01)
    best = clean.with_array((1 - a) * clean.array + a * scan.array)
    assert removed_noise(reference, scan, best).ratio == pytest.approx(np.sqrt(1 - a), rel=0.01)


def test_only_soft_tissue_inside_the_region_without_padding(noise: np.ndarray) -> None:
    truth = np.full(SHAPE, 40.0)
    truth[:, :20] = -900.0
    padding = np.zeros(SHAPE, bool)
    padding[:, 20:30] = True
    inside = np.ones(SHAPE, bool)
    inside[:, :, :50] = False
    scan, result = truth + noise, truth + 0.5 * noise
    for part in (np.s_[:, :20], np.s_[:, 20:30], np.s_[:, 30:, :50]):
        result[part] = 5000.0
    region = Region(inside, "mask liver.nii.gz")
    found = removed_noise(
        volume(truth), replace(volume(scan), padding=padding), volume(result), region
    )  # fmt: skip
    assert found.ratio == pytest.approx(0.5, abs=1e-5)
    assert found.pixels == 3 * 66 * 46
    assert "mask liver.nii.gz" in found.text


def test_mr_counts_everything_and_nothing_to_count_is_none(noise: np.ndarray) -> None:
    truth = np.full(SHAPE, 4000.0)
    mr = removed_noise(*(volume(truth + k * noise, "MR", "a.u.") for k in (0.0, 1.0, 0.25)))
    assert mr.ratio == pytest.approx(0.75, abs=1e-3)
    ct = removed_noise(*(volume(truth + k * noise) for k in (0.0, 1.0, 0.25)))
    assert (ct.ratio, ct.pixels) == (None, 0)
    same = volume(np.full(SHAPE, 40.0))
    assert removed_noise(same, same, same).ratio is None
    with pytest.raises(GeometryError):
        removed_noise(same, same, volume(np.zeros((1, 96, 96))))
