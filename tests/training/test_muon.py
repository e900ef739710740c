"""Muon: its iteration, its step, and what it leaves to Adam."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medidiff.training.config import OptimiserConfig
from medidiff.training.muon import RMS, SMALLEST, Muon, is_matrix, orthogonal
from medidiff.training.step import make_optimiser


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_singular_vectors_stay_and_singular_values_come_near_one(m: int, n: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((m, n)).astype(np.float32)
    U, S, V = np.linalg.svd(x, full_matrices=False)
    found = U.T @ np.asarray(orthogonal(keras.ops.convert_to_tensor(x), 12)) @ V.T
    large = S > 0.02 * np.linalg.norm(x)
    assert np.abs(found - np.diag(np.diag(found))).max() < 2e-2
    assert (np.diag(found)[large] > 0.6).all()
    assert (np.diag(found) < 1.3).all()


def test_a_step_has_the_size_of_adams() -> None:
    kernel = keras.Variable(np.zeros((3, 3, 32, 48), np.float32))
    optimiser = Muon(1e-3)
    optimiser.build([kernel])
    gradient = np.random.default_rng(0).standard_normal((3, 3, 32, 48)).astype(np.float32)
    optimiser.apply([keras.ops.convert_to_tensor(1e-6 * gradient)])
    step = np.asarray(kernel)
    assert np.sqrt((step**2).mean()) == pytest.approx(1e-3 * RMS, rel=0.2)  # singular values of about 0.85
    assert (step * gradient).sum() < 0


def test_vectors_and_thin_kernels_walk_as_with_adam() -> None:
    rng = np.random.default_rng(1)
    shapes = ((3, 3, 32, 2), (48,), (3, 3, 1, 32))
    start = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    mine, theirs = ([keras.Variable(s) for s in start] for _ in range(2))
    muon = Muon(1e-3, beta_1=0.9, beta_2=0.99, clip=1.0)
    adam = keras.optimizers.Adam(1e-3, beta_1=0.9, beta_2=0.99, epsilon=1e-7, global_clipnorm=1.0)
    muon.build(mine)
    adam.build(theirs)
    for _ in range(5):
        gradients = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        muon.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        adam.apply([keras.ops.convert_to_tensor(g) for g in gradients])
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=1e-6)


def test_which_kernels_are_matrices() -> None:
    assert is_matrix((3, 3, 32, 48))
    assert is_matrix((64, 128))
    assert not is_matrix((48,))
    assert not is_matrix((3, 3, 32, SMALLEST - 1))
    assert not is_matrix((1, 1, 8, 64))


def test_the_setting_chooses_it() -> None:
    assert isinstance(make_optimiser(OptimiserConfig(kind="muon")), Muon)
    assert isinstance(make_optimiser(OptimiserConfig()), keras.optimizers.Adam)
