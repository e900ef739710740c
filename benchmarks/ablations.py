"""Trains the ablations of configs/ablations for the same steps and seeds, and prints what each is worth.

    python benchmarks/ablations.py --steps 3000 --seeds 1 2 3 -o docs/ablations.md

Every run is judged on the same validation patches, always with matched noise and corrected targets. Runs
go on from their checkpoints, so the command can be stopped and given again; finished runs cost nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import NoImageError
from medidiff.training.config import TrainConfig
from medidiff.training.recipe import load
from medidiff.training.scans import data_root, list_scans
from medidiff.training.validation import Validator, gains
from medidiff.volume import FloatArray

FOLDER = Path(__file__).parents[1] / "configs" / "ablations"
BASE = "base"
REPEATS = 2000

Indices = NDArray[np.intp]
Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Validation of one ablation.

    Attributes:
        name: of the ablation.
        ratios: squared error over noise variance of each patch, mean over seeds ``[n]``.
        seeds: gain of each seed, dB.
    """

    name: str
    ratios: FloatArray
    seeds: tuple[float, ...]


def with_mean(ratios: FloatArray, quarters: Indices) -> Figures:
    """Gain in dB for each quarter of the noise levels, then the mean of those that have patches ``[5]``."""
    each = gains(ratios, quarters)
    return np.array([*each, np.nanmean(each)])


def bootstrap(
    statistic: Callable[[Indices], Figures], patients: Sequence[str], rng: np.random.Generator
) -> Figures:
    """95 % interval ``[2, ...]`` of a statistic of patch indices, patients drawn with replacement."""
    members = [np.flatnonzero(np.asarray(patients) == p) for p in sorted(set(patients))]
    drawn = [
        statistic(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
        for _ in range(REPEATS)
    ]
    return np.asarray(np.nanpercentile(np.stack(drawn), [2.5, 97.5], axis=0))


def patients_of(config: TrainConfig, scans: Sequence[str]) -> list[str]:
    """Patient of each validation patch; the scan itself where the manifest is not at hand."""
    try:
        known = {s.label: s.patient for s in list_scans(data_root(config.data.root), config.modality, "val")}
    except NoImageError:
        known = {}
    return [known.get(label, label) for label in scans]


def train(config: TrainConfig, say: Callable[[str], None]) -> FloatArray:
    """Trains a run to its end, from its checkpoint if there is one, and returns `Validator.ratios`."""
    from medidiff.training import checkpoint
    from medidiff.training.trainer import Trainer

    resume = (Path(config.output) / config.name / checkpoint.FILE).exists()
    validator = Validator.make(config)

    def report(figures: dict[str, float]) -> None:
        if "gain" in figures:
            say(f"{config.name}: step {figures['step']:.0f}, gain {figures['gain']:.2f} dB")

    trainer = Trainer(config, resume=resume, report=report, validator=validator)
    if trainer.step < config.optimiser.steps:
        trainer.run()
    _, estimate = validator.run(trainer.predictor())
    return validator.ratios(estimate)


def table(judged: Sequence[Judged], quarters: Indices, patients: Sequence[str]) -> list[str]:
    """Rows of Markdown: gains by quarter, mean with interval, difference to the base with interval."""
    rows = [
        "| ablation | q1 | q2 | q3 | q4 | mean gain, dB | against base, dB | SD of seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base = next((j for j in judged if j.name == BASE), None)
    for j in judged:
        found = with_mean(j.ratios, quarters)

        def own(index: Indices, j: Judged = j) -> Figures:
            return with_mean(j.ratios[index], quarters[index])

        low, high = bootstrap(own, patients, np.random.default_rng(0))[:, -1]
        cells = [j.name, *(f"{g:.2f}" for g in found[:4]), f"{found[4]:.2f} [{low:.2f}, {high:.2f}]"]
        if base is None or j is base:
            cells.append("")
        else:

            def against(index: Indices, j: Judged = j) -> Figures:
                mine = with_mean(j.ratios[index], quarters[index])
                return mine - with_mean(base.ratios[index], quarters[index])

            low, high = bootstrap(against, patients, np.random.default_rng(0))[:, -1]
            difference = found[4] - with_mean(base.ratios, quarters)[4]
            cells.append(f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]")
        cells.append(f"{np.std(j.seeds, ddof=1):.2f}" if len(j.seeds) > 1 else "")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps of every run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", help="names of configs/ablations; base always runs")
    parser.add_argument("--configs", type=Path, default=FOLDER)
    parser.add_argument("--runs", default="runs/ablations")
    parser.add_argument("--cache", help="folder of the noise cache, if not that of the configurations")
    parser.add_argument("--pack", help="packed data to read instead of the scans")
    parser.add_argument("-o", "--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    names = sorted(p.stem for p in options.configs.glob("*.toml"))
    if unknown := sorted(set(options.only or ()) - set(names)):
        parser.error(f"no such ablation: {unknown[0]}. Known: {', '.join(names)}")
    names = [BASE] + [n for n in names if n != BASE and n in (options.only or names)]

    judged: list[Judged] = []
    quarters: Indices = np.zeros(0, np.intp)
    patients: list[str] = []
    prepared: set[Path] = set()
    for name in names:
        config = load(options.configs / f"{name}.toml")
        data = replace(config.data, cache=options.cache or config.data.cache, pack=options.pack or "")
        optimiser = replace(config.optimiser, steps=options.steps)
        config = replace(config, data=data, optimiser=optimiser, output=options.runs)
        if not data.pack:
            from medidiff.training.ct_cache import folder, prepare

            # Ablations share their noise bases.
            for role in ("train", "val") if folder(config) not in prepared else ():
                prepare(config, role)
            prepared.add(folder(config))
        if name == BASE:
            validator = Validator.make(config)
            quarters, patients = validator.quarters, patients_of(config, validator.scans)
        runs = [
            train(replace(config, name=f"{name}-{seed}", seed=seed), lambda line: print(line, flush=True))
            for seed in options.seeds
        ]
        seeds = tuple(float(with_mean(r, quarters)[4]) for r in runs)
        judged.append(Judged(name, np.mean(runs, axis=0), seeds))

    lines = [
        f"{options.steps} steps of each run, {len(options.seeds)} seed(s); gain over the noisy input in dB "
        "by quarter of the noise levels (q1 lowest), on the same validation patches, one network evaluation. "
        f"95 % intervals by bootstrap over {len(set(patients))} patients.",
        "",
        *table(judged, quarters, patients),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(["# Ablations", "", *lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
