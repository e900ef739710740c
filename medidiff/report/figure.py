"""Figure: matplotlib as inline SVG whose colours are those of the page, light or dark.

A figure is drawn in stand-in colours, each of which is then replaced by a CSS variable, and its text stays
text, so that it takes the page's font, can be searched and prints sharp.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

ROLES = {
    "ink": "#010101", "muted": "#020202", "rule": "#030303", "paper": "#040404", "before": "#050505",
    "after": "#060606", "removed": "#070707", "reference": "#080808", "flag": "#090909", "third": "#0a0a0a",
    "fourth": "#0b0b0b",
}  # fmt: skip
"""Role to stand-in colour; the page has a variable ``--plot-ROLE`` for each."""

SIZE = (4.4, 2.9)


@contextmanager
def new_figure(height: float = SIZE[1]) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, drawn without a display and without touching anybody's settings."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "medidiff", "font.size": 9.5, "axes.linewidth": 0.8,
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "axes.unicode_minus": True,
        "axes.edgecolor": ROLES["muted"], "axes.labelcolor": ROLES["ink"], "text.color": ROLES["ink"],
        "xtick.color": ROLES["muted"], "ytick.color": ROLES["muted"], "xtick.labelcolor": ROLES["ink"],
        "ytick.labelcolor": ROLES["ink"], "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": ROLES["rule"], "grid.linewidth": 0.7, "axes.axisbelow": True,
        "lines.linewidth": 1.6, "lines.markersize": 4, "legend.frameon": False, "legend.fontsize": 9,
        "axes.labelsize": 9.5, "axes.facecolor": "none", "figure.facecolor": "none",
        "savefig.facecolor": "none",
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(SIZE[0], height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def legend(axes: Any) -> None:
    """The legend above the axes, where it hides nothing."""
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) < 2:  # the title says it
        return
    columns = 2 if len(handles) > 3 else len(handles)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.8,
        columnspacing=1.2, labelspacing=0.3, borderpad=0.1,
    )  # fmt: skip


def svg(figure: Any) -> str:
    """The figure as an ``<svg>`` element, decorative for readers: the page describes it in words."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL
    )  # it would style the whole page
    text = re.sub(r"font-family: [^;\"]*;\s*", "", text)
    for role, colour in ROLES.items():
        text = text.replace(colour, f"var(--plot-{role})")
    mark = sha256(text.encode()).hexdigest()[:8]  # ids of two figures on a page must differ
    text = re.sub(r'\bid="', f'id="{mark}-', text)
    text = re.sub(r'(xlink:href|href)="#', rf'\1="#{mark}-', text)
    text = text.replace("url(#", f"url(#{mark}-")
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    text = text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    return re.sub(r">\s+<", "><", text).strip()
