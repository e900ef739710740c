"""Against: a series that is judged by a reference, all arms side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medidiff.evaluation import Comparison, RemovedNoise
from medidiff.evaluation.uncertainty import Reliability
from medidiff.report.measure import Measure
from medidiff.report.pictures import choose, not_there, take
from medidiff.report.study import Study
from medidiff.volume import Volume

SPECS = {"PSNR": ".2f", "SSIM": ".4f", "RMSE": ".2f", "VIF": ".3f", "HaarPSI": ".4f"}
DIFFERENCE_RMSES = 4.0
"""Errors are shown from minus to plus so many RMSEs of the worst arm."""
BIAS_PROTOCOL = "Mean of scan - reference, by HU of the reference smoothed by a Gaussian of {:g} px."
MOST_ARMS = 4
"""Arms with pictures: the page shows them all, and more would not fit beside each other."""


@dataclass(frozen=True, eq=False)
class ArmFigures:
    """One scan with its figures.

    Attributes:
        name: what it is called in tables.
        volume: the scan, on the grid of the reference.
        comparison: its figures.
        reliability: how its stated uncertainty compares with its error; None where it states none.
        removed: how much of the noise of the scan it has lost; None where that scan is not known.
    """

    name: str
    volume: Volume
    comparison: Comparison
    reliability: Reliability | None = None
    removed: RemovedNoise | None = None


def against(number: int, reference: Volume, arms: Sequence[ArmFigures], wanted: Sequence[int] = ()) -> Study:
    """What the report holds of one reference and the scans that are compared with it.

    The best, median and worst slices are those of the last arm by PSNR: the last one is what is on trial.

    Args:
        number: of the series in the report, counted from 1.
        reference: the reference.
        arms: the scans, in the order of the tables.
        wanted: slices that the user asked for, counted from 1.
    """
    last = arms[-1]
    chosen = choose(last.comparison.psnr.per_slice, [n - 1 for n in wanted])
    shown = arms[-MOST_ARMS:]
    volumes = {f"arm{k}": a.volume.array for k, a in enumerate(shown, start=1)}
    volumes["reference"] = reference.array
    titles = {f"arm{k}": a.name for k, a in enumerate(shown, start=1)}
    titles |= {f"error{k}": f"{a.name} minus reference" for k, a in enumerate(shown, start=1)}
    differences = {f"error{k}": (f"arm{k}", "reference") for k in range(1, len(shown) + 1)}
    worst = max((a.comparison.rmse.mean for a in shown if np.isfinite(a.comparison.rmse.mean)), default=0.0)
    window = last.comparison.protocol.window
    centre_width = None if window is None or window.name == "none" else (window.centre, window.width)
    picture, images = take(
        number,
        chosen,
        volumes,
        reference,
        differences,
        max(DIFFERENCE_RMSES * worst, 1e-6),
        titles,
        centre_width,
    )
    picture["rank"] = f"PSNR of {last.name}"
    content: dict[str, Any] = {
        "modality": reference.modality,
        "shape_zyx": list(reference.array.shape),
        "spacing_zyx_mm": list(reference.spacing),
        "reference": True,
        "status": "compared",
        "reason": "",
        "notes": list(not_there(wanted, len(reference.array))),
        "arms": [_arm(a) for a in arms],
        "pictures": picture,
    }
    return Study(content, images)


def _arm(arm: ArmFigures) -> dict[str, Any]:
    c = arm.comparison
    measures = []
    for score in c.scores:
        # How many there are is no part of the protocol: that must be the same for all arms of a cohort.
        identical = " Slices identical to the reference are left out." if score.metric == "PSNR" else ""
        measures.append(
            Measure(
                score.metric.lower(), score.metric, score.mean, score.unit,
                f"{score.protocol}.{identical}{f' {score.note}.' if score.note else ''}", SPECS[score.metric],
                per_slice=score.per_slice, headline=True,
            ).as_dict()
        )  # fmt: skip
    measures += [m.as_dict() for m in _more(arm)]
    found: dict[str, Any] = {
        "name": arm.name,
        "title": arm.name,
        "excluded_percent": 100 * c.excluded,
        "measures": measures,
    }
    if c.bias is not None:
        found["tissue"] = {
            "title": "HU bias by tissue",
            "unit": "HU",
            "protocol": BIAS_PROTOCOL.format(c.protocol.bias_smoothing_px),
            "bins": [
                {
                    "name": b.name,
                    "low": b.low,
                    "high": b.high,
                    "value": b.bias,
                    "error": None,
                    "pixels": b.pixels,
                }
                for b in c.bias
            ],
        }
    if arm.reliability is not None:
        found["reliability"] = arm.reliability.as_dict()
    return found


def _more(arm: ArmFigures) -> Iterator[Measure]:
    """What is measured where the noisy scan, or a map of the uncertainty, is known."""
    if arm.removed is not None:
        yield Measure(
            "removed_noise", "Removed noise", arm.removed.ratio, "",
            f"SD(scan - test) / SD(scan - reference), {arm.removed.text}.", ".3f", headline=True,
        )  # fmt: skip
    if arm.reliability is not None:
        shares = (None if v is None else 100 * v for v in arm.reliability.per_slice_90)
        yield Measure(
            "coverage_90", "90 % interval covers", 100 * arm.reliability.coverage_90, "%",
            f"Share of the pixels of all slices: {arm.reliability.text}.", ".1f", per_slice=tuple(shares),
            headline=True,
        )  # fmt: skip
