"""Training: the loop of all networks of the comparison, with checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learned.data import batches
from learned.networks import build
from learned.spec import Spec
from learned.walk import examples
from medidiff.training import checkpoint as checkpoints
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import TrainConfig
from medidiff.training.patches import Source
from medidiff.training.step import ema_decay, learning_rate, make_optimiser
from medidiff.training.stopping import stop_signals

Report = Callable[[int, float, float], None]


def folder_of(spec: Spec, root: Path) -> Path:
    """Where the checkpoint of a network lies."""
    return root / spec.modality / spec.name


def train(
    spec: Spec,
    config: TrainConfig,
    root: Path,
    *,
    resume: bool = False,
    source: Source | None = None,
    report: Report | None = None,
) -> float:
    """Trains to ``config.optimiser.steps``, with the optimiser, schedule and average of medidiff.

    Ctrl-C and SIGTERM end it after the step, with a checkpoint.

    Args:
        spec: the network.
        config: data, seed, optimiser; `validate_every` is not used.
        root: folder of all retrained networks.
        resume: go on from the checkpoint.
        source: samples made in this process (tests).
        report: called with step, mean loss since the last call and seconds a step.

    Returns:
        the mean loss of the last steps reported.

    Raises:
        FileExistsError: there is a checkpoint and `resume` is not set.
        ValueError: the checkpoint is of another network.
    """
    folder, loss = folder_of(spec, root), float("nan")
    if not resume and (folder / checkpoints.FILE).exists():
        raise FileExistsError(f"{folder} has a checkpoint already: use --resume, or another --out")
    keras.utils.set_random_seed(config.seed)
    model = _built(spec, config.optimiser.precision)
    optimiser = make_optimiser(config.optimiser)
    optimiser.build(model.trainable_variables)
    average = [tf.Variable(tf.cast(w.value, tf.float32)) for w in model.trainable_variables]
    parts = (model.variables, average, optimiser.variables)
    step = _restore(folder, spec, parts) if resume else 0
    update = _make_step(model, average, optimiser)
    stream = batches(spec, config, step, source)
    recent: list[float] = []
    clock = time.monotonic()
    with contextlib.closing(stream), stop_signals() as stopped:
        while step < config.optimiser.steps and not stopped():
            rng = np.random.default_rng([config.seed, 9, step])
            arrays = examples(spec, next(stream), rng).arrays()
            rate, decay = learning_rate(step, config.optimiser), ema_decay(step, config.optimiser)
            recent.append(float(update(arrays, tf.constant(rate), tf.constant(decay))))
            step += 1
            last = step == config.optimiser.steps
            if step % config.checkpoint_every == 0 or last or stopped():
                checkpoints.save(folder, _checkpoint(step, spec, config, parts))
            if report and (step % 50 == 0 or last):
                now = time.monotonic()
                loss = float(np.mean(recent))
                report(step, loss, (now - clock) / len(recent))
                recent, clock = [], now
    return loss


def load(folder: Path) -> tuple[Spec, keras.Model, int]:
    """A trained network with its averaged weights, and the steps it was trained for."""
    saved = checkpoints.load(folder)
    spec = Spec.from_dict(saved.config["spec"])
    model = build(spec)
    for variable, value in zip(model.variables, saved.weights, strict=True):
        variable.assign(value)  # statistics of a normalisation are no trained weights
    for variable, value in zip(model.trainable_variables, saved.average, strict=True):
        variable.assign(value)
    return spec, model, saved.step


def _built(spec: Spec, precision: str) -> keras.Model:
    previous = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        return build(spec)
    finally:
        keras.mixed_precision.set_dtype_policy(previous)


def _make_step(
    model: keras.Model, average: list[Any], optimiser: keras.optimizers.Optimizer
) -> Callable[..., Any]:
    """The compiled step: loss, gradients, moving average."""

    def update(arrays: tuple[Any, ...], rate: Any, decay: Any) -> Any:
        inputs, skip, out, target, weight = arrays
        with tf.GradientTape() as tape:
            F = model(list(inputs) if len(inputs) > 1 else inputs[0], training=True)[..., 0]
            loss = tf.reduce_mean(weight * tf.square(skip + out * F - target))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.learning_rate.assign(rate)
        optimiser.apply(gradients, model.trainable_variables)
        for mean, weights in zip(average, model.trainable_variables, strict=True):
            mean.assign(decay * mean + (1.0 - decay) * tf.cast(weights.value, tf.float32))
        return loss

    compiled: Callable[..., Any] = tf.function(update, reduce_retracing=True)
    return compiled


def _checkpoint(step: int, spec: Spec, config: TrainConfig, parts: tuple[Any, ...]) -> Checkpoint:
    weights, average, optimiser = ([np.asarray(v, np.float32) for v in part] for part in parts)
    told = {"spec": spec.to_dict(), "run": config.to_dict()}
    return Checkpoint(step, weights, average, optimiser, 0.0, told)


def _restore(folder: Path, spec: Spec, parts: tuple[Any, ...]) -> int:
    saved = checkpoints.load(folder)
    if Spec.from_dict(saved.config["spec"]) != spec:
        raise ValueError(f"the checkpoint in {folder} is of another network: {saved.config['spec']}")
    for variables, values in zip(parts, (saved.weights, saved.average, saved.optimiser), strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return int(saved.step)
