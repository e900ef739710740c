"""The other methods: each lowers the error, knows what it is told, and its best setting counts."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from bench_toys import phantom
from peers import NOT_APPLICABLE, Given, Peer, best, peers_for
from peers.block_matching import plane_spectrum
from peers.registry import CT, MR
from peers.rician import corrected, stabilise, stabilised, unstabilise, without_floor

from medidiff.noise.spectrum import Spectrum


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def run(peer: Peer, given: Given, truth: np.ndarray) -> np.ndarray:
    if peer.missing:
        pytest.skip(f"{peer.needs} is not installed: it is a benchmark's own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's packages
        return best(peer.run, given, truth).image


@pytest.mark.parametrize("peer", CT, ids=lambda p: p.name)
def test_ct_methods_lower_the_error(peer: Peer, rng: np.random.Generator) -> None:
    truth = phantom()
    noisy = truth + 15.0 * rng.standard_normal(truth.shape).astype(np.float32)
    flat = Spectrum(np.array([1.0, 7.0], np.float32), np.ones(2, np.float32))
    given = Given(noisy[None], 0, 15.0, 0.7, "ct", flat)
    answer = run(peer, given, truth)
    assert answer.shape == truth.shape
    assert rmse(answer, truth) < 0.75 * rmse(noisy, truth)


@pytest.mark.parametrize("peer", MR, ids=lambda p: p.name)
def test_mr_methods_lower_the_error_and_the_floor(peer: Peer, rng: np.random.Generator) -> None:
    truth = np.maximum(phantom(48), 0.0)
    truth[:, :12] = 0.0
    complex_noise = 12.0 * rng.standard_normal((2, 5, *truth.shape))
    noisy = np.hypot(truth + complex_noise[0], complex_noise[1]).astype(np.float32)
    answer = run(peer, Given(noisy, 2, 12.0, 1.0, "mr"), truth)
    assert rmse(answer, truth) < 0.75 * rmse(noisy[2], truth)
    air = (slice(None), slice(0, 8))
    assert answer[air].mean() < 0.8 * noisy[2][air].mean()


def test_the_plane_spectrum_has_the_power_that_bm3d_expects(rng: np.random.Generator) -> None:
    f = np.linspace(0.1, 7.0, 30).astype(np.float32)
    power = plane_spectrum(Spectrum(f, f), (48, 40), 0.7, 5.0)
    assert power.mean() == pytest.approx(25.0 * 48 * 40)
    # |FFT|^2 of noise of that spectrum, on average.
    white = np.fft.fft2(rng.standard_normal((200, 48, 40))) / np.sqrt(48 * 40)
    noise = np.fft.ifft2(white * np.sqrt(power)).real
    assert noise.std() == pytest.approx(5.0, rel=0.03)
    assert np.mean(np.abs(np.fft.fft2(noise)) ** 2, 0).mean() == pytest.approx(power.mean(), rel=0.05)


@pytest.mark.parametrize("snr", [0.0, 1.0, 3.0, 10.0, 80.0])
def test_the_stabilised_noise_is_gaussian_of_unit_sd_and_its_inverse_unbiased(
    snr: float, rng: np.random.Generator
) -> None:
    sigma = 7.0
    parts = sigma * rng.standard_normal((2, 200_000))
    magnitude = np.hypot(snr * sigma + parts[0], parts[1]).astype(np.float32)
    values = stabilise(magnitude, sigma)
    # To first order only: in air alone it is left a little too small.
    assert values.std() == pytest.approx(1.0, abs=0.05 if snr >= 3 else 0.13)
    found = float(unstabilise(np.array([values.mean(dtype=np.float64)], np.float32), sigma)[0])
    # Near zero the mean hardly depends on the signal: a small error of it is a large one of the signal.
    assert found == pytest.approx(snr * sigma, abs=(0.03 if snr >= 1 else 0.2) * sigma)


def test_a_stabilised_method_is_told_unit_noise() -> None:
    told = []

    def method(given: Given) -> Iterator[np.ndarray]:
        told.append(given.sigma)
        yield given.image

    slab = np.full((1, 4, 4), 50.0, np.float32)
    (answer,) = stabilised(method)(Given(slab, 0, 5.0))
    assert told == [1.0]
    assert answer == pytest.approx(np.sqrt(50.0**2 - 5.0**2), rel=2e-3)


def test_floor_corrections_take_the_variance_off() -> None:
    def method(given: Given) -> Iterator[np.ndarray]:
        yield given.image

    slab = np.full((1, 4, 4), 5.0, np.float32)
    given = Given(slab, 0, 3.0)
    (together,) = without_floor(method)(given)
    answers = [float(a[0, 0]) for a in together]
    assert answers == pytest.approx([5.0, 4.0, np.sqrt(7.0)])
    first, rest = corrected(method)(given)
    assert 3.0 < first[0, 0] < 5.0
    assert [float(a[0, 0]) for a in rest] == answers


def test_the_best_setting_counts_with_its_own_time() -> None:
    def method(given: Given) -> Iterator[np.ndarray | tuple[np.ndarray, ...]]:
        time.sleep(0.1)
        yield given.image + 2.0
        time.sleep(0.02)
        yield given.image - 3.0, given.image + 1.0

    given = Given(np.zeros((1, 3, 3), np.float32), 0, 1.0)
    found = best(method, given, np.zeros((3, 3), np.float32))
    assert (found.image == 1.0).all()
    assert 0.02 <= found.seconds < 0.1


def test_a_method_without_an_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finite answer"):
        best(lambda given: iter(()), Given(np.zeros((1, 3, 3), np.float32), 0, 1.0), np.zeros((3, 3)))


def test_every_method_says_what_it_is_given() -> None:
    for modality in ("ct", "mr"):
        names = [p.name for p in peers_for(modality)]
        assert len(set(names)) == len(names)
        assert all(p.given and not p.learned for p in peers_for(modality))
        assert not set(NOT_APPLICABLE[modality]) & set(names)
    assert Peer("x", CT[0].run, "-", needs="no_such_package_anywhere").missing
