"""Alone: a denoised series that is judged by nothing but itself, for there is no truth to compare it with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medidiff.denoise import Result
from medidiff.evaluation.before_after import before_after
from medidiff.evaluation.drift import BLOCK_PX
from medidiff.evaluation.noref import Flag, NoReference
from medidiff.evaluation.nps import NoisePower
from medidiff.evaluation.structure import ResidualTest, where
from medidiff.evaluation.texture import noise_frequency
from medidiff.noise.texture import STRUCTURE_LP_CM
from medidiff.report.measure import INTERVAL, Measure, of_slices
from medidiff.report.orientation import Orientation
from medidiff.report.pictures import DIFFERENCE_SDS, choose, not_there, standard_window, take
from medidiff.report.study import Study
from medidiff.volume import Volume

NOT_THE_ERROR = "It is the noise that can still be seen; how far the result may be off, the uncertainty says."


def alone(number: int, scan: Volume, result: Result, wanted: Sequence[int] = ()) -> Study:
    """What the report holds of a denoised series.

    Args:
        number: of the series in the report, counted from 1.
        scan: the scan.
        result: what the denoiser made of it.
        wanted: slices that the user asked for, counted from 1.

    Raises:
        PixelError: there is nothing to measure, such as a body.
    """
    found = before_after(scan, result.volume, result.uncertainty, notes=result.notes)
    flagged = [f.slice for f in sorted(found.flags, key=_weight, reverse=True) if f.slice is not None]
    scores, rank = _scores(found)
    chosen = choose(scores, [n - 1 for n in wanted], list(dict.fromkeys(flagged)))
    volumes = {"noisy": scan.array, "denoised": result.volume.array}
    if result.uncertainty is not None:
        volumes["uncertainty"] = result.uncertainty
    limit = DIFFERENCE_SDS * (found.before.sigma or result.sigma or 1.0)
    picture, images = take(
        number, chosen, volumes, scan, {"difference": ("noisy", "denoised")}, limit,
        window=standard_window(result.volume, [c.index for c in chosen]),
        marks=_marks(found.residual),
    )  # fmt: skip
    picture["rank"] = rank
    content: dict[str, Any] = {
        "arms": [
            {
                "name": "denoised",
                "title": "After",
                "measures": [m.as_dict() for m in _measures(found)],
                "tissue": _tissue(found),
            }
        ],
        "measured_slices": [k + 1 for k in found.measured],
        "region": found.region,
        "nps": _spectra(found),
        "flags": [_flag(f, scan) for f in found.flags],
        "flag_protocol": _flag_protocol(found),
        "pictures": picture,
    }
    return Study(content, images, not_there(wanted, len(scan.array)))


def _measures(found: NoReference) -> list[Measure]:
    """All figures, those of the summary table first."""
    unit, where = found.unit, f"{found.region}."
    count, kept = len(found.slices), len(found.measured)
    noise = f"Noise SD, {found.before.text}; median over slices."
    left = found.noise_left
    measures = [
        Measure(
            "noise_before", "Noise before", found.before.sigma, unit, noise, ".3g", headline=True,
            per_slice=found.before.per_slice, family="Noise SD", role="before",
        ),
        Measure(
            "noise_after", "Noise after", found.after.sigma, unit, f"{noise} {NOT_THE_ERROR}", ".3g",
            headline=True, per_slice=found.after.per_slice, family="Noise SD", role="after",
        ),
        Measure(
            "noise_removed", "Noise removed", None if left is None else 100 * (1 - left), "%",
            "1 - noise after / noise before.", ".0f", headline=True,
        ),
        *_drift(found),
    ]  # fmt: skip
    if found.nps_shift is not None:
        protocol = (
            f"Change of the mean frequency of the NPS above {STRUCTURE_LP_CM:g} lp/cm (below, anatomy "
            f"outweighs the noise), in the flattest patches of {kept} slices."
        )
        measures.append(
            Measure("nps_shift", "NPS shift", 100 * found.nps_shift, "%", protocol, "+.0f", headline=True)
        )
    if found.residual is not None:
        measures += _residual(found.residual, count)
    ratio = tuple(s.removed_ratio for s in found.slices)
    measures.append(
        Measure(
            "removed_ratio", "Removed over noise", of_slices(ratio), "",
            f"SD of scan - result over the noise SD, uniform tissue, mean over slices; {where}", ".2f",
            per_slice=ratio, role="removed",
        )
    )  # fmt: skip
    if found.uncertainty is not None:
        measures.append(
            Measure(
                "uncertainty", "Uncertainty (SD)", found.uncertainty.median, unit,
                f"Stated SD of the result, median of the pixels, then of the slices; {where}", ".3g",
                per_slice=tuple(s.uncertainty for s in found.slices), headline=True, role="third",
            )
        )  # fmt: skip
    return measures


def _drift(found: NoReference) -> list[Measure]:
    """The drift of the tissue that matters: soft tissue for CT, otherwise the brightest kind."""
    kinds = {d.name: d for d in found.drift}
    d = kinds.get("soft") if found.unit == "HU" else kinds.get("bright", kinds.get("all"))
    if d is None or d.mean is None:
        return []
    room = None if d.error is None else INTERVAL * d.error
    text = (
        f"Mean of result - scan, uniform tissue ({d.name}); {found.region}; "
        f"interval from blocks of {BLOCK_PX} x {BLOCK_PX} pixels."
    )
    return [
        Measure(
            "drift", "Drift", d.mean, found.unit, text, "+.2f", headline=True,
            low=None if room is None else d.mean - room, high=None if room is None else d.mean + room,
        )
    ]  # fmt: skip


def _residual(test: ResidualTest, count: int) -> list[Measure]:
    """How much of what was removed holds structure."""
    z: list[float | None] = [None] * count
    for one in test.as_dict()["slices"]:
        z[one["slice"]] = one["max_z"]
    known = [v for v in z if v is not None]
    return [
        Measure(
            "residual_share", "Patches with structure", 100 * test.share, "%",
            f"Residual test: {test.text}.", ".2g", headline=True,
        ),
        Measure(
            "residual_z", "Clearest structure", max(known), "SD", "Largest z of the residual test.", ".1f",
            per_slice=tuple(z), family="Residual test, largest z", role="removed",
            level=(test.threshold, "flagged above"),
        ),
    ]  # fmt: skip


def _tissue(found: NoReference) -> dict[str, Any]:
    """Drift by tissue, as a table and a plot."""
    return {
        "title": "Drift by tissue",
        "unit": found.unit,
        "protocol": f"Mean of result - scan in uniform tissue, by the smoothed scan; {found.region}.",
        "bins": [
            {
                "name": d.name,
                "low": d.low,
                "high": d.high,
                "value": d.mean,
                "error": d.error,
                "pixels": d.pixels,
            }
            for d in found.drift
        ],
    }


def _spectra(found: NoReference) -> dict[str, Any] | None:
    """The noise power spectra as curves."""
    curves = (
        ("Before", "before", found.nps_before),
        ("After", "after", found.nps_after),
        ("Removed", "removed", found.nps_removed),
    )
    known = [(title, role, c) for title, role, c in curves if c is not None]
    if not known:
        return None
    first: NoisePower = known[0][2]
    return {
        "unit": first.unit,
        "f_unit": "lp/cm",
        "noise_above_lp_cm": STRUCTURE_LP_CM,
        "protocol": f"{first.as_dict()['protocol']}; the flattest patches in the body, {first.patches}, "
        f"on {len(found.measured)} slices; structure that they hold adds power at low frequencies.",
        "curves": [
            {
                "title": title,
                "role": role,
                "f": list(c.f),
                "power": list(c.power),
                "mean_frequency": c.mean_frequency or None,
                "noise_frequency": noise_frequency(c),
                "sd": c.sd,
            }
            for title, role, c in known
        ],
    }


def _scores(found: NoReference) -> tuple[list[float | None], str]:
    """What the slices are ranked by, higher is better, and its name."""
    scores: list[float | None] = [None] * len(found.slices)
    if found.residual is not None:
        for one in found.residual.as_dict()["slices"]:
            scores[one["slice"]] = -float(one["max_z"])
        return scores, "structure in what was removed (largest z of the residual test)"
    if found.after.per_slice:
        return [-v for v in found.after.per_slice], "noise left"
    return scores, ""


def _marks(test: ResidualTest | None) -> dict[int, list[tuple[int, int, int]]]:
    """Flagged patches by slice: first row, first column, side."""
    marks: dict[int, list[tuple[int, int, int]]] = {}
    for p in test.flagged if test else ():
        marks.setdefault(p.slice, []).append(p.square)
    return marks


def _flag(flag: Flag, scan: Volume) -> dict[str, Any]:
    """A flag with its slice counted from 1, and its place told on the slice as it is shown."""
    found = flag.as_dict()
    found["slice"] = None if flag.slice is None else flag.slice + 1
    if flag.square is not None:
        shown = Orientation.of(scan.affine).square(*flag.square, *scan.array.shape[1:])
        found["square"] = shown
        found["text"] = flag.text.replace(where(*flag.square), where(*shown))
    return found


def _weight(flag: Flag) -> float:
    """How far beyond its limit a flagged figure is."""
    return abs(flag.value / flag.limit) if flag.limit else float("inf")


def _flag_protocol(found: NoReference) -> str:
    looked = f"Looked at: all {len(found.slices)} slices"
    if len(found.measured) < len(found.slices):
        looked += f", the residual test on {len(found.measured)} of them"
    return f"{looked}."
