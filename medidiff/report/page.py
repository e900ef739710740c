"""Page: report.html from report.json and the stored pictures, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medidiff.report.curves import mean_of, plots_of
from medidiff.report.gallery import gallery
from medidiff.report.means import means
from medidiff.report.node import Node, plain
from medidiff.report.panels import PAGE_BYTES, show
from medidiff.report.pictures import Images
from medidiff.report.render import render
from medidiff.report.wording import count, figure, number, sentence

HEADLINES = 8
"""Columns of the summary table, at most."""


def run_page(report: Mapping[str, Any], images: Images, only: int | None = None) -> str:
    """The page of a run or an evaluation.

    Args:
        report: content of report.json.
        images: what lies beside it; empty where it was lost.
        only: a page of this series alone, counted from 1, in full detail.
    """
    measured = [k for k, s in enumerate(report["series"], start=1) if s.get("arms") and only in (None, k)]
    room = PAGE_BYTES // max(len(measured), 1)
    sections = [
        _section(k, Node(report)["series"][k - 1], images, room, alone=len(measured) == 1) for k in measured
    ]
    summary = _summary(Node(report), measured)
    wrong = gallery(report, images, only)
    contents = [{"id": "summary", "title": "Summary"}]
    contents += [{"id": f"series-{s['number']}", "title": s["title"]} for s in sections]
    contents += (
        [{"id": "wrong", "title": "What went wrong"}] if wrong["troubles"] or wrong["pictures"] else []
    )
    contents += [{"id": "account", "title": "Account"}, {"id": "reproduce", "title": "How to reproduce"}]
    heading = _heading(report, only)
    return render(
        "run.html", Node(report), heading=heading, title=f"medidiff report: {heading}",
        verdict=_verdict(report), settings=_settings(report), contents=contents, summary=summary,
        sections=sections, gallery=wrong, account=_account(report), command=report.get("command") or "",
        paths_note=_paths_note(report), engines=_engines(report),
        means=None if only else means(Node(report)),
    )  # fmt: skip


def _section(number: int, series: Node, images: Images, room: int, *, alone: bool) -> dict[str, Any]:
    """One series as the page shows it; where it is alone, the summary is its table of arms."""
    raw = plain(series)
    arms = list(series.arms)
    single = arms[:1] if len(arms) == 1 and not raw.get("reference") else []
    return {
        "number": number,
        "series": series,
        "title": raw["label"],
        "about": _about(raw),
        "identity": [(k, v) for k, v in (raw.get("identity") or {}).items() if v],
        "single": single,
        "table": None if single or alone else _table(series),
        "pictures": show(number, raw, images, room),
        "plots": plots_of(raw),
        "tables": _tables(arms, mean_of(raw)),
        "flag_caption": raw.get("flag_protocol", ""),
    }


def _about(series: Mapping[str, Any]) -> str:
    """Size, spacing and noise level of a series."""
    z, y, x = series["shape_zyx"]
    parts = [f"{x} \u00d7 {y} pixels, {count(z, 'slice')}"]
    if series.get("spacing_zyx_mm"):
        dz, dy, dx = series["spacing_zyx_mm"]
        parts.append(f"{dx:.3g} \u00d7 {dy:.3g} \u00d7 {dz:.3g} mm")
    if series.get("sigma_text"):
        parts.append(f"noise level used: {series['sigma_text']}")
    if (series.get("planes") or 1) > 1:
        parts.append(f"looked at in {series['planes']} planes")
    if series.get("reference"):
        parts.append("this is the reference")
    return "; ".join(parts) + "."


def _table(series: Node) -> dict[str, Any]:
    """All arms side by side."""
    columns = _columns(m for arm in series.arms for m in arm.measures)
    rows = [{"title": str(arm.title), "cells": _cells(arm.measures, columns)} for arm in series.arms]
    caption = "Means over slices"
    if any(plain(m.low) is not None for m in columns):
        caption += ", with 95 % confidence intervals in brackets"
    return {"columns": columns, "rows": rows, "caption": f"{caption}.", "measures": columns}


def _columns(measures: Any) -> list[Node]:
    """The first measure of each key, in order."""
    found: dict[str, Node] = {}
    for m in measures:
        found.setdefault(str(m.key), m)
    return list(found.values())


def _cells(measures: Node, columns: Sequence[Node]) -> list[Node | None]:
    by_key = {str(m.key): m for m in measures}
    return [by_key.get(str(c.key)) for c in columns]


def _summary(report: Node, measured: Sequence[int]) -> dict[str, Any]:
    """The headline measures, one row a series and arm."""
    arms = [(k, report["series"][k - 1], arm) for k in measured for arm in report["series"][k - 1].arms]
    headlines = [m for _, _, arm in arms for m in arm.measures if m.headline]
    columns = _columns(headlines)[:HEADLINES]
    rows = []
    for k, series, arm in arms:
        flags = plain(series).get("flags")
        title = str(series.label)
        if len(series.arms) > 1 or plain(series).get("reference"):
            title = str(arm.title) if len(measured) == 1 else f"{title}: {arm.title}"
        rows.append(
            {
                "id": f"series-{k}",
                "title": title,
                "cells": _cells(arm.measures, columns),
                "flagged": None if flags is None else flagged_slices(flags),
            }
        )
    units = {str(c.key): {str(m.unit) for m in headlines if str(m.key) == str(c.key)} for c in columns}
    return {
        "columns": columns,
        "mixed": [key for key, found in units.items() if len(found) > 1],
        "rows": rows,
        "measures": headlines,
        "first": "Scan" if len(measured) == 1 else "Series",
        "flagged": any(row["flagged"] is not None for row in rows),
    }


def _tables(arms: Sequence[Node], mean: str) -> list[dict[str, Any]]:
    """Tables beside the measures: drift or bias by tissue, and the uncertainty."""
    found = []
    for arm in arms:
        tissue = plain(arm).get("tissue")
        if not tissue or not tissue["bins"]:
            continue
        unit = tissue["unit"]
        with_error = any(b["error"] is not None for b in tissue["bins"])
        rows = [
            [
                f"{b.name}, {number(plain(b.low), '.4g')} to {number(plain(b.high), '.4g')} {unit}",
                figure(b.value, "+.2f"),
                *([figure(b.error, ".2g")] if with_error else []),
                figure(b.pixels, "d"),
            ]
            for b in arm.tissue.bins
        ]
        found.append(
            {
                "title": tissue["title"] + (f": {arm.title}" if len(arms) > 1 else ""),
                "caption": sentence(tissue["protocol"]),
                "columns": [
                    "Tissue",
                    f"{mean}, {unit}",
                    *([f"Standard error, {unit}"] if with_error else []),
                    "Pixels",
                ],
                "rows": rows,
            }
        )
    return found


def _heading(report: Mapping[str, Any], only: int | None) -> str:
    labels = [s["label"] for s in report["series"]]
    if only is not None:
        return str(labels[only - 1])
    return str(labels[0]) if len(labels) == 1 else count(len(labels), "series", "series")


def flagged_slices(flags: Sequence[Mapping[str, Any]]) -> int:
    """How many slices have a flag."""
    return len({f["slice"] for f in flags if f["slice"] is not None})


def _verdict(report: Mapping[str, Any]) -> str:
    """What became of the series, in a sentence or two."""
    series = report["series"]
    if report["kind"] == "evaluation":
        several = "the reference" if len(series) == 1 else count(len(series), "reference")
        return f"{count(sum(len(s['arms']) for s in series), 'scan')} compared with {several}."
    if not series:
        return "No series was found."
    states = [
        "denoised earlier" if s["status"] == "skipped" and s.get("arms") else s["status"] for s in series
    ]
    order = ("denoised", "denoised earlier", "skipped", "refused", "failed", "cancelled")
    known = [s for s in order if s in states]
    text = f"{', '.join(f'{states.count(s)} {s}' for s in known)}.".capitalize()
    judged = [s["flags"] for s in series if "flags" in s]
    if judged:
        slices = sum(flagged_slices(flags) for flags in judged)
        text += f" {count(slices, 'slice')} flagged for a look." if slices else " No slice was flagged."
    return text


def _settings(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings in words."""
    s = report.get("settings")
    if not s:
        return []
    modes = {"mean": "posterior mean", "natural": "natural texture", "sample": "posterior samples"}
    mode = f"{s['mode']} ({modes[s['mode']]}), {count(s['steps'], 'network evaluation')} a slice"
    if s.get("tier") == "best":
        mode += ", mean of eight views"
    if s["samples"] > 1:
        mode += f", mean of {s['samples']} samples"
    if s.get("guidance"):
        mode += f", data consistency {s['guidance']:g}"
    sigma = "estimated from the scan" if s["sigma"] == "auto" else f"given: {s['sigma']}"
    return [
        ("Mode", mode),
        ("Strength", f"{s['strength']:g}"),
        ("Noise level", sigma),
        ("Seed", str(s["seed"])),
    ]


def _engines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Engine with its precision, and device; each once."""
    found = [(f"{e['name']}, {e['precision']}", str(e["device"])) for e in report["engines"]]
    return list(dict.fromkeys(found))


def _account(report: Mapping[str, Any]) -> str:
    if report["kind"] == "evaluation":
        return "Every scan lies on the grid of the reference, which was checked."
    files = sum(g["files"] for g in report["skipped_files"])
    return f"{count(len(report['series']), 'series', 'series')} found; {count(files, 'file')} not used."


def _paths_note(report: Mapping[str, Any]) -> str:
    if report.get("identified"):
        return "Paths and patient data are shown because the report was made with --identify."
    return (
        "Folder and file names that could hold a patient's name are replaced by a short hash of the path; "
        "with --identify they are shown."
    )
