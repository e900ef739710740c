"""Cohort page: distributions and outliers of many series, from cohort.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medidiff.report.cohort import FENCE, FEWEST
from medidiff.report.node import Node, plain
from medidiff.report.plots import strip
from medidiff.report.render import render
from medidiff.report.wording import count, number, sentence


def cohort_page(report: Mapping[str, Any]) -> str:
    """The page.

    Args:
        report: content of cohort.json.
    """
    root = Node(report)
    parts = _parts(root)
    heading = count(len(report["series"]), "series", "series")
    contents = [{"id": "figures", "title": "Figures"}, *({"id": p["id"], "title": p["title"]} for p in parts)]
    contents += [{"id": "differences", "title": "Differences between arms"}] if report["differences"] else []
    contents += [{"id": name, "title": name.capitalize()} for name in ("outliers", "series")]
    contents.append({"id": "reproduce", "title": "How to reproduce"})
    outliers = _outliers(root)
    return render(
        "cohort.html",
        root,
        title=f"medidiff cohort: {heading}",
        heading=heading,
        verdict=_verdict(report, outliers),
        contents=contents,
        patients=len({row["patient"] for row in report["series"]}),
        parts=parts,
        outliers=outliers,
        outlier_rule=f"More than {FENCE:g} interquartile ranges beyond the quartiles (Tukey), where there "
        f"are at least {FEWEST} series.",
    )


def _parts(root: Node) -> list[dict[str, Any]]:
    """The groups by arm and modality."""
    arms: dict[tuple[str, str], list[Node]] = {}
    for group in root.groups:
        arms.setdefault((str(group.modality), str(group.arm)), []).append(group)
    return [
        {
            "id": f"arm-{k}",
            "title": f"{modality}, {arm}",
            "groups": groups,
            "plots": [_plot(plain(root), plain(g)) for g in groups if len(plain(g)["values"]) > 1],
            "intervals": _intervals(plain(groups[0])["mean"]),
        }
        for k, ((modality, arm), groups) in enumerate(arms.items(), start=1)
    ]


def _intervals(mean: Mapping[str, Any]) -> str:
    """How the means are taken, and what stands in brackets behind them."""
    text = sentence(mean["text"] if mean["low"] is None else f"in brackets: {mean['text']}")
    return (
        "Mean of patients: first over all slices of a patient, or over the series where a figure is no mean "
        f"over slices. {text}"
    )


def _plot(report: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """All values of a figure on one line."""
    from markupsafe import Markup

    unit = f", {group['unit']}" if group["unit"] else ""
    names = [str(row + 1) for row in group["rows"]]
    out = [group["rows"].index(row) for row in group["outliers"]]
    drawing = strip(group["values"], names, out, f"{group['title']}{unit}", group["fences"])
    middle = number(group["median"], group["spec"])
    words = f"{count(len(names), 'series', 'series')}; band: quartiles, line: median {middle}"
    if out:
        words += f"; outliers, by number: {', '.join(names[k] for k in out)}"
    return {"title": str(group["title"]), "drawing": Markup(drawing), "description": sentence(words)}


def _outliers(root: Node) -> list[dict[str, Any]]:
    """Every outlier of every figure."""
    found = []
    for group in root.groups:
        for row in plain(group)["outliers"]:
            series = root.series[row]
            value = group["values"][plain(group)["rows"].index(row)]
            found.append({"label": series.label, "report": series.report, "group": group, "value": value})
    return found


def _verdict(report: Mapping[str, Any], outliers: Sequence[Mapping[str, Any]]) -> str:
    flagged = sum(bool(row["flagged"]) for row in report["series"])
    series, reports = (
        count(len(report["series"]), "series", "series"),
        count(len(report["reports"]), "report"),
    )
    text = f"{series} with figures from {reports}"
    if report["left_out"]:
        text += f", {len(report['left_out'])} without"
    named = len({str(o["label"]) + str(o["report"]) for o in outliers})
    return (
        f"{text}. {count(named, 'series', 'series')} with an outlying figure, {flagged} with flagged slices."
    )
