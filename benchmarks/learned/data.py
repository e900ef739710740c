"""Batches of the project's own samples, made ahead by one process; the training dose of one-dose networks."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

from learned.spec import DOSE, Spec
from medidiff.training.config import TrainConfig
from medidiff.training.ct_formulas import TEXTURE_TOLD
from medidiff.training.ct_source import CTSource
from medidiff.training.loader import batches_per_chunk, make_chunk, open_source
from medidiff.training.patches import SimulatedSlice, Source
from medidiff.training.samples import Samples

AHEAD = 3
LEAST_HU = 4.0
"""Slices of less noise (or in which none was found) have no dose to take a fraction of."""

_source: Source | None = None


class OneDose:
    """CT slices at one fraction of their own dose: t = sigma_F / sqrt(dose), with the corrected target.

    Args:
        source: the project's source.
        dose: the fraction, at most 1/2.
    """

    def __init__(self, source: CTSource, dose: float = DOSE) -> None:
        self.source, self.dose = source, dose
        level = np.array([r.sigma for r in source.references])
        share = np.where(level >= LEAST_HU, source.share, 0.0)
        self.share = share / share.sum()

    def draw(self, rng: np.random.Generator) -> SimulatedSlice:
        """One noisy slice with its truth."""
        source = self.source
        reference = source.references[int(rng.choice(len(source.references), p=self.share))]
        t = reference.sigma / float(np.sqrt(self.dose))
        drawn = source.simulate(reference, t, reference.sigma, rng)
        return replace(drawn, texture=(drawn.texture or 0.0) * float(rng.uniform(*TEXTURE_TOLD)))


def source_of(spec: Spec, config: TrainConfig) -> Source:
    """The samples that a network is trained on."""
    source = open_source(config)
    return OneDose(source) if spec.levels == "one" else source  # type: ignore[arg-type]


def batches(
    spec: Spec, config: TrainConfig, start: int, source: Source | None = None
) -> Generator[Samples, None, None]:
    """Batches from step `start` on, without end; batch k is a function of the seed and k alone.

    Args:
        spec: the network.
        config: data, seed and batch size.
        start: steps already done.
        source: if given, samples are made in this process (tests).
    """
    index, skip = divmod(start, batches_per_chunk(config))
    if source is not None:
        while True:
            yield from make_chunk(config, source, index)[skip:]
            index, skip = index + 1, 0
    with ProcessPoolExecutor(1, get_context("spawn"), _open, (spec, config)) as pool:
        waiting: deque[Future[list[Samples]]] = deque()
        try:
            while True:
                while len(waiting) < AHEAD:
                    waiting.append(pool.submit(_chunk, config, index))
                    index += 1
                yield from waiting.popleft().result()[skip:]
                skip = 0
        finally:
            for job in waiting:
                job.cancel()


def _open(spec: Spec, config: TrainConfig) -> None:
    global _source
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, who stops this process
    _source = source_of(spec, config)


def _chunk(config: TrainConfig, index: int) -> list[Samples]:
    assert _source is not None
    return make_chunk(config, _source, index)
