"""The tables in Markdown: figures by level and method, and PSNR differences to medidiff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medidiff.evaluation.bootstrap import Interval
from medidiff.volume import HU_NAMES
from quality.averages import difference, mean, order_of_levels, select
from quality.rows import Row

WITH_INTERVAL = {"psnr": "PSNR dB", "ssim": "SSIM", "rmse": "RMSE", "vif": "VIF"}
MR_ONLY = {"psnr_tissue": "tissue PSNR dB"}
DIGITS = {"psnr": 2, "ssim": 3, "rmse": 2, "vif": 3, "nps": 2, "psnr_tissue": 2}


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*rows, *("| " + " | ".join(line) + " |" for line in lines)])


def cell(interval: Interval, digits: int, sign: str = "") -> str:
    """A mean with its interval in brackets."""
    if interval.value is None:
        return "-"
    text = f"{interval.value:{sign}.{digits}f}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({interval.low:{sign}.{digits}f} to {interval.high:{sign}.{digits}f})"


def quality_table(rows: list[Row], methods: Sequence[str], costs: Mapping[str, float]) -> str:
    """One line a kind of reference, level and method; means over patients, 95 % bootstrap over patients."""
    biased = any(f.startswith("bias_") for r in rows for f in r.figures)
    tissues = HU_NAMES if biased else ()
    shown = WITH_INTERVAL if biased else {**WITH_INTERVAL, **MR_ONLY}
    heads = ["reference", "level", "method", "slices / patients", *shown.values(), "NPS"]
    heads += [f"bias {t} HU" for t in tissues] + ["s a slice", "peak MB"]
    lines = []
    for kind in sorted({r.kind for r in rows}, reverse=True):
        for level in order_of_levels(r.level for r in rows if r.kind == kind):
            for method in methods:
                mine = select(rows, kind, level, method)
                if mine:
                    lines.append([kind, level, method, *_line(mine, list(shown), tissues, costs.get(method))])
    return markdown(heads, lines)


def _line(mine: list[Row], shown: Sequence[str], tissues: Sequence[str], peak: float | None) -> list[str]:
    cells = [f"{len(mine)} / {len({r.patient for r in mine})}"]
    cells += [cell(mean(mine, f), DIGITS[f]) for f in shown]
    for figure, sign in [("nps", ""), *((f"bias_{t}", "+") for t in tissues)]:
        value = mean(mine, figure).value
        cells.append("-" if value is None else f"{value:{sign}.{DIGITS.get(figure, 2)}f}")
    cells.append(f"{np.median([r.seconds for r in mine]):.3f}")
    cells.append("-" if peak is None else f"{peak:.0f}")
    return cells


def difference_table(
    rows: list[Row], methods: Sequence[str], ours: str = "mean", figure: str = "psnr"
) -> str:
    """PSNR of `ours` less that of each method on the same slices, dB, 95 % paired bootstrap over patients."""
    lines = []
    columns = [(k, v) for k in sorted({r.kind for r in rows}, reverse=True) for v in _levels(rows, k)]
    for method in methods:
        if method == ours:
            continue
        found = [difference(rows, kind, level, ours, method, figure) for kind, level in columns]
        if any(f.value is not None for f in found):
            lines.append([method, *(cell(f, 2, "+") for f in found)])
    return markdown([f"`{ours}` less", *(f"{level}, {kind}" for kind, level in columns)], lines)


def given_table(given: Mapping[str, str]) -> str:
    """What each method was told."""
    return markdown(["method", "was given"], [[name, text] for name, text in given.items()])


def _levels(rows: list[Row], kind: str) -> list[str]:
    return order_of_levels(r.level for r in rows if r.kind == kind)
