"""Phantom page: detectability, sharpness, noise and HU of a phantom at every dose, all scans side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medidiff.report import plots
from medidiff.report.curves import role_of
from medidiff.report.node import Node, plain
from medidiff.report.render import render
from medidiff.report.table import HU_PROTOCOL
from medidiff.report.wording import count, number

Finding = Mapping[str, Any]


def phantom_page(report: Mapping[str, Any]) -> str:
    """The page.

    Args:
        report: content of report.json of `medidiff phantom measure --report`.
    """
    parts = [p for p in (_detection(report), _sharpness(report), _noise(report), _levels(report)) if p]
    contents = [{"id": p["id"], "title": p["title"]} for p in parts]
    return render(
        "phantom.html",
        Node(report),
        title="medidiff phantom report",
        heading=f"{report['phantom']['background'].capitalize()} phantom",
        verdict=_verdict(report),
        facts=_facts(report),
        parts=parts,
        dose_spec=dose_spec(report),
        contents=[*contents, {"id": "reproduce", "title": "How to reproduce"}],
    )


def dose_spec(report: Mapping[str, Any]) -> str:
    """Whole per cent where all doses are."""
    return ".0%" if all(round(100 * f["dose"], 6) % 1 == 0 for f in report["findings"]) else ".1%"


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    phantom = report["phantom"]
    doses = sorted({f["dose"] for f in report["findings"]}, reverse=True)
    kernel, exposure = phantom["kernel"], phantom.get("exposure")
    scanned = [] if exposure is None else [("Noise at full dose", f"{exposure['sigma']:g} HU in the body")]
    if kernel["f50"] is None:
        shape = f"ramp, boost {kernel['boost']:g} cm\N{SUPERSCRIPT TWO}"
    else:
        shape = f"half response at {kernel['f50']:g} lp/cm"
    return [
        ("Realisations", f"{phantom['realisations']} of {count(phantom['depth'], 'slice')}"),
        ("Doses", ", ".join(number(d, dose_spec(report)) for d in doses)),
        *scanned,
        ("Kernel", shape),
        ("Scans", ", ".join(_tests(report))),
    ]


def _verdict(report: Mapping[str, Any]) -> str:
    """How often the observer did worse, and better, than on the noisy scan."""
    changes = [c["d_prime_change_ci"] for f in report["findings"] for c in f["cho"] if c["d_prime_change_ci"]]
    if not changes:
        return "The noisy scans alone."
    worse, better = sum(high < 0 for _, high in changes), sum(low > 0 for low, _ in changes)
    return (
        f"Detectability against the noisy scan in {count(len(changes), 'case')}: {better} better, "
        f"{worse} worse, {len(changes) - worse - better} the same within the 95 % interval."
    )


def _detection(report: Mapping[str, Any]) -> dict[str, Any]:
    """AUC by insert, dose and scan."""
    inserts = [c["insert"] for c in report["findings"][0]["cho"]]
    rows = [
        {"finding": f, "cells": [_cell(c.auc, c.auc_ci, ".3f", _mark(plain(c))) for c in f.cho]}
        for f in Node(report).findings
    ]
    found = {
        "label": "Detectability",
        "caption": "AUC of the observer with its 95 % interval; better or worse where d' differs from that "
        "of the noisy scan of the same realisations.",
        "heads": inserts,
        "rows": rows,
        "protocol": report["findings"][0]["cho"][0]["protocol"],
    }
    drawn = [_against_dose(report, "cho", k, "auc", "auc_ci", "AUC", name) for k, name in enumerate(inserts)]
    return {
        "id": "detectability",
        "title": "Detectability",
        "tables": [found],
        "plots": [d for d in drawn if d],
    }


def _sharpness(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """TTF50 by contrast, dose and scan, and the curves at the lowest dose."""
    first = report["findings"][0]["ttf"]
    if not first:
        return None
    rows = [
        {"finding": f, "cells": [_cell(e.ttf50_lp_cm, e.ttf50_ci, ".2f") for e in f.ttf]}
        for f in Node(report).findings
    ]
    found = {
        "label": "Sharpness",
        "caption": "TTF50 in lp/cm: the frequency at which half of the contrast is left.",
        "heads": [e["insert"] for e in first],
        "rows": rows,
        "protocol": first[0]["protocol"],
    }
    lowest = min(f["dose"] for f in report["findings"])
    drawn = []
    for k, edge in enumerate(first):
        lines = [
            plots.Curve(f["test"], _role(report, f), f["ttf"][k]["f_lp_cm"], f["ttf"][k]["ttf"])
            for f in report["findings"]
            if f["dose"] == lowest
        ]
        title = f"TTF, {edge['insert']}, {number(lowest, dose_spec(report))} dose"
        words = f"{edge['insert']} at the lowest dose: share of the contrast that is left."
        drawn.append(_drawn(title, plots.curves(lines, "Frequency, lp/cm", "TTF"), words))
    return {"id": "sharpness", "title": "Sharpness", "tables": [found], "plots": drawn}


def _noise(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """NPS by dose, and how its shape changed."""
    first = report["findings"][0]["nps"]
    if first is None:
        return None
    rows = []
    for f in Node(report).findings:
        n = f.nps
        rows.append(
            {
                "finding": f,
                "cells": [
                    _cell(n.sd, None, ".2f"),
                    _cell(n.mean_frequency_lp_cm, None, ".2f"),
                    _cell(f.mean_frequency_shift, None, "+.0%"),
                    _cell(f.nps_log_l1, None, ".3f"),
                ],
            }
        )
    found = {
        "label": "Noise",
        "caption": "Noise over realisations, in patches that lie nearer the middle, where it is stronger; "
        "shift and distance of the spectrum are against the noisy scan.",
        "heads": ["SD, HU", "Mean frequency, lp/cm", "Shift", "log-L1 distance"],
        "rows": rows,
        "protocol": first["protocol"],
    }
    drawn = []
    for dose in sorted({f["dose"] for f in report["findings"]}, reverse=True):
        mine = [f for f in report["findings"] if f["dose"] == dose]
        lines = [
            plots.Curve(f["test"], _role(report, f), f["nps"]["f_lp_cm"], f["nps"]["power"]) for f in mine
        ]
        unit = first["unit"].replace("^2", "\N{SUPERSCRIPT TWO}")
        words = "; ".join(f"{f['test']} {number(f['nps']['sd'], '.2f')} HU" for f in mine)
        drawing = plots.curves(lines, "Frequency, lp/cm", f"NPS, {unit}", log=True)
        drawn.append(_drawn(f"NPS at {number(dose, dose_spec(report))} dose", drawing, f"Noise SD: {words}."))
    return {"id": "noise", "title": "Noise", "tables": [found], "plots": drawn}


def _levels(report: Mapping[str, Any]) -> dict[str, Any]:
    """HU bias of the inserts."""
    rows = [
        {"finding": f, "cells": [_cell(v.bias, v.bias_ci, "+.2f") for v in f.hu]}
        for f in Node(report).findings
    ]
    found = {
        "label": "HU bias",
        "caption": "Bias of the inserts in HU, with its 95 % interval.",
        "heads": [v["insert"] for v in report["findings"][0]["hu"]],
        "rows": rows,
        "protocol": HU_PROTOCOL,
    }
    return {"id": "hu", "title": "HU bias", "tables": [found], "plots": []}


def _cell(value: Node, interval: Node | None, spec: str, mark: str = "") -> dict[str, Any]:
    known = None if interval is None or plain(interval) is None else interval
    return {"value": value, "ends": known, "spec": spec, "mark": mark}


def _mark(detection: Finding) -> str:
    """Whether d' changed beyond its interval."""
    ends = detection["d_prime_change_ci"]
    if ends is None or ends[0] <= 0 <= ends[1]:
        return ""
    return "better" if ends[0] > 0 else "worse"


def _against_dose(
    report: Mapping[str, Any], family: str, k: int, value: str, interval: str, title: str, insert: str
) -> dict[str, Any] | None:
    """A figure of one insert against dose, one curve a scan; None with a single dose."""
    if len({f["dose"] for f in report["findings"]}) < 2:
        return None
    lines = []
    for test in _tests(report):
        mine = sorted((f for f in report["findings"] if f["test"] == test), key=lambda f: float(f["dose"]))
        found = [f[family][k] for f in mine]
        ends = [one[interval] for one in found]
        doses = [100 * f["dose"] for f in mine]
        lines.append(
            plots.Curve(
                test,
                role_of(_tests(report).index(test)),
                doses,
                [one[value] for one in found],
                [low for low, _ in ends],
                [high for _, high in ends],
            )
        )
    drawing = plots.curves(lines, "Dose, %", title, from_zero=False)
    return _drawn(f"{title}, {insert}", drawing, f"{title} of {insert} against dose; bands: 95 % intervals.")


def _drawn(title: str, drawing: str, description: str) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": title, "drawing": Markup(drawing), "description": description}


def _tests(report: Mapping[str, Any]) -> Sequence[str]:
    """The scans, the noisy one first."""
    return list(dict.fromkeys(f["test"] for f in report["findings"]))


def _role(report: Mapping[str, Any], finding: Finding) -> str:
    return role_of(_tests(report).index(finding["test"]))
