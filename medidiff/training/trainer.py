"""Trainer: the loop. Loads or makes the state, steps, validates, writes checkpoints, stops cleanly."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import CancelledError, MedidiffError, OutputError, UsageError
from medidiff.models.bundle import Bundle
from medidiff.models.unet import build
from medidiff.training import checkpoint as checkpoints
from medidiff.training.checkpoint import Checkpoint
from medidiff.training.config import TrainConfig
from medidiff.training.loader import batches
from medidiff.training.logbook import open_log
from medidiff.training.patches import Source
from medidiff.training.resume import changes
from medidiff.training.samples import Samples
from medidiff.training.start import take_over, without_context
from medidiff.training.step import ema_decay, learning_rate, make_optimiser
from medidiff.training.stopping import stop_signals
from medidiff.training.validation import Predict, Validator

BEST = "best.npz"
BACKENDS = {"tensorflow": "medidiff.training.step", "jax": "medidiff.training.step_jax"}
"""Module of the optimiser step for each backend of Keras."""

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
        self.backend = keras.backend.backend()
        if self.backend not in BACKENDS:
            raise UsageError(
                "Training runs on TensorFlow or JAX", received=self.backend,
                hint="Unset KERAS_BACKEND, or set it to tensorflow or jax.",
            )  # fmt: skip
        if config.data.device and self.backend != "jax":
            raise UsageError(
                "Samples are made on the device by JAX", received=f"KERAS_BACKEND={self.backend}",
                hint="Set KERAS_BACKEND=jax, or [data] device = false.",
            )  # fmt: skip
        self.config = config
        self.report = report or (lambda figures: None)
        self.source = source
        self.folder = Path(config.output) / config.name
        self.precondition = Precondition(config.sigma_data)
        self.step, self.best, self.history = 0, -np.inf, []  # type: int, float, list[dict[str, float]]
        # Two runs in one folder would go on from each other's weights: each knows its own checkpoints.
        self._run = uuid.uuid4().hex
        self._known = {None, self._run}
        self.changes: tuple[str, ...] = ()
        """Settings that a resumed run has not in common with its checkpoint."""
        self._sync: Callable[[], None] = lambda: None
        checkpoints.check_folder(self.folder, resume=resume)
        previous = keras.mixed_precision.dtype_policy()
        keras.utils.set_random_seed(config.seed)
        keras.mixed_precision.set_dtype_policy(config.optimiser.precision)
        try:
            self.model = build(config.network)
        finally:
            keras.mixed_precision.set_dtype_policy(previous)
        if start is not None and not resume:
            take_over(self.model, config, start)
        elif config.context_start == "zero":
            without_context(self.model, config.network)
        self.optimiser = make_optimiser(config.optimiser)
        self.optimiser.build(self.model.trainable_variables)
        weights = [np.asarray(w) for w in self.model.trainable_variables]
        self.average = [keras.Variable(w, dtype="float32", trainable=False) for w in weights]
        self._judge: tuple[keras.Model, Predict] | None = None
        if resume:
            self._restore(checkpoints.load(self.folder))
        self.validator = validator or Validator.make(config)
        self.log = open_log(self.folder / "logs", self.backend)

    def run(self, until: int | None = None) -> dict[str, float]:
        """Trains to the configured number of steps (or to step `until`) and returns the last validation.

        Raises:
            CancelledError: Ctrl-C or SIGTERM; a checkpoint of the last finished step has been written.
            OutputError: a checkpoint cannot be written, or another run writes to the same folder.
            MedidiffError: weights or loss are no longer finite; the last good checkpoint is kept.
        """
        config, last = self.config, until or self.config.optimiser.steps
        step = self._step()
        self._sync = getattr(step, "sync", self._sync)
        stream = self._stream()
        recent: list[Any] = []
        clock = time.monotonic()
        with stop_signals() as stopped:
            try:
                while self.step < last:
                    rate = learning_rate(self.step, config.optimiser)
                    samples = next(stream).arrays()
                    recent.append(step(samples, rate, ema_decay(self.step, config.optimiser)))
                    self.step += 1
                    if self.step % 100 == 0 or self.step == last:
                        square, loss = np.mean([np.asarray(r) for r in recent], axis=0)
                        now = time.monotonic()
                        line = {"square": float(square), "loss": float(loss), "rate": rate}
                        line["steps_per_second"] = len(recent) / max(now - clock, 1e-9)
                        self._log(line)
                        self.report({"step": self.step, **line})
                        if not np.isfinite(loss):
                            raise self._diverged()
                        recent, clock = [], now
                    if self.step % config.validate_every == 0 or self.step == last:
                        self._validate()
                        clock = time.monotonic()
                    if self.step % config.checkpoint_every == 0 or self.step == last or stopped():
                        self._save()
                    if stopped():
                        raise CancelledError(
                            f"Stopped after step {self.step}", where=self.folder, hint="Go on with --resume."
                        )
            finally:
                stream.close()
        return self.history[-1] if self.history else {"step": self.step}

    def predictor(self) -> Predict:
        """The averaged network as a function from planes and condition to output."""
        self._sync()
        if self._judge is None:  # compiled once
            network = build(self.config.network)
            self._judge = network, self._module().make_predictor(network)
        network, predict = self._judge
        for weight, mean in zip(network.trainable_variables, self.average, strict=True):
            weight.assign(np.asarray(mean))
        return predict

    def _validate(self) -> None:
        figures, estimate = self.validator.run(self.predictor())
        self.history.append({"step": self.step, **figures})
        self._log({f"val/{k}": v for k, v in figures.items()})
        self.log.image("val/input estimate target removed", self.validator.panel(estimate), self.step)
        self.report({"step": self.step, **figures})
        if figures["gain"] > self.best:
            self.best = figures["gain"]
            checkpoints.save(self.folder, self._checkpoint(), BEST)

    def _log(self, figures: dict[str, float]) -> None:
        self.log.scalars(figures, self.step)

    def _module(self) -> Any:
        """The step of the backend; only that of the one in use can be imported."""
        return import_module(BACKENDS[self.backend])

    def _step(self) -> Any:
        """The compiled step."""
        optimiser = self.config.optimiser
        make = self._module().make_step
        return make(
            self.model, self.average, self.optimiser, self.precondition, optimiser, self.config.modality
        )

    def _stream(self) -> Generator[Samples, None, None]:
        """Batches from the next step on."""
        if self.config.data.device and self.source is None:
            from medidiff.training.device import device_batches

            return device_batches(self.config, self.step)
        return batches(self.config, self.step, self.source)

    def _save(self) -> None:
        if checkpoints.owner(self.folder) not in self._known:
            raise OutputError(
                "Another run has written a checkpoint here meanwhile; this one stops", where=self.folder,
                received=f"step {self.step}", hint="Give each run a name of its own.",
            )  # fmt: skip
        saved = self._checkpoint()
        checkpoints.save(self.folder, saved)
        checkpoints.save(self.folder, checkpoints.slim(saved), checkpoints.AVERAGE)

    def _checkpoint(self) -> Checkpoint:
        self._sync()
        weights = [np.asarray(w) for w in self.model.trainable_variables]
        average = [np.asarray(a) for a in self.average]
        if not all(np.isfinite(a).all() for a in (*weights, *average)):
            raise self._diverged()  # and the last good checkpoint is kept
        return Checkpoint(
            step=self.step,
            weights=weights,
            average=average,
            optimiser=[np.asarray(v) for v in self.optimiser.variables],
            best=float(self.best),
            config=self.config.to_dict(),
            history=self.history,
            run=self._run,
        )

    def _diverged(self) -> MedidiffError:
        return MedidiffError(
            "The training has diverged: its numbers are no longer finite", where=self.folder,
            received=f"step {self.step}",
            hint="Lower [optimiser] rate or lengthen warmup, and start again, or go on from the last good "
            "checkpoint with --resume.",
        )  # fmt: skip

    def _restore(self, saved: Checkpoint) -> None:
        self.changes = changes(saved.config, self.config, self.folder)
        self._known.add(saved.run)
        pairs: list[tuple[Any, Any]] = [
            (self.model.trainable_variables, saved.weights),
            (self.average, saved.average),
            (self.optimiser.variables, saved.optimiser),
        ]
        for variables, values in pairs:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.step, self.best, self.history = saved.step, saved.best, list(saved.history)
