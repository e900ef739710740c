"""Coverage of the stated uncertainty on held-out patients, by noise level.

    python benchmarks/intervals.py ct [--slices 4] [--markdown FILE] [--plot FILE]
    python benchmarks/intervals.py mr

Against a reference with noise of its own (SD sigma_F, a its share of the scan's noise variance) the estimate
is (1-a) D + a y, and its error has variance (1-a)^2 v + (1-a) sigma_F^2 (`NoisyTarget`). CT noise is lower
towards the skin; sigma_F has the map of the simulated noise. MR: tissue, that is where the smoothed
reference is above 4 SDs of its own noise; in air that noise has a floor. The gate: 88 to 92 % of these
pixels in the 90 % interval.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from quality.averages import SEED, order_of_levels
from quality.case import Case
from quality.gates import MET, NOT_MET
from quality.sets import add_options, cases, denoiser_of, model_line
from quality.table import cell, markdown

from medidiff.denoise import Denoiser, Settings
from medidiff.evaluation.bootstrap import bootstrap
from medidiff.evaluation.uncertainty import LEVELS, Reliability, reliability

NOMINAL = 0.9
GATE = (0.88, 0.92)
Key = tuple[str, str]
Found = dict[Key, list[tuple[str, Reliability]]]
"""By kind of reference and level, pairs of patient and figures."""


def measure(case: Case, denoiser: Denoiser) -> Reliability:
    """Coverage of one case in the body (MR: in tissue)."""
    k = case.centre
    result = denoiser.run(case.volume, Settings(sigma=case.total, uncertainty=True))
    if result.uncertainty is None:
        raise TypeError("the model states no uncertainty")
    a = np.float32((case.own / case.total) ** 2)
    estimate = (1 - a) * result.volume.array[k] + a * case.noisy
    own = np.float32(case.own) * (np.ones_like(estimate) if case.relative is None else case.relative)
    return reliability(
        case.reference[None],
        estimate[None],
        (1 - a) * result.uncertainty[k][None],
        case.tissue[None],
        np.sqrt(1 - a) * own[None],
        case.volume.unit,
        "tissue" if case.volume.modality == "MR" else "body",
    )


def at(found: list[tuple[str, Reliability]], nominal: float) -> dict[str, list[float]]:
    """Observed coverage of an interval, by patient."""
    values: dict[str, list[float]] = defaultdict(list)
    for patient, figures in found:
        values[patient].append(figures.observed[figures.levels.index(nominal)])
    return dict(values)


def error_ratio(found: list[tuple[str, Reliability]]) -> float:
    """Root mean square of the stated over that of the observed error."""
    bins = [b for _, figures in found for b in figures.bins]
    stated = sum(b.pixels * b.stated**2 for b in bins)
    return float(np.sqrt(stated / max(sum(b.pixels * b.observed**2 for b in bins), 1e-30)))


def table(found: Found) -> str:
    """One line a kind of reference and level."""
    shown = (0.5, 0.8, 0.95)
    lines = []
    for kind in sorted({k for k, _ in found}):
        for level in order_of_levels(v for k, v in found if k == kind):
            mine = found[kind, level]
            rng = np.random.default_rng(SEED)
            ninety = bootstrap(at(mine, NOMINAL), rng)
            others = [bootstrap(at(mine, n), rng).value for n in shown]
            good = ninety.value is not None and GATE[0] <= ninety.value <= GATE[1]
            lines.append(
                [kind, level, f"{len(mine)} / {ninety.patients}", cell(ninety, 3)]
                + ["-" if v is None else f"{v:.3f}" for v in others]
                + [f"{error_ratio(mine):.2f}", MET if good else NOT_MET]
            )
    heads = ["reference", "level", "slices / patients", "90 %", *(f"{n:.0%}" for n in shown)]
    return markdown([*heads, "stated / observed error", "88 to 92 %"], lines)


def plot(found: Found, path: Path) -> None:
    """Observed against nominal coverage, one line a level."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = sorted({k for k, _ in found})
    figure, axes = pyplot.subplots(
        1, len(kinds), figsize=(4.6 * len(kinds), 4.4), layout="constrained", squeeze=False
    )
    panel: Any
    for panel, kind in zip(axes[0], kinds, strict=True):
        panel.plot([0, 1], [0, 1], color="0.7", lw=1)
        for level in order_of_levels(v for k, v in found if k == kind):
            mine = found[kind, level]
            mean = [np.mean([np.mean(v) for v in at(mine, n).values()]) for n in LEVELS]
            panel.plot(LEVELS, mean, "-o", ms=3, label=level)
        panel.set_title(kind, fontsize=10)
        panel.set_xlabel("nominal coverage")
        panel.set_ylabel("observed, mean over patients")
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    """Prints the table of one modality."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, slices=4)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    denoiser = denoiser_of(options)
    found: Found = defaultdict(list)
    for case in cases(options):
        print(case.id, file=sys.stderr, flush=True)
        found[case.kind, case.level].append((case.patient, measure(case, denoiser)))
    about = "Pixels of the body (MR: tissue); 95 % bootstrap over patients."
    text = f"{model_line(denoiser, options)} {about}\n\n{table(found)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
