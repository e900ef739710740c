"""One optimiser step in JAX: the loss of `medidiff.training.step`, compiled as a pure function.

The state lives on the device between steps; the variables of Keras get copies when they are asked for, so
that checkpoints are those of TensorFlow and a run can go from one backend to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from medidiff.diffusion.precondition import Precondition
from medidiff.training.config import OptimiserConfig
from medidiff.training.penalties import Penalties
from medidiff.training.step import loss_terms
from medidiff.volume import FloatArray


class JaxStep:
    """``step(arrays, rate, ema) -> [squared error, loss]``, as `medidiff.training.step.make_step` makes it.

    Args:
        model: the network; `sync` updates its weights.
        average: their moving average, one variable a weight; `sync` updates it.
        optimiser: built for the model's weights.
        precondition: EDM coefficients.
        config: optimisation.
        modality: decides about the bins of the bias penalty.
    """

    def __init__(
        self,
        model: keras.Model,
        average: list[keras.Variable],
        optimiser: keras.optimizers.Optimizer,
        precondition: Precondition,
        config: OptimiserConfig,
        modality: str = "ct",
    ) -> None:
        self._variables = (model.trainable_variables, average, optimiser.variables)
        # Copies: the compiled step takes its arguments' memory for its results.
        self._state = tuple([jnp.array(v.value) for v in part] for part in self._variables)
        penalties = Penalties.of(config, modality)
        rate_at = next(i for i, v in enumerate(optimiser.variables) if v.path.endswith("learning_rate"))

        def step(
            weights: list[Any], mean: list[Any], inner: list[Any], samples: Any, rate: Any, ema: Any
        ) -> Any:
            def loss_of(weights: list[Any]) -> tuple[Any, Any]:
                output, _ = model.stateless_call(weights, [], [samples[0], samples[1]], training=True)
                square, loss = loss_terms(
                    output, samples, precondition, config.nll, config.inverse_variance, penalties
                )
                return loss, square

            (loss, square), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
            inner = [*inner[:rate_at], rate.astype(inner[rate_at].dtype), *inner[rate_at + 1 :]]
            weights, inner = optimiser.stateless_apply(inner, gradients, weights)
            mean = [ema * m + (1.0 - ema) * w.astype(m.dtype) for m, w in zip(mean, weights, strict=True)]
            return (list(weights), mean, list(inner)), jnp.stack([square, loss])

        self._step = jax.jit(step, donate_argnums=(0, 1, 2))

    def __call__(self, samples: tuple[Any, ...], rate: float, ema: float) -> Any:
        """One step; the figures are on the device until somebody looks at them."""
        self._state, figures = self._step(*self._state, samples, jnp.float32(rate), jnp.float32(ema))
        return figures

    def sync(self) -> None:
        """Brings the variables of Keras up to date."""
        for variables, values in zip(self._variables, self._state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(jnp.array(value))


make_step = JaxStep


def make_predictor(network: keras.Model) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """The network, with whatever weights it has when called, as a function of arrays."""
    call = jax.jit(lambda weights, p, c: network.stateless_call(weights, [], [p, c], training=False)[0])

    def predict(planes: FloatArray, condition: FloatArray) -> FloatArray:
        return np.asarray(call([v.value for v in network.trainable_variables], planes, condition), np.float32)

    return predict
