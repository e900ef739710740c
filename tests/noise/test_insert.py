"""Noise in whole volumes: the dose law, seeds, and what must stay untouched."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.errors import CancelledError, UsageError
from medidiff.noise.ct import Scanner, soft_tissue
from medidiff.noise.floor import rician_mean
from medidiff.noise.insert import dose_sigma, insert_ct, insert_mr
from medidiff.noise.mr import MRNoise
from medidiff.volume import Volume

QUICK = Scanner(views=60)


def volume(array: np.ndarray, **fields: object) -> Volume:
    return Volume(array.astype(np.float32), np.diag([0.8, 0.8, 3.0, 1.0]), **fields)


def disc(slices: int = 3, size: int = 64, inside: float = 40.0, outside: float = -1000.0) -> np.ndarray:
    y, x = np.ogrid[:size, :size]
    plane = np.where(np.hypot(y - size / 2, x - size / 2) < 0.42 * size, inside, outside)
    return np.repeat(plane[None], slices, axis=0).astype(np.float32)


@pytest.mark.parametrize("dose", [0.1, 0.25, 0.5])
def test_variance_is_inversely_proportional_to_dose(dose: float) -> None:
    """A scan of known noise, reduced to dose a, has the noise variance of the scan over a."""
    rng = np.random.default_rng(1)
    clean = disc()
    full = clean + 12.0 * rng.standard_normal(clean.shape, dtype=np.float32)
    noisy = insert_ct(volume(full), dose_sigma(12.0, dose), 5, dose=dose, scanner=QUICK)
    tissue = soft_tissue(clean[0])
    variance = ((noisy.array - clean)[:, tissue]).var()
    assert variance == pytest.approx(12.0**2 / dose, rel=0.1)


def test_the_sd_in_soft_tissue_is_what_was_asked_in_every_slice() -> None:
    clean = disc()
    added = insert_ct(volume(clean), 30.0, 1, scanner=QUICK).array - clean
    sd = [plane[soft_tissue(clean[0])].std() for plane in added]
    assert sd == pytest.approx([30.0] * 3, rel=1e-3)


def test_a_seed_gives_the_same_noise_and_slices_do_not_share_theirs() -> None:
    clean = volume(disc())
    first, again, other = (insert_ct(clean, 30.0, seed, scanner=QUICK).array for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    noise = first - clean.array
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(noise[0].ravel(), (other - clean.array)[0].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("kind", ["ct", "mr"])
def test_part_of_a_scan_gets_the_noise_of_the_whole(kind: str) -> None:
    whole, part = disc(3, inside=400.0, outside=0.0), disc(1, inside=400.0, outside=0.0)

    def run(array: np.ndarray) -> np.ndarray:
        if kind == "ct":
            return insert_ct(volume(array), 30.0, 1, scanner=QUICK).array
        return insert_mr(volume(array), MRNoise(20.0), 1).array

    assert np.array_equal(run(whole)[:1], run(part))


def test_padding_and_values_off_scale_stay_as_they_are() -> None:
    clean = disc()
    clean[:, :4] = -2000.0  # outside the field of view, unmarked
    clean[:, 30, 30] = 9000.0
    padding = np.zeros(clean.shape, bool)
    padding[:, :, :5] = True
    noisy = insert_ct(volume(clean, padding=padding), 30.0, 1, scanner=QUICK).array
    same = padding | (clean < -1024) | (clean > 3071)
    assert np.array_equal(noisy[same], clean[same])
    assert (noisy != clean)[~same].mean() > 0.99
    magnitudes = disc(inside=500.0, outside=0.0)
    mr = insert_mr(volume(magnitudes, padding=padding), MRNoise(20.0), 1).array
    assert np.array_equal(mr[padding], magnitudes[padding])


def test_mr_noise_is_rician() -> None:
    signal, sigma = 30.0, 20.0
    noisy = insert_mr(volume(np.full((4, 64, 64), signal)), MRNoise(sigma), 1).array
    assert noisy.mean() == pytest.approx(float(rician_mean(signal, sigma)), rel=0.01)
    assert (noisy**2).mean() == pytest.approx(signal**2 + 2 * sigma**2, rel=0.02)


def test_a_g_map_is_the_same_for_all_slices() -> None:
    signal = np.full((200, 24, 24), 1000.0, np.float32)
    params = MRNoise(10.0, g_strength=2.0)
    noise = insert_mr(volume(signal), params, 1).array - signal
    first, second = (noise[part].std(axis=0) for part in (slice(0, 100), slice(100, 200)))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8
    assert np.array_equal(noise, insert_mr(volume(signal), params, 1).array - signal)


@pytest.mark.parametrize("dose", [0.0, 1.0, -1.0, 2.0])
def test_a_dose_is_a_fraction(dose: float) -> None:
    with pytest.raises(UsageError, match="fraction"):
        dose_sigma(10.0, dose)


def test_it_can_be_cancelled() -> None:
    done: list[int] = []
    with pytest.raises(CancelledError):
        insert_ct(
            volume(disc(4)), 30.0, 1, scanner=QUICK, progress=lambda k, n: done.append(k),
            cancelled=lambda: len(done) == 2,
        )  # fmt: skip
    assert done == [1, 2]
    with pytest.raises(CancelledError):
        insert_mr(volume(disc(1)), MRNoise(1.0), 1, cancelled=lambda: True)
