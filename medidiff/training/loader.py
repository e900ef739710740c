"""Loader: batches in a fixed order, made ahead of the trainer by one background process.

Chunk c of a run is a function of (seed, c) alone, so a resumed run sees exactly the batches that an
uninterrupted one would have seen.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import traceback
from collections.abc import Generator
from typing import Any

import numpy as np

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import MedidiffError
from medidiff.training.config import TrainConfig
from medidiff.training.inputs import Inputs
from medidiff.training.patches import Source, cut
from medidiff.training.samples import Samples, concatenate
from medidiff.training.variants import Variant


def open_source(config: TrainConfig, role: str = "train") -> Source:
    """The source of samples of a run's modality; validation never sees the variants of an ablation."""
    source: Source
    if config.modality == "mr":
        from medidiff.training.mr_source import MRSource

        source = MRSource(config, role)
    else:
        from medidiff.training.ct_source import CTSource

        source = CTSource(config, role)
    white = config.data.noise == "white"
    if role == "train" and (white or not config.corrects):
        return Variant(source, white=white, corrected=config.corrects)
    return source


def batches_per_chunk(config: TrainConfig) -> int:
    """Whole batches in one chunk."""
    return config.data.slices_per_chunk * config.data.per_slice // config.optimiser.batch


def make_chunk(config: TrainConfig, source: Source, index: int) -> list[Samples]:
    """The batches of chunk `index`: several slices' patches, shuffled."""
    rng = np.random.default_rng([config.seed, index])
    precondition = Precondition(config.sigma_data)
    data, inputs = config.data, Inputs.of(config)
    patches = concatenate(
        [
            cut(source.draw(rng), data.patch, data.per_slice, precondition, rng, inputs)
            for _ in range(data.slices_per_chunk)
        ]
    )
    order = rng.permutation(len(patches))
    size = config.optimiser.batch
    return [patches.take(order[i * size : (i + 1) * size]) for i in range(batches_per_chunk(config))]


def batches(config: TrainConfig, start: int, source: Source | None = None) -> Generator[Samples, None, None]:
    """Batches from step `start` on, without end.

    Args:
        config: the run.
        start: number of steps already done.
        source: if given, samples are made in this process (tests); else in a background process.
    """
    per_chunk = batches_per_chunk(config)
    index, skip = divmod(start, per_chunk)
    if source is not None:
        while True:
            yield from make_chunk(config, source, index)[skip:]
            index, skip = index + 1, 0
    context = multiprocessing.get_context("spawn")
    buffer: Any = context.Queue(maxsize=4)
    worker = context.Process(target=_work, args=(config, index, buffer), daemon=True)
    worker.start()
    try:
        while True:
            try:
                chunk = buffer.get(timeout=5.0)
            except queue.Empty:
                if worker.is_alive():
                    continue
                raise MedidiffError(
                    "The process that makes training samples ended unexpectedly", received=worker.exitcode
                ) from None
            if isinstance(chunk, str):
                raise MedidiffError("The process that makes training samples failed", hint=chunk)
            yield from chunk[skip:]
            skip = 0
    finally:
        worker.terminate()
        worker.join()


def _work(config: TrainConfig, index: int, buffer: Any) -> None:
    """Fills the queue; an error travels as text. Ends with the trainer, however that ended."""
    # Ctrl-C reaches the whole group of processes; the trainer needs one more batch to stop cleanly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        source = open_source(config)
        while _put(buffer, make_chunk(config, source, index)):
            index += 1
    except MedidiffError as error:
        _put(buffer, str(error))
    except Exception:  # whatever it was, the trainer must hear of it rather than wait
        _put(buffer, traceback.format_exc())


def _put(buffer: Any, item: Any) -> bool:
    """Puts an item into the queue, waiting for room; False if nobody is left to take it."""
    parent = multiprocessing.parent_process()
    while True:
        try:
            buffer.put(item, timeout=5.0)
            return True
        except queue.Full:
            if parent is not None and not parent.is_alive():
                buffer.cancel_join_thread()
                return False
