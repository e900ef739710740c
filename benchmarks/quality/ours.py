"""medidiff's answers to a case, timed: modes with the level told and found, and with a wrong level."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from peers import Answer

from medidiff.denoise import Denoiser, Settings
from quality.case import Case

MODES = ("mean", "mean, tier best", "mean, sigma auto", "natural", "mean_ref")
FACTORS = (0.5, 0.7, 1.4, 2.0)
"""Of the true noise level; 1 is `mean` and `natural` itself."""

GIVEN = {
    "mean": "true SD",
    "mean, tier best": "true SD",
    "natural": "true SD",
    "mean, sigma auto": "nothing: SD from these three slices",
    "mean_ref": "true SD with the reference's own noise, and the dose fraction a",
}


def given(name: str, model: str) -> str:
    """What a mode is told, and the model: rows of another model are of another method."""
    return f"{GIVEN.get(name, 'a wrong SD')}; {model}"


def wrong(mode: str, factor: float) -> str:
    """Name of a mode that is told a wrong level."""
    return f"{mode}, sigma x {factor:g}"


def names(sweep: bool) -> tuple[str, ...]:
    """All names, in the order of the tables."""
    swept = [wrong(mode, f) for mode in ("mean", "natural") for f in FACTORS] if sweep else []
    return (*MODES, *swept)


def answers(case: Case, denoiser: Denoiser, wanted: Iterable[str]) -> dict[str, Answer]:
    """The answers asked for; `auto` estimates the noise level from the slices of the case.

    Seconds are those of the whole call over the number of its slices.
    """
    found = {}
    for name in wanted:
        if name == "mean_ref" and not case.fraction:
            continue
        mode, _, factor = name.partition(", sigma x ")
        if name == "mean, sigma auto":
            settings = Settings()
        elif name == "mean, tier best":
            settings = Settings(sigma=case.sigma, tier="best")
        elif name == "mean_ref":
            settings = Settings(sigma=case.total)
        else:
            settings = Settings(mode=mode, sigma=case.sigma * float(factor or 1.0))
        start = time.perf_counter()
        image = denoiser.run(case.volume, settings).volume.array[case.centre]
        seconds = (time.perf_counter() - start) / len(case.volume.array)
        if name == "mean_ref":
            a = np.float32(case.fraction)
            image = (1 - a) * image + a * case.noisy
        found[name] = Answer(image, seconds)
    return found
