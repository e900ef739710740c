"""Identities that a right posterior mean and right posterior samples obey, on held-out patients.

    python benchmarks/identities.py ct [--slices 3] [--draws 8] [--markdown FILE]
    python benchmarks/identities.py mr

For the model's mean D, calibrated variance v and samples s, with clean truth x and scan y:
MSE(s) = 2 MSE(D), E[variance of s] = MSE(D), rms(y - s) = rms(noise), MSE(mean of M) = (1 + 1/M)
MSE(D), E[v] = MSE(D), (y - D)^2 + MSE(D) = noise^2. Eight steps do not reach the limits: "8 steps" is what an
exact network would give with them, and a figure within 10 % of that is met.

The truth is itself a little noisy (SD sigma_F, a = sigma_F^2 / t^2): MSE(D) is (MSE against it - sigma_F^2) /
(1 - 2a), and what samples have on top is a difference in which that noise cancels. CT: means of three slices
binned two by two, in the body. MR: slices binned two by two, a at most 0.15, pixels of SNR above 4.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from quality.averages import order_of_levels
from quality.case import CLEAN, Case
from quality.sets import add_options, cases, denoiser_of, model_line
from quality.table import markdown

from medidiff.denoise import Denoiser, Settings

STEPS = 8
TOLERANCE = 0.10
LEAST_SNR = 4.0
SHARE = 0.88
"""Share of the posterior variance that eight steps with the variance term carry, in closed form."""


@dataclass(frozen=True)
class Moments:
    """Mean squares over the pixels of a case, in units of its noise variance.

    Attributes:
        mean: MSE(D).
        sample: MSE of a sample.
        spread: variance of the samples.
        average: MSE of the mean of the samples.
        variance: v.
        removed: (y - D)^2.
        removed_sample: (y - s)^2.
    """

    mean: float
    sample: float
    spread: float
    average: float
    variance: float
    removed: float
    removed_sample: float


def identities(draws: int) -> dict[str, tuple[float, float]]:
    """Name, exact value, and value after eight steps."""
    return {
        "MSE(sample) / MSE(mean)": (2.0, 1.0 + SHARE),
        "E[sample variance] / MSE(mean)": (1.0, SHARE),
        "rms(y - sample) / rms(noise)": (1.0, 0.992),
        f"MSE(mean of {draws}) / MSE(mean)": (1.0 + 1.0 / draws, 1.0 + SHARE / draws),
        "E[v] / MSE(mean)": (1.0, 1.0),
        "[rms(y - D)^2 + MSE(mean)] / rms(noise)^2": (1.0, 1.0),
    }


def ratios(m: Moments) -> tuple[float, ...]:
    """In the order of `identities`."""
    return (
        m.sample / m.mean,
        m.spread / m.mean,
        float(np.sqrt(m.removed_sample)),
        m.average / m.mean,
        m.variance / m.mean,
        m.removed + m.mean,
    )


def moments(
    y: NDArray[np.float32],
    truth: NDArray[np.float32],
    D: NDArray[np.float32],
    v: NDArray[np.float32],
    samples: NDArray[np.float32],
    own: float,
) -> Moments:
    """Mean squares of one case.

    Args:
        y: pixels of the scan ``[n]``.
        truth: of the truth.
        D: of the mean.
        v: of its variance.
        samples: of the samples ``[m, n]``.
        own: noise SD of the truth.
    """

    def square(a: NDArray[np.float32]) -> float:
        return float(np.mean(np.square(a, dtype=np.float64)))

    noise = square(y - truth) + own**2
    a = own**2 / noise
    against = square(D - truth)
    mean = (against - own**2) / (1.0 - 2.0 * a)
    return Moments(
        mean=mean / noise,
        sample=(mean + square(samples - truth) - against) / noise,
        spread=float(samples.var(0, ddof=1).mean()) / noise,
        average=(mean + square(samples.mean(0) - truth) - against) / noise,
        variance=float(np.mean(v)) / noise,
        removed=square(y - D) / noise,
        removed_sample=square(y - samples) / noise,
    )


def measure(case: Case, denoiser: Denoiser, draws: int) -> Moments | None:
    """Runs the model on a case; None where the case says too little."""
    mr = case.volume.modality == "MR"
    where = case.reference > LEAST_SNR * case.total if mr else case.body
    if where.sum() < 2000:
        return None
    k, sigma = case.centre, case.total
    found = denoiser.run(case.volume, Settings(sigma=sigma, uncertainty=True))
    if found.uncertainty is None:
        raise TypeError("the model states no uncertainty")
    v = np.square(found.uncertainty[k])
    samples = np.stack(
        [
            denoiser.run(
                case.volume, Settings(mode="sample", steps=STEPS, samples=1, sigma=sigma, seed=m)
            ).volume.array[k][where]
            for m in range(draws)
        ]
    )
    return moments(
        case.noisy[where], case.reference[where], found.volume.array[k][where], v[where], samples, case.own
    )


def pooled(found: list[Moments]) -> Moments:
    """Mean over cases."""
    names = Moments.__dataclass_fields__
    return Moments(**{n: float(np.mean([getattr(m, n) for m in found])) for n in names})


def table(by_level: dict[str, list[Moments]], draws: int) -> str:
    """One line an identity; bold is off by more than 10 % of the finite-step column."""
    levels = order_of_levels(by_level)
    values = [ratios(pooled(by_level[level])) for level in levels]
    lines = []
    for i, (name, (exact, finite)) in enumerate(identities(draws).items()):
        cells = []
        for ratio in values:
            good = abs(ratio[i] / finite - 1.0) <= TOLERANCE
            cells.append(f"{ratio[i]:.3f}" if good else f"**{ratio[i]:.3f}**")
        lines.append([name, f"{exact:.3f}", f"{finite:.3f}", *cells])
    heads = ["identity", "exact", f"{STEPS} steps", *(f"{v} (n = {len(by_level[v])})" for v in levels)]
    return markdown(heads, lines)


def main() -> None:
    """Prints the table of one modality."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, slices=3)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    denoiser = denoiser_of(options)
    by_level: dict[str, list[Moments]] = defaultdict(list)
    for case in cases(options):
        if case.kind != CLEAN:
            continue
        found = measure(case, denoiser, options.draws)
        print(f"{case.id}{'' if found else ': left out'}", file=sys.stderr, flush=True)
        if found:
            by_level[case.level].append(found)
    if not by_level:
        sys.exit("No case is clean enough.")
    text = f"{model_line(denoiser, options)} Bold: more than 10 % off.\n\n{table(by_level, options.draws)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
