"""Loss terms, and the noisy-target correction by Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.diffusion import NoisyTarget, Precondition, bias_loss, nll, weighted_square

N = 1_000_000


def test_regressing_the_corrected_target_gives_the_clean_posterior_mean(rng: np.random.Generator) -> None:
    """Non-Gaussian x (two classes): binned regression of x* on y follows E[x | y]; that of x_F does not."""
    target = NoisyTarget(sigma_f=0.5, sigma_ins=0.8)
    x = rng.choice([-1.0, 1.0], N)
    x_f = x + 0.5 * rng.normal(size=N)
    y = x_f + 0.8 * rng.normal(size=N)
    edges = np.linspace(-2, 2, 41)
    index = np.digitize(y, edges)
    centre = np.array([y[index == k].mean() for k in range(1, 41)])

    def regression(values: np.ndarray) -> np.ndarray:
        return np.array([values[index == k].mean() for k in range(1, 41)])

    exact = np.tanh(centre / target.t**2)  # E[x | y] for x = +-1 and Gaussian noise of variance t^2
    assert regression(target.target(x_f, y)) == pytest.approx(exact, abs=0.025)
    assert np.max(np.abs(regression(x_f) - exact)) > 0.1
    of_reference = (1 - target.a) * exact + target.a * centre  # E[x_F | y]
    assert of_reference == pytest.approx(regression(x_f), abs=0.02)


def test_variance_of_the_corrected_target(rng: np.random.Generator) -> None:
    """E[(x* - D)^2] = V + sigma_F^2 / (1 - a), within 0.5 %."""
    target = NoisyTarget(sigma_f=0.4, sigma_ins=0.7)
    x = rng.normal(size=N)
    x_f = x + 0.4 * rng.normal(size=N)
    y = x_f + 0.7 * rng.normal(size=N)
    D = y / (1 + target.t**2)
    V = target.t**2 / (1 + target.t**2)
    found = np.mean((target.target(x_f, y) - D) ** 2)
    assert found == pytest.approx(V + target.excess_variance, rel=5e-3)
    best_v = V  # the NLL with the excess is least at v = V
    terms = {
        k: nll(D, best_v * k, target.target(x_f, y), target.excess_variance).mean() for k in (0.8, 1, 1.25)
    }
    assert terms[1] < min(terms[0.8], terms[1.25])


def test_targets_too_noisy_for_the_level_are_refused() -> None:
    assert NoisyTarget.at(10.0, 5.0).a == pytest.approx(0.25)
    assert NoisyTarget.at(10.0, 5.0).sigma_ins == pytest.approx(np.sqrt(75))
    per_sample = NoisyTarget.at(np.array([10.0, 20.0]), np.array([5.0, 5.0]))
    assert per_sample.a == pytest.approx([0.25, 0.0625])
    with pytest.raises(ValueError, match=r"1\.41"):
        NoisyTarget.at(6.0, 5.0)


def test_bias_loss_is_the_sum_of_squared_bin_means() -> None:
    hu = np.array([-800.0, -800.0, 0.0, 10.0, 199.9, 200.0, 1899.0, 5000.0])
    error = np.array([1.0, 3.0, 1.0, -1.0, 3.0, 5.0, -2.0, 99.0])
    assert bias_loss(error, hu) == pytest.approx(2.0**2 + 1.0**2 + 5.0**2 + 2.0**2)
    assert bias_loss(np.array([1.0, -1.0]), np.zeros(2)) == 0.0


def test_the_error_is_squared_before_it_is_weighted() -> None:
    assert weighted_square(np.array(3.0), 1.0, 2.0) == 8.0


def losses(xp, hu, error, v):  # type: ignore[no-untyped-def]
    p = Precondition(0.5)
    return [
        bias_loss(error, hu, xp),
        xp.sum(nll(error, v, 0.2 * error, 0.1, xp)),
        xp.sum(weighted_square(error, 0.2 * error, v)),
        xp.sum(p.variance(v, v, xp) + p.apply(error, error, v) + p.c_noise(v, xp)),
    ]


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    hu = rng.uniform(-1000, 1500, (2, 16, 16)).astype(np.float32)
    error = rng.normal(size=hu.shape).astype(np.float32)
    return hu, error, rng.uniform(0.1, 2.0, hu.shape).astype(np.float32)


def test_the_same_lines_run_on_jax() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    hu, error, v = arrays()
    got = losses(jnp, jnp.asarray(hu), jnp.asarray(error), jnp.asarray(v))
    assert [float(x) for x in got] == pytest.approx([float(x) for x in losses(np, hu, error, v)], rel=1e-4)


def test_the_same_lines_run_on_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend in this process")
    hu, error, v = arrays()
    graph = tf.function(lambda a, b, c: losses(keras.ops, a, b, c))
    got = graph(tf.constant(hu), tf.constant(error), tf.constant(v))
    assert [float(x) for x in got] == pytest.approx([float(x) for x in losses(np, hu, error, v)], rel=1e-4)
