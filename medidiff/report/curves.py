"""Curves: which plots a series gets, each with its title and a description in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medidiff.report import plots
from medidiff.report.measure import INTERVAL
from medidiff.report.wording import number, sentence

DRAWN_BY_SLICE = 5
"""Fewer slices make no curve."""

Drawn = dict[str, Any]


def plots_of(series: Mapping[str, Any]) -> list[Drawn]:
    """Everything that is drawn for one series: title, drawing, description."""
    from markupsafe import Markup

    found = [*_spectra(series), *_by_slice(series), *_tissue(series), *_reliability(series)]
    return [{**one, "drawing": Markup(one["drawing"])} for one in found]


def role_of(place: int) -> str:
    """The role of an arm by its place: the first one is usually the untreated scan."""
    return plots.ARMS[min(place, len(plots.ARMS) - 1)]


def _by_slice(series: Mapping[str, Any]) -> list[Drawn]:
    """One plot for each family of measures that has values slice by slice."""
    families: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for k, arm in enumerate(series["arms"]):
        for m in arm["measures"]:
            if sum(v is not None for v in m["per_slice"]) >= DRAWN_BY_SLICE:
                title = m["title"] if len(series["arms"]) == 1 else arm["title"]
                families.setdefault(m["family"] or m["title"], []).append((title, m["role"] or role_of(k), m))
    return [_family(name, members, series) for name, members in families.items()]


def _family(
    name: str, members: Sequence[tuple[str, str, Mapping[str, Any]]], series: Mapping[str, Any]
) -> Drawn:
    flagged = sorted({f["slice"] for f in series.get("flags") or () if f["slice"]})
    first = members[0][2]
    unit, level = first["unit"], first["level"]
    lines = [
        plots.Curve(
            title,
            role,
            [k for k, v in enumerate(m["per_slice"], start=1) if v is not None],
            [v for v in m["per_slice"] if v is not None],
        )
        for title, role, m in members
    ]
    drawing = plots.curves(
        lines,
        "Slice",
        f"{name}, {unit}" if unit else name,
        flagged=flagged,
        level=None if level is None else (level[0], level[1]),
        from_zero=unit not in ("dB", "SD"),
    )
    words = [f"{title}: {_range(m)}" if len(members) > 1 else _range(m) for title, _, m in members]
    if level is not None:
        words.append(f"{level[1]} {number(level[0], first['spec'])}")
    return {"title": f"{name} by slice", "drawing": drawing, "description": sentence("; ".join(words))}


def _range(m: Mapping[str, Any]) -> str:
    """The least and the most of the slices."""
    known = [v for v in m["per_slice"] if v is not None]
    unit = f" {m['unit']}" if m["unit"] else ""
    return f"{number(min(known), m['spec'])} to {number(max(known), m['spec'])}{unit}"


def _spectra(series: Mapping[str, Any]) -> list[Drawn]:
    """Noise power spectra."""
    nps = series.get("nps")
    if not nps:
        return []
    lines = [plots.Curve(c["title"], c["role"], c["f"], c["power"]) for c in nps["curves"]]
    # The part that `NPS shift` is of; reports of before it was stored have that of the whole spectrum.
    above = nps.get("noise_above_lp_cm")
    key = "mean_frequency" if above is None else "noise_frequency"
    means = {c["title"].lower(): c[key] for c in nps["curves"] if c[key] is not None}
    words = "; ".join(f"{title} {number(mean, '.2f')}" for title, mean in means.items())
    which = f", {nps['f_unit']}" if above is None else f" above {above:g} {nps['f_unit']}"
    unit = nps["unit"].replace("^2", "\N{SUPERSCRIPT TWO}")
    drawing = plots.curves(lines, f"Frequency, {nps['f_unit']}", f"NPS, {unit}", log=True)
    return [
        {
            "title": "Noise power spectrum",
            "drawing": drawing,
            "description": f"Mean frequency{which}: {words}. {sentence(nps['protocol'])}",
        }
    ]


def _tissue(series: Mapping[str, Any]) -> list[Drawn]:
    """Drift or bias by tissue, all arms."""
    arms = [(k, arm) for k, arm in enumerate(series["arms"]) if arm.get("tissue")]
    if not arms:
        return []
    first = arms[0][1]["tissue"]
    seen = {b["name"] for _, arm in arms for b in arm["tissue"]["bins"] if b["value"] is not None}
    names = [b["name"] for b in first["bins"] if b["name"] in seen]
    if not names:
        return []
    groups = []
    for k, arm in arms:
        by_name = {b["name"]: b for b in arm["tissue"]["bins"]}
        rows = [_whisker(by_name[n]) for n in names]
        groups.append((arm["title"], role_of(k + (len(arms) == 1)), rows))
    with_error = any(b["error"] is not None for _, arm in arms for b in arm["tissue"]["bins"])
    bars = " Bars: 95 % confidence." if with_error else ""
    return [
        {
            "title": first["title"],
            "drawing": plots.whiskers(names, groups, f"{mean_of(series)}, {first['unit']}"),
            "description": sentence(first["protocol"]) + bars,
        }
    ]


def mean_of(series: Mapping[str, Any]) -> str:
    """What the mean of a tissue is of: the change against the scan, or the error against the reference."""
    return "Mean error" if series.get("reference") else "Mean change"


def _whisker(one: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Value and ends of its interval."""
    if one["value"] is None:
        return None
    room = INTERVAL * (one["error"] or 0.0)
    return one["value"], one["value"] - room, one["value"] + room


def _reliability(series: Mapping[str, Any]) -> list[Drawn]:
    """Coverage that was found against coverage that was stated."""
    arms = [(k, arm) for k, arm in enumerate(series["arms"]) if arm.get("reliability")]
    if not arms:
        return []
    lines = [
        plots.Curve(arm["title"], role_of(k), arm["reliability"]["levels"], arm["reliability"]["observed"])
        for k, arm in arms
    ]
    lines.append(plots.Curve("as stated", "reference", [0, 1], [0, 1]))
    words = "; ".join(
        f"{arm['title']}: the 90 % interval covers {number(arm['reliability']['coverage_90'], '.1%')}"
        for _, arm in arms
    )
    text = sentence(arms[0][1]["reliability"]["text"])
    return [
        {
            "title": "Reliability of the uncertainty",
            "drawing": plots.curves(lines, "Stated coverage", "Share of pixels covered"),
            "description": f"{sentence(words)} {text}",
        }
    ]
