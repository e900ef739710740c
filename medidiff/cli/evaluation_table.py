"""The tables of ``medidiff evaluate`` on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medidiff.cli.columns import Column, print_columns

if TYPE_CHECKING:
    from medidiff.batch.judging import Scored
    from medidiff.evaluation import Cohort, Comparison, Flag, Interval, NoReference, RemovedNoise
    from medidiff.report import ArmFigures

FLAGS_SHOWN = 12
"""Lines; the others are in the JSON."""
FORMATS = {"PSNR": ".2f", "SSIM": ".4f", "RMSE": ".4g", "VIF": ".3f", "HaarPSI": ".4f"}


def print_table(reference: Path, arms: Sequence[ArmFigures], removed: Sequence[RemovedNoise]) -> None:
    """One row a scan, then what the figures mean.

    Args:
        reference: where the reference lies.
        arms: the scans with their figures.
        removed: how much of the noise each of them has lost; empty where that is not known.
    """
    first = arms[0].comparison
    bins = first.bias or ()
    scores = [
        Column(
            f"{score.metric} {score.unit}".rstrip(),
            tuple(_value(arm.comparison.scores[k].mean, FORMATS[score.metric]) for arm in arms),
        )
        for k, score in enumerate(first.scores)
    ]
    drifts = [
        Column(f"bias {b.name}", tuple(_bias(arm.comparison, k) for arm in arms)) for k, b in enumerate(bins)
    ]
    print_columns("test", [arm.name for arm in arms], [scores, drifts])
    click.echo(f"Reference: {reference}")
    click.echo(f"Protocol: {first.protocol}.")
    for note in dict.fromkeys(s.note for arm in arms for s in arm.comparison.scores if s.note):
        click.echo(f"Note: {note}.")
    if bins:
        edges = ", ".join(f"{b.name} {b.low:g} to {b.high:g}" for b in bins)
        click.echo(f"Bias: mean of test - reference in HU, by HU of the smoothed reference ({edges}).")
    if removed:
        ratios = (f"{a.name} {_value(r.ratio, '.3f')}" for a, r in zip(arms, removed, strict=True))
        click.echo(
            f"Removed noise: SD(scan - test) / SD(scan - reference), {removed[0].text}: {', '.join(ratios)}."
        )
    for arm in arms:
        if arm.reliability is not None:
            covered = f"{arm.reliability.coverage_90:.1%}"
            click.echo(
                f"Uncertainty of {arm.name}: the 90 % interval covers {covered} ({arm.reliability.text})."
            )


def print_cohort(
    reference: Path, found: Cohort, scans: Sequence[Scored], left_over: Mapping[str, Sequence[str]]
) -> None:
    """Means over patients with their intervals, differences between tests, and which scans are missing.

    Args:
        reference: where the references lie.
        found: the figures.
        scans: scan by scan.
        left_over: by test, its scans that belong to no reference.
    """
    metrics = list(FORMATS)
    units = {s.metric: s.unit for s in found.summaries}
    names, rows = [], []
    for arm in found.arms:
        mine = {s.metric: s.per_patient for s in found.summaries if s.arm == arm.name}
        names.append(arm.name)
        rows.append([_interval(mine[m], FORMATS[m]) for m in metrics])
    for first, second in dict.fromkeys((d.first, d.second) for d in found.differences):
        pair = {d.metric: d for d in found.differences if (d.first, d.second) == (first, second)}
        names.append(f"{first} - {second}")
        rows.append([_interval(pair[m].per_patient, f"+{FORMATS[m]}") for m in metrics])
    titles = [f"{m} {units[m]}".rstrip() for m in metrics]
    columns = [Column(title, cells) for title, cells in zip(titles, zip(*rows, strict=True), strict=True)]
    print_columns("mean over patients [95 % interval]", names, [columns])
    compared = [s for s in scans if s.comparisons]
    patients = len({s.patient for s in compared})
    click.echo(f"Reference: {reference}, {_count(len(compared), 'scan')} of {_count(patients, 'patient')}.")
    click.echo(f"Protocol: {found.protocol_text} of each patient, then over patients.")
    texts = dict.fromkeys(s.per_patient.text for s in found.summaries)
    click.echo(f"Interval: {'; '.join(texts)}. Differences: slice by slice, on the scans that both have.")
    for arm in found.arms:
        missing = [s.label for s in scans if arm.name not in s.comparisons]
        if missing:
            click.echo(f"Note: {arm.name} has no scan for {', '.join(missing)}.")
    for name, labels in left_over.items():
        click.echo(f"Note: {name} has scans that belong to no reference: {', '.join(labels)}.")


def print_changes(scan: Path, found: Sequence[tuple[str, NoReference]]) -> None:
    """One row a result, then what is flagged.

    Args:
        scan: where the scan lies.
        found: name and measures of each result.
    """
    from medidiff.evaluation.noref import FEWEST_PIXELS
    from medidiff.noise.texture import STRUCTURE_LP_CM

    unit = found[0][1].unit
    titles = (
        f"noise before {unit}", f"after {unit}", "left", "NPS shift", f"drift {unit}", "structure removed",
        "flagged slices",
    )  # fmt: skip
    rows = []
    for _, m in found:
        drift = [d.mean for d in m.drift if d.mean is not None and d.pixels >= FEWEST_PIXELS]
        residual = m.residual
        rows.append(
            (
                _value(m.before.sigma, ".3g"),
                _value(m.after.sigma, ".3g"),
                _value(m.noise_left, ".0%"),
                _value(m.nps_shift, "+.0%"),
                _value(max(drift, key=abs) if drift else None, "+.2f"),
                "-" if residual is None else f"{len(residual.flagged)} of {residual.tested} patches",
                str(len(m.flagged_slices)),
            )
        )
    columns = [Column(title, cells) for title, cells in zip(titles, zip(*rows, strict=True), strict=True)]
    print_columns("test", [name for name, _ in found], [columns])
    click.echo(f"Scan: {scan}")
    for name, m in found:
        head = f"{name}: " if len(found) > 1 else ""
        click.echo(f"{head}Protocol: {m.text}.")
        click.echo(
            f"{head}Noise: {m.before.text}. "
            f"NPS shift: of its mean frequency above {STRUCTURE_LP_CM:g} lp/cm. "
            "Drift: largest mean change of a kind of uniform tissue."
        )
        residual = m.residual
        untested = "not tested, for too little tissue was changed"
        click.echo(f"{head}Structure: {untested if residual is None else residual.text}.")
        lines = _flag_lines(m.flags)
        for line in lines[:FLAGS_SHOWN]:
            click.echo(f"{head}Flag: {line}.")
        if len(lines) > FLAGS_SHOWN:
            click.echo(f"{head}{len(lines) - FLAGS_SHOWN} more flags: see --json.")


def _flag_lines(flags: Sequence[Flag]) -> list[str]:
    """One line a reason, with its slices counted from 1."""
    places: dict[str, list[str]] = {}
    for flag in flags:
        places.setdefault(flag.text, []).append("" if flag.slice is None else str(flag.slice + 1))
    lines = []
    for text, slices in places.items():
        named = ", ".join(slices)
        lines.append(f"slice{'s' if len(slices) > 1 else ''} {named}: {text}" if named else f"series: {text}")
    return lines


def _bias(comparison: Comparison, k: int) -> str:
    """The bias of one bin."""
    return _value((comparison.bias or ())[k].bias, "+.2f")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _value(value: float | None, spec: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, spec)


def _interval(interval: Interval, spec: str) -> str:
    """Mean and interval; the mean alone where there is none."""
    mean = _value(interval.value, spec)
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{interval.low:{spec}}, {interval.high:{spec}}]"
