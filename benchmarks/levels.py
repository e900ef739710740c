"""The blind noise level against the true one on held-out patients, and what an error of it costs.

    python benchmarks/levels.py ct [--slices 4] [--markdown FILE]
    python benchmarks/levels.py mr

The true level is the inserted noise with what the scan had before (itself an estimate of the whole series;
0.4 of it for binned slices). The blind one sees the three slices of a case. Cost: PSNR of `mean` told the
true level less that of `mean` with the level found; gate: at most 0.2 dB, mean over patients.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from quality.averages import SEED, order_of_levels
from quality.case import Case
from quality.gates import MET, NOT_MET
from quality.sets import add_options, cases, denoiser_of, model_line
from quality.table import cell, markdown

from medidiff.denoise import Denoiser, Settings
from medidiff.errors import NoiseLevelError
from medidiff.evaluation.bootstrap import bootstrap
from medidiff.evaluation.metrics import psnr

LIMIT_DB = 0.2


@dataclass(frozen=True)
class Found:
    """One case.

    Attributes:
        patient: unit of the bootstrap.
        ratio: level found over the true one; None where none was found.
        lost: dB lost by it; None likewise.
    """

    patient: str
    ratio: float | None
    lost: float | None


def measure(case: Case, denoiser: Denoiser) -> Found:
    """Level and cost of one case."""

    def figure(settings: Settings) -> tuple[float, float]:
        result = denoiser.run(case.volume, settings)
        image = result.volume.array[case.centre]
        return result.sigma, psnr(case.reference[None], image[None], case.protocol).mean

    _, told = figure(Settings(sigma=case.total))
    try:
        sigma, blind = figure(Settings())
    except NoiseLevelError:
        return Found(case.patient, None, None)
    return Found(case.patient, sigma / case.total, told - blind)


def line(found: Sequence[Found]) -> list[str]:
    """The cells of one kind and level."""
    ratios = np.array([f.ratio for f in found if f.ratio is not None])
    losses: dict[str, list[float]] = defaultdict(list)
    for f in found:
        if f.lost is not None:
            losses[f.patient].append(f.lost)
    failed = len(found) - len(ratios)
    if not len(ratios):
        return [f"{len(found)} / 0", "-", "-", "-", str(failed), "-", NOT_MET]
    lost = bootstrap(losses, np.random.default_rng(SEED))
    good = lost.value is not None and lost.value <= LIMIT_DB and not failed
    return [
        f"{len(found)} / {lost.patients}",
        f"{ratios.mean():.3f}",
        f"{ratios.min():.2f} to {ratios.max():.2f}",
        f"{ratios.std() / ratios.mean():.3f}",
        str(failed),
        cell(lost, 2, "+"),
        MET if good else NOT_MET,
    ]


def table(found: dict[tuple[str, str], list[Found]]) -> str:
    """One line a kind of reference and level."""
    lines = [
        [kind, level, *line(found[kind, level])]
        for kind in sorted({k for k, _ in found})
        for level in order_of_levels(v for k, v in found if k == kind)
    ]
    heads = ["reference", "level", "slices / patients", "found / true", "range", "CV", "none found"]
    return markdown([*heads, "dB lost by auto", f"at most {LIMIT_DB:g} dB"], lines)


def main() -> None:
    """Prints the table of one modality."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, slices=4)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    denoiser = denoiser_of(options)
    found: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for case in cases(options):
        print(case.id, file=sys.stderr, flush=True)
        found[case.kind, case.level].append(measure(case, denoiser))
    text = f"{model_line(denoiser, options)} 95 % bootstrap over patients.\n\n{table(found)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
