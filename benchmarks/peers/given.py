"""What a method is given, what it answers, and the choice of its strength against the reference.

A method yields one answer for each of its settings, or several that one run gives together; the one with the
smallest squared error against the reference counts. No user has that advantage, and medidiff does not get it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from medidiff.noise.spectrum import Spectrum
from medidiff.volume import FloatArray


@dataclass(frozen=True, eq=False)
class Given:
    """A noisy slice as a method gets it.

    Attributes:
        slab: float32 ``[z, y, x]``, the slice between its neighbours; one slice where there are none.
        centre: index of the slice in the slab.
        sigma: its true noise SD (inserted noise, with the reference's own where that is known).
        pixel_mm: pixel size.
        modality: ``"ct"`` or ``"mr"``.
        spectrum: true radial noise power spectrum; None for white noise.
    """

    slab: FloatArray
    centre: int
    sigma: float
    pixel_mm: float = 1.0
    modality: str = "ct"
    spectrum: Spectrum | None = None

    @property
    def image(self) -> FloatArray:
        """The noisy slice ``[y, x]``."""
        return np.asarray(self.slab[self.centre], np.float32)


Single = Callable[[Given], Iterator[FloatArray]]
"""Yields one answer ``[y, x]`` for each setting."""

Method = Callable[[Given], Iterator[FloatArray | tuple[FloatArray, ...]]]
"""Yields for each setting one answer, or a tuple of those that one run gives."""


@dataclass(frozen=True)
class Peer:
    """One method of the comparison.

    Attributes:
        name: as in the tables.
        run: the method.
        given: what it is told, and which settings are tried, in words.
        needs: package that must be installed; "" for none.
        learned: whether it was trained on the project's own samples.
    """

    name: str
    run: Method
    given: str
    needs: str = ""
    learned: bool = False

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        return bool(self.needs) and find_spec(self.needs) is None


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer that counts.

    Attributes:
        image: float32 ``[y, x]``.
        seconds: wall time of the run that gave it.
    """

    image: FloatArray
    seconds: float


def best(method: Method, given: Given, reference: FloatArray) -> Answer:
    """The setting with the smallest squared error against the reference.

    Args:
        method: yields one answer a setting.
        given: the noisy slice.
        reference: ``[y, x]``.

    Raises:
        ValueError: the method has no answer, or none of finite error.
    """
    chosen, least = None, np.inf
    answers = method(given)
    while True:
        start = time.perf_counter()
        found = next(answers, None)
        seconds = time.perf_counter() - start
        if found is None:
            break
        for image in found if isinstance(found, tuple) else (found,):
            error = float(np.mean((image - reference) ** 2))
            if error < least:
                chosen, least = Answer(np.asarray(image, np.float32), seconds), error
    if chosen is None:
        raise ValueError("the method has no finite answer")
    return chosen
