"""Plots: curves, values with intervals, and a cohort on a line, each as one figure of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medidiff.report.figure import ROLES, legend, new_figure, svg

LINES = {
    "before": "-",
    "after": "-",
    "removed": (0, (4, 1.5)),
    "reference": (0, (1, 1.2)),
    "third": "-.",
    "fourth": ":",
}
"""Curves differ in their dashes too, for readers and printers without colour."""
DECADES = 1e4
"""A logarithmic axis goes down to the largest value over this."""

HEADROOM = 0.06
"""Share of a linear axis that stays free above its highest value."""

ARMS = ("before", "after", "third", "fourth", "removed")


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        label: in the legend.
        role: see `medidiff.report.figure.ROLES`.
        x: abscissae.
        y: ordinates; None leaves a gap.
        low: lower end of an interval around y.
        high: its upper end.
    """

    label: str
    role: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def curves(
    lines: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    flagged: Sequence[float] = (),
    level: tuple[float, str] | None = None,
    log: bool = False,
    from_zero: bool = True,
) -> str:
    """Curves over one axis.

    Args:
        lines: what is drawn.
        x_label: with its unit.
        y_label: with its unit.
        flagged: abscissae that are marked as flagged.
        level: a level line: value and legend.
        log: logarithmic ordinate.
        from_zero: the ordinate starts at 0.
    """
    with new_figure() as (figure, axes):
        for one in lines:
            y = np.array([np.nan if v is None else v for v in one.y], float)
            marker = "o" if len(y) < 30 and not log else None
            axes.plot(
                one.x, y, color=ROLES[one.role], linestyle=LINES[one.role], label=one.label, marker=marker
            )
            if one.low is not None and one.high is not None:
                axes.fill_between(one.x, one.low, one.high, color=ROLES[one.role], alpha=0.18, linewidth=0)
        if level is not None:
            axes.axhline(level[0], color=ROLES["muted"], linewidth=0.9, linestyle=(0, (5, 3)), label=level[1])
        if log:
            axes.set_yscale("log")
            top = max(v for one in lines for v in one.y if v is not None)
            axes.set_ylim(bottom=max(axes.get_ylim()[0], top / DECADES))
        elif from_zero:
            bottom, top = min(0.0, axes.get_ylim()[0]), axes.dataLim.y1
            if top > bottom:  # room for the highest marker: that of matplotlib is a share of the data alone
                axes.set_ylim(bottom, top + HEADROOM * (top - bottom))
        for k, place in enumerate(flagged):
            axes.plot(
                [place], [0.02], marker="^", color=ROLES["flag"], linestyle="none", clip_on=False, zorder=5,
                transform=axes.get_xaxis_transform(), label="flagged" if k == 0 else None, markersize=6,
            )  # fmt: skip
        if all(isinstance(x, int) for one in lines for x in one.x):
            axes.xaxis.get_major_locator().set_params(integer=True)  # there is no slice 1.5
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend(axes)
        return svg(figure)


def whiskers(
    rows: Sequence[str],
    groups: Sequence[tuple[str, str, Sequence[tuple[float, float, float] | None]]],
    x_label: str,
) -> str:
    """Values with intervals, one row a name, and a line at 0.

    Args:
        rows: names, from the top.
        groups: label, role, and (value, low, high) for each row or None.
        x_label: with its unit.
    """
    with new_figure(height=0.75 + 0.36 * len(rows) + 0.3 * (len(groups) > 1)) as (figure, axes):
        axes.axvline(0, color=ROLES["muted"], linewidth=0.9)
        for g, (label, role, values) in enumerate(groups):
            shift = 0.22 * (g - (len(groups) - 1) / 2)
            at = [k + shift for k, v in enumerate(values) if v is not None]
            known = [v for v in values if v is not None]
            axes.errorbar(
                [v[0] for v in known], at, fmt="o" if g == 0 else "s", color=ROLES[role], label=label,
                xerr=[[max(v[0] - v[1], 0.0) for v in known], [max(v[2] - v[0], 0.0) for v in known]],
                markersize=5, elinewidth=1.4, capsize=0,
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(x_label)
        if len(groups) > 1:
            legend(axes)
        return svg(figure)


def strip(
    values: Sequence[float],
    names: Sequence[str],
    outlying: Sequence[int],
    x_label: str,
    fences: tuple[float, float] | None,
) -> str:
    """All values of a cohort on a line, with quartiles, and outliers by name.

    Args:
        values: one for each series.
        names: short names of the series.
        outlying: indices of outliers.
        x_label: with its unit.
        fences: beyond these a value is an outlier.
    """
    with new_figure(height=1.35) as (figure, axes):
        quartiles = np.percentile(values, [25, 50, 75])
        axes.plot(
            quartiles[[0, 2]], [0, 0], color=ROLES["rule"], linewidth=14, solid_capstyle="butt", zorder=1
        )
        axes.plot([quartiles[1]] * 2, [-0.28, 0.28], color=ROLES["ink"], linewidth=1.6, zorder=3)
        if fences is not None:
            for place in fences:
                axes.axvline(place, color=ROLES["muted"], linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        jitter = 0.18 * np.sin(2.4 * np.arange(len(values)))
        out = np.zeros(len(values), bool)
        out[list(outlying)] = True
        data = np.asarray(values, float)
        axes.plot(data[~out], jitter[~out], "o", color=ROLES["after"], alpha=0.75, markersize=4.5, zorder=2)
        axes.plot(data[out], jitter[out], "D", color=ROLES["flag"], markersize=5, zorder=4)
        for k in np.flatnonzero(out):
            axes.annotate(
                names[int(k)], (data[k], jitter[k]), xytext=(0, 9), textcoords="offset points", ha="center",
                fontsize=8, color=ROLES["ink"],
            )  # fmt: skip
        axes.set_ylim(-0.7, 0.9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)
        low, high = data.min(), data.max()
        room = 0.06 * (high - low or abs(high) or 1.0)
        axes.set_xlim(low - room, high + room)
        return svg(figure)
