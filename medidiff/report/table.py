"""Table: report.csv, one row for each series, arm, measure and slice.

Columns: ``series`` (number in the report), ``label``, ``arm`` (which scan: the denoised one, or a name of
`evaluate --test`), ``measure``, ``slice`` (counted from 1; empty for the figure of the whole series),
``value``, ``low`` and ``high`` (95 % confidence interval), ``unit``, ``protocol``. A series without figures
has one row with its status as measure. Means over the patients of an evaluation have no series and the label
``patients``; ``a - b`` as arm is the difference of two. Decimal point, comma between columns, UTF-8, as
RFC 4180.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from medidiff.report.measure import INTERVAL

HU_PROTOCOL = (
    "Mean of scan - truth in the inner part of each insert, interval from the scatter between realisations"
)
COLUMNS = ("series", "label", "arm", "measure", "slice", "value", "low", "high", "unit", "protocol")


def table(report: Mapping[str, Any]) -> str:
    """The text of report.csv."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for number, series in enumerate(report["series"], start=1):
        writer.writerows([number, series["label"], *row] for row in _rows(series))
    writer.writerows(["", "patients", *row] for row in _means(report.get("cohort")))
    return file.getvalue()


def _means(cohort: Mapping[str, Any] | None) -> Iterator[list[Any]]:
    """Means over patients, and differences of arms."""
    if not cohort:
        return
    for found in (*cohort["summaries"], *cohort["differences"]):
        arm = found["arm"] if "arm" in found else f"{found['first']} - {found['second']}"
        mean = found["per_patient"]
        ends = [_cell(mean[key]) for key in ("value", "low", "high")]
        yield [
            arm, found["metric"].lower(), "", *ends, found["unit"], f"{cohort['protocol']}; {mean['text']}",
        ]  # fmt: skip


def _rows(series: Mapping[str, Any]) -> Iterator[list[Any]]:
    if not series.get("arms"):
        yield ["", series["status"], "", "", "", "", "", series["reason"]]
    for arm in series.get("arms", ()):
        for m in arm["measures"]:
            head, tail = [arm["name"], m["key"]], [m["unit"], m["protocol"]]
            yield [*head, "", _cell(m["value"]), _cell(m["low"]), _cell(m["high"]), *tail]
            for k, value in enumerate(m["per_slice"], start=1):
                yield [*head, k, _cell(value), "", "", *tail]
        tissue = arm.get("tissue") or {"bins": ()}
        for b in tissue["bins"]:
            known = b["value"] is not None and b["error"] is not None
            ends = [b["value"] + side * INTERVAL * b["error"] for side in (-1, 1)] if known else (None, None)
            yield [
                arm["name"], f"tissue_{b['name']}", "", *map(_cell, (b["value"], *ends)), tissue["unit"],
                tissue["protocol"],
            ]  # fmt: skip


def phantom_table(report: Mapping[str, Any]) -> str:
    """The text of report.csv of a phantom: the same columns, the dose as label, and no slices."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for f in report["findings"]:
        start = ["", f"dose {f['dose']!r}", f["test"]]
        for c in f["cho"]:
            for key in ("auc", "d_prime", "d_prime_change"):
                if c[key] is not None:
                    cells = [_cell(v) for v in (c[key], *c[f"{key}_ci"])]
                    writer.writerow([*start, f"{key} {c['insert']}", "", *cells, "", c["protocol"]])
        for e in f["ttf"]:
            ends = [_cell(v) for v in e["ttf50_ci"] or (None, None)]
            name = f"ttf50 {e['insert']}"
            writer.writerow([*start, name, "", _cell(e["ttf50_lp_cm"]), *ends, "lp/cm", e["protocol"]])
        for v in f["hu"]:
            ends = [_cell(end) for end in v["bias_ci"]]
            name = f"hu_bias {v['insert']}"
            writer.writerow([*start, name, "", _cell(v["bias"]), *ends, "HU", HU_PROTOCOL])
        if f["nps"] is not None:
            protocol, against = f["nps"]["protocol"], f"{f['nps']['protocol']}; against the noisy scan"
            for key, value, unit, text in (
                ("noise_sd", f["nps"]["sd"], "HU", protocol),
                ("mean_frequency", f["nps"]["mean_frequency_lp_cm"], "lp/cm", protocol),
                ("mean_frequency_shift", f["mean_frequency_shift"], "", against),
                ("nps_log_l1", f["nps_log_l1"], "", against),
            ):
                if value is not None:
                    writer.writerow([*start, key, "", _cell(value), "", "", unit, text])
    return file.getvalue()


def _cell(value: float | None) -> str:
    """A number in full, so that it equals that of report.json."""
    return "" if value is None else repr(value)
