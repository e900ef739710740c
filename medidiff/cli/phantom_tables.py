"""The tables of ``medidiff phantom measure``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.columns import print_words

if TYPE_CHECKING:
    from medidiff.evaluation.ttf import Ttf
    from medidiff.phantom import Findings, Study


def print_tables(study: Study, rows: list[tuple[float, str, Findings]]) -> None:
    """The tables, on stdout."""
    from medidiff.report.wording import count

    def table(title: str, heads: list[str], lines: list[list[str]]) -> None:
        print_words(("dose", "test", *heads), lines, title=title, right=True)

    start = [[f"{100 * dose:.4g}%", name] for dose, name, _ in rows]
    found = [f for *_, f in rows]
    inserts = [d.insert.label for d in found[0].detections]
    auc = [[_auc(d) for d in f.detections] for f in found]
    table(
        "Detectability: AUC of the observer, 95 % interval; + or - where d' differs from the noisy scan's",
        inserts, [s + c for s, c in zip(start, auc, strict=True)],
    )  # fmt: skip
    if found[0].edges:
        edges = [f"TTF50 {e.insert.contrast:g} HU" for e in found[0].edges]
        cells = [[_sharpness(e.ttf) for e in f.edges] for f in found]
        table("Sharpness, lp/cm, 95 % interval", edges, [s + c for s, c in zip(start, cells, strict=True)])
    if found[0].noise is not None:
        heads = ["noise SD HU", "mean frequency lp/cm", "shift %", "NPS log-L1"]
        lines = []
        for s, f in zip(start, found, strict=True):
            shift, distance = f.texture if f.texture is not None else (None, None)
            sd, mean = (None, None) if f.noise is None else (f.noise.sd, f.noise.mean_frequency)
            percent = None if shift is None else 100 * shift
            cells_ = _or_dash(sd, ".2f"), _or_dash(mean, ".2f"), _or_dash(percent, "+.1f")
            lines.append([*s, *cells_, _or_dash(distance, ".3f")])
        table("Noise in patches that lie nearer the middle, where it is stronger", heads, lines)
    levels = [v.insert.label for v in found[0].levels]
    cells = [[f"{v.bias:+.2f}" for v in f.levels] for f in found]
    table("HU bias of the inserts", levels, [s + c for s, c in zip(start, cells, strict=True)])
    d = study.design
    click.echo(
        f"Phantom: {d.background} background, {d.realisations} realisations, {count(d.depth, 'slice')} each, "
        f"{study.exposure.sigma:g} HU in the body at full dose."
    )


def _auc(detection: Any) -> str:
    """``0.83 (0.78-0.87) -``: the mark says that d' changed beyond its interval."""
    low, high = detection.found.auc_ci
    mark = ""
    if detection.change is not None:
        below, above = detection.change[1]
        mark = " +" if below > 0 else " -" if above < 0 else ""
    return f"{detection.found.auc:.3f} ({low:.3f}-{high:.3f}){mark}"


def _sharpness(found: Ttf) -> str:
    """``4.05 (3.95-4.15)``."""
    middle = _or_dash(found.f50, ".2f")
    return middle if found.f50_ci is None else "{} ({:.2f}-{:.2f})".format(middle, *found.f50_ci)


def _or_dash(value: float | None, shape: str) -> str:
    return "-" if value is None or value != value else format(value, shape)
