"""Trainer: the loop. Loads or makes the state, steps, validates, writes checkpoints, stops cleanly."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import CancelledError, OutputError, UsageError
from medidiff.models.bundle import Bundle
from medidiff.models.export import from_onnx, load_weights, weights_of
from medidiff.models.unet import build
from medidiff.training import checkpoint as checkpoints
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import TrainConfig
from medidiff.training.loader import Source, batches
from medidiff.training.samples import FloatArray
from medidiff.training.step import ema_decay, learning_rate, make_optimiser, make_step
from medidiff.training.validation import Validator

BEST = "best.npz"

Report = Callable[[dict[str, float]], None]


class Trainer:
    """One run.

    Args:
        config: the run.
        resume: go on from the checkpoint in the output folder.
        start: model whose weights the run starts from, of the same network or one with fewer blocks; None
            starts from random ones.
        report: called with step, loss, rate and steps per second.
        source: samples made in this process instead of a background one (tests).
        validator: validation set; None makes the standard one.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        resume: bool = False,
        start: Bundle | None = None,
        report: Report | None = None,
        source: Source | None = None,
        validator: Validator | None = None,
    ) -> None:
        if keras.backend.backend() != "tensorflow":
            raise UsageError(
                "Training runs on the TensorFlow backend",
                received=keras.backend.backend(),
                hint="Unset KERAS_BACKEND.",
            )
        self.config = config
        self.report = report or (lambda figures: None)
        self.source = source
        self.folder = Path(config.output) / config.name
        self.precondition = Precondition(config.sigma_data)
        self.step, self.best, self.history = 0, -np.inf, []  # type: int, float, list[dict[str, float]]
        if not resume and (self.folder / checkpoints.FILE).exists():
            raise OutputError(
                "A run of this name is there already",
                where=self.folder,
                hint="Use --resume, or another name.",
            )
        previous = keras.mixed_precision.dtype_policy()
        keras.utils.set_random_seed(config.seed)
        keras.mixed_precision.set_dtype_policy(config.optimiser.precision)
        try:
            self.model = build(config.network)
        finally:
            keras.mixed_precision.set_dtype_policy(previous)
        if start is not None and not resume:
            self._start_from(start)
        self.optimiser = make_optimiser(config.optimiser)
        self.optimiser.build(self.model.trainable_variables)
        self.average = [tf.Variable(np.asarray(w), dtype=tf.float32) for w in self.model.trainable_variables]
        if resume:
            self._restore(checkpoints.load(self.folder))
        self.validator = validator or Validator.make(config)

    def run(self, until: int | None = None) -> dict[str, float]:
        """Trains to the configured number of steps (or to step `until`) and returns the last validation.

        Raises:
            CancelledError: Ctrl-C or SIGTERM; a checkpoint of the last finished step has been written.
        """
        config, last = self.config, until or self.config.optimiser.steps
        step = make_step(
            self.model, self.average, self.optimiser, self.precondition, config.optimiser, config.modality
        )
        writer = tf.summary.create_file_writer(str(self.folder / "logs"))
        stream = batches(config, self.step, self.source)
        recent: list[FloatArray] = []
        clock = time.monotonic()
        with _stop_signals() as stopped, writer.as_default():
            try:
                while self.step < last:
                    rate = learning_rate(self.step, config.optimiser)
                    samples = next(stream).arrays()
                    figures = step(
                        samples, tf.constant(rate), tf.constant(ema_decay(self.step, config.optimiser))
                    )
                    recent.append(figures.numpy())
                    self.step += 1
                    if self.step % 100 == 0 or self.step == last:
                        now = time.monotonic()
                        square, loss = np.mean(recent, axis=0)
                        line = {"square": float(square), "loss": float(loss), "rate": rate}
                        line["steps_per_second"] = len(recent) / max(now - clock, 1e-9)
                        self._log(line)
                        self.report({"step": self.step, **line})
                        recent, clock = [], now
                    if self.step % config.validate_every == 0 or self.step == last:
                        self._validate()
                        clock = time.monotonic()
                    if self.step % config.checkpoint_every == 0 or self.step == last or stopped():
                        checkpoints.save(self.folder, self._checkpoint())
                    if stopped():
                        raise CancelledError(
                            f"Stopped after step {self.step}", where=self.folder, hint="Go on with --resume."
                        )
            finally:
                stream.close()  # type: ignore[attr-defined]
        return self.history[-1]

    def predictor(self) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """The averaged network as a function from planes and condition to output."""
        network = build(self.config.network)
        for weight, mean in zip(network.trainable_variables, self.average, strict=True):
            weight.assign(mean)
        call = tf.function(lambda p, c: network([p, c], training=False), reduce_retracing=True)
        return lambda planes, condition: np.asarray(
            call(tf.constant(planes), tf.constant(condition)), np.float32
        )

    def _validate(self) -> None:
        figures, estimate = self.validator.run(self.predictor())
        self.history.append({"step": self.step, **figures})
        self._log({f"val/{k}": v for k, v in figures.items()})
        tf.summary.image("val/input estimate target removed", self.validator.panel(estimate), step=self.step)
        self.report({"step": self.step, **figures})
        if figures["gain"] > self.best:
            self.best = figures["gain"]
            checkpoints.save(self.folder, self._checkpoint(), BEST)

    def _log(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            tf.summary.scalar(name, value, step=self.step)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            step=self.step,
            weights=[np.asarray(w) for w in self.model.trainable_variables],
            average=[a.numpy() for a in self.average],
            optimiser=[np.asarray(v) for v in self.optimiser.variables],
            best=float(self.best),
            config=self.config.to_dict(),
            history=self.history,
        )

    def _start_from(self, bundle: Bundle) -> None:
        """Takes over the weights; where this network has more blocks, the new ones begin as the identity."""
        theirs, mine = bundle.config, self.config.network
        grown = replace(theirs, blocks=mine.blocks) == mine and theirs.blocks <= mine.blocks
        same = bundle.modality == self.config.modality and bundle.sigma_data == self.config.sigma_data
        if not (grown and same):
            raise UsageError(
                f"The model {bundle.name!r} is of another network, modality or sigma_data than this run",
                received=f"{bundle.modality}, {theirs}, sigma_data {bundle.sigma_data}",
                hint="Take [network] and sigma_data of its recipe; only blocks may be more.",
            )
        load_weights(self.model, {**weights_of(self.model), **from_onnx(bundle.network)})

    def _restore(self, saved: Checkpoint) -> None:
        # Through JSON, as the checkpoint went: it turns tuples into lists.
        if saved.config["network"] != json.loads(json.dumps(self.config.to_dict()["network"])):
            raise UsageError("The checkpoint is of another network", where=self.folder)
        pairs: list[tuple[Any, Any]] = [
            (self.model.trainable_variables, saved.weights),
            (self.average, saved.average),
            (self.optimiser.variables, saved.optimiser),
        ]
        for variables, values in pairs:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.step, self.best, self.history = saved.step, saved.best, list(saved.history)


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turns Ctrl-C and SIGTERM into a flag, so that a step is never cut in two."""
    asked: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM)
    try:
        old = [signal.signal(name, lambda number, frame: asked.append(number)) for name in names]
    except ValueError:  # not in the main thread: leave the signals alone
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        for name, handler in zip(names, old, strict=True):
            signal.signal(name, handler)
