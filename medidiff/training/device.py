"""Device: endless batches made on the accelerator, each a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Any

import jax

from medidiff.training.config import TrainConfig
from medidiff.training.device_cut import check, make_batch
from medidiff.training.samples import Samples


def device_batches(config: TrainConfig, start: int) -> Generator[Samples, None, None]:
    """Batches from step `start` on, without end, as arrays on the device.

    Args:
        config: the run.
        start: number of steps already done.

    Raises:
        UsageError: the samples of this run are made on the CPU alone.
    """
    check(config)
    module = import_module(f"medidiff.training.device_{config.modality}")
    simulate = module.simulate

    # The bank is an argument: closed over, it would become a constant of the compiled program.
    @jax.jit  # type: ignore[untyped-decorator]
    def make(bank: Any, key: Any) -> tuple[Any, ...]:
        batch = make_batch(lambda k: simulate(bank, k, config), config, config.modality)
        return batch(key).arrays()

    bank = module.make_bank(config)
    key = jax.random.key(config.seed)
    step = start
    while True:
        yield Samples(*make(bank, jax.random.fold_in(key, step)))
        step += 1
