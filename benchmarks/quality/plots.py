"""Plots: quality against time, against dose, and against a wrong noise level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quality.averages import mean, order_of_levels, select
from quality.ours import FACTORS, wrong
from quality.rows import Row

OURS = ("mean", "natural")


def write_plots(rows: list[Row], methods: Sequence[str], modality: str, folder: Path) -> list[Path]:
    """One picture a question and kind of reference.

    Args:
        rows: of the run.
        methods: in the order of the table, without those told a wrong level.
        modality: ``"ct"`` or ``"mr"``.
        folder: where they go.

    Returns:
        the files.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in sorted({r.kind for r in rows}):
        mine = [r for r in rows if r.kind == kind]
        word = kind.split()[0]
        for name, draw in (("time", pareto), ("level", by_level), ("sigma", by_told)):
            figure, axes = pyplot.subplots(figsize=(7.0, 4.6), layout="constrained")
            if draw(axes, mine, kind, methods):
                axes.set_title(f"{modality.upper()}, {kind}", fontsize=10)
                path = folder / f"{modality}_{word}_{name}.png"
                figure.savefig(path, dpi=130)
                written.append(path)
            pyplot.close(figure)
    return written


def pareto(axes: Any, rows: list[Row], kind: str, methods: Sequence[str]) -> bool:
    """PSNR over seconds a slice at the middle level; the line joins what nothing beats in both."""
    levels = order_of_levels(r.level for r in rows)
    level = levels[len(levels) // 2]
    points = []
    for method in methods:
        mine = select(rows, kind, level, method)
        value = mean(mine, "psnr").value
        if value is not None and method != "noisy":
            points.append((float(np.median([r.seconds for r in mine])), value, method))
    if not points:
        return False
    middle = float(np.sqrt(min(p[0] for p in points) * max(p[0] for p in points)))
    for seconds, value, method in points:
        left = seconds > middle
        side = {"xytext": (-6 if left else 6, 3), "ha": "right" if left else "left"}
        ours = method.split(",")[0] in (*OURS, "mean_ref")
        axes.plot(seconds, value, "o" if ours else "s", color="C3" if ours else "C0")
        axes.annotate(method, (seconds, value), textcoords="offset points", fontsize=8, **side)
    front = unbeaten([(s, v) for s, v, _ in points])
    axes.plot(*zip(*front, strict=True), "-", color="0.6", lw=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel("seconds a slice (this machine)")
    axes.set_ylabel(f"PSNR at {level}, dB")
    return True


def unbeaten(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points than which no other is both quicker and better, by time."""
    front: list[tuple[float, float]] = []
    for seconds, value in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or value > front[-1][1]:
            front.append((seconds, value))
    return front


def by_level(axes: Any, rows: list[Row], kind: str, methods: Sequence[str]) -> bool:
    """PSNR over dose or noise level, with the interval of `mean`."""
    levels = order_of_levels(r.level for r in rows)
    x = [float(level.rstrip("%")) for level in levels]
    values = {m: [mean(select(rows, kind, level, m), "psnr") for level in levels] for m in methods}
    known = {m: found for m, found in values.items() if all(f.value is not None for f in found)}
    others = 0
    # The legend lists the lines as they end at the right, from top to bottom.
    for method, found in sorted(known.items(), key=lambda item: -(item[1][-1].value or 0.0)):
        if (mode := method.split(",")[0]) in OURS:
            style = {"color": "k" if mode == "mean" else "C3", "ls": "-" if method == mode else ":"}
        else:
            style = {"color": f"C{others % 10}", "ls": ("--", "-.")[others // 10 % 2]}
            others += 1
        ours = method in OURS
        axes.plot(
            x,
            [f.value for f in found],
            marker="o",
            ms=3 if ours else 0,
            lw=2 if ours else 1,
            label=method,
            **style,
        )
        if method == "mean" and all(f.low is not None for f in found):
            axes.fill_between(x, [f.low for f in found], [f.high for f in found], color="k", alpha=0.1)
    axes.set_xscale("log")
    axes.set_xticks(x, levels)
    axes.minorticks_off()
    axes.set_xlabel("dose" if any(f.startswith("bias") for r in rows for f in r.figures) else "noise level")
    axes.set_ylabel("PSNR, dB")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return bool(rows)


def by_told(axes: Any, rows: list[Row], kind: str, methods: Sequence[str]) -> bool:
    """PSNR lost when the noise level told is wrong, and when it is found; against the true level."""
    drawn = False
    for mode in OURS:
        for level in order_of_levels(r.level for r in rows):
            told = {1.0: mode} | {f: wrong(mode, f) for f in FACTORS}
            found = {f: mean(select(rows, kind, level, name), "psnr").value for f, name in told.items()}
            base = found[1.0]
            if base is None or any(v is None for v in found.values()):
                continue
            x = sorted(found)
            losses = [found[f] - base for f in x]  # type: ignore[operator]
            line = axes.plot(x, losses, "-o" if mode == "mean" else "--", ms=3, label=f"{mode}, {level}")
            auto = mean(select(rows, kind, level, f"{mode}, sigma auto"), "psnr").value
            if auto is not None:
                axes.axhline(auto - base, color=line[0].get_color(), lw=0.8, ls=":")
            drawn = True
    axes.set_xscale("log", base=2)
    axes.set_xlabel("noise level told / true (dotted: mean, level found)")
    axes.set_ylabel("PSNR less that of the true level, dB")
    if drawn:
        axes.legend(fontsize=7, ncols=2)
    return drawn
