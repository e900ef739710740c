"""One optimiser step in TensorFlow: loss, gradients, moving average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from medidiff.diffusion import objective
from medidiff.diffusion.precondition import Precondition
from medidiff.training.config import OptimiserConfig
from medidiff.training.muon import Muon
from medidiff.training.penalties import Penalties
from medidiff.volume import FloatArray


def loss_terms(
    output: Any,
    samples: tuple[Any, ...],
    precondition: Precondition,
    nll_weight: float,
    inverse_variance: bool = False,
    penalties: Penalties | None = None,
) -> tuple[Any, Any]:
    """Weighted squared error and total loss of a batch.

    L = E[lambda(s) w |D - x*|^2] + nll_weight NLL (EDM weight; the variance head learns from the NLL alone).

    Args:
        output: network output ``[n, p, p, 2]``.
        samples: ``Samples.arrays()``.
        precondition: EDM coefficients.
        nll_weight: weight of the variance head's loss.
        inverse_variance: weigh each sample by v / (v + excess), means over the patch: a target with noise of
            its own says less about x, and its gradient is mostly that noise. The weight is a function of
            the input, so that the minimiser stays E[x | y].
        penalties: further terms of the loss; None for none.
    """
    _, _, state, target, sigma, told, excess, weight = samples
    told = told[:, None, None]
    D = precondition.apply(output[..., 0], state, told)
    v = precondition.variance(output[..., 1], told, xp=ops)
    scale = precondition.weight(sigma[:, None, None])
    if inverse_variance:
        known = ops.stop_gradient(ops.mean(v, axis=(1, 2), keepdims=True))
        scale = scale * known / (known + ops.mean(excess, axis=(1, 2), keepdims=True))
    square = ops.mean(objective.weighted_square(D, target, scale * weight))
    nll = ops.mean(objective.nll(D, v, target, excess, xp=ops, stop_gradient=ops.stop_gradient))
    further = 0.0 if penalties is None else penalties(D, samples, precondition)
    return square, square + nll_weight * nll + further


def make_optimiser(config: OptimiserConfig) -> keras.optimizers.Optimizer:
    """Adam with the betas of EDM2 (Karras et al. 2024), or Muon with it, and clipping by global norm."""
    if config.kind == "muon":
        return Muon(config.rate, clip=config.clip)
    return keras.optimizers.Adam(config.rate, beta_1=0.9, beta_2=0.99, global_clipnorm=config.clip)


def make_step(
    model: keras.Model,
    average: list[keras.Variable],
    optimiser: keras.optimizers.Optimizer,
    precondition: Precondition,
    config: OptimiserConfig,
    modality: str = "ct",
) -> Callable[[tuple[Any, ...], Any, Any], Any]:
    """Compiles the step: ``step(arrays, rate, ema) -> [squared error, loss]``.

    Args:
        model: the network; its weights are updated in place.
        average: the moving average, one variable a weight, updated in place.
        optimiser: built for the model's weights.
        precondition: EDM coefficients.
        config: optimisation.
        modality: decides about the bins of the bias penalty.
    """
    import tensorflow as tf

    penalties = Penalties.of(config, modality)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(samples: tuple[Any, ...], rate: Any, ema: Any) -> Any:
        with tf.GradientTape() as tape:
            output = model([samples[0], samples[1]], training=True)
            square, loss = loss_terms(
                output, samples, precondition, config.nll, config.inverse_variance, penalties
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.learning_rate.assign(rate)
        optimiser.apply(gradients, model.trainable_variables)
        for mean, weight in zip(average, model.trainable_variables, strict=True):
            mean.assign(ema * mean + (1.0 - ema) * tf.cast(weight.value, tf.float32))
        return tf.stack([square, loss])

    return lambda samples, rate, ema: step(samples, tf.constant(rate), tf.constant(ema))


def make_predictor(network: keras.Model) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """The network, with whatever weights it has when called, as a function of arrays."""
    import tensorflow as tf

    call = tf.function(lambda p, c: network([p, c], training=False), reduce_retracing=True)
    return lambda planes, condition: np.asarray(call(tf.constant(planes), tf.constant(condition)), np.float32)


def learning_rate(step: int, config: OptimiserConfig) -> float:
    """Learning rate of a step (counted from 0): warm-up, constant, linear decay."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    left = (config.steps - step) / max(config.decay * config.steps, 1.0)
    return config.rate * warm * min(1.0, max(left, 0.0))


def ema_decay(step: int, config: OptimiserConfig) -> float:
    """Decay of the moving average, shorter at the start so that the initial weights are forgotten."""
    return min(config.ema, (1.0 + step) / (10.0 + step))
