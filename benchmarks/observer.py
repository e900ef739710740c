"""Detectability, sharpness and noise texture on phantoms of known truth: a model observer instead of PSNR.

    python benchmarks/observer.py [--bundle ct] [--realisations 200] [--json FILE]

Two phantoms (`medidiff phantom`), uniform and anatomical, are scanned many times at three doses. Each scan is
denoised with the noise level estimated, as a user would, and measured beside the noisy scan of the same
realisations and beside a control: the noisy scan through the Gaussian that leaves as much noise as `mean`
does in the uniform phantom. A filter that an observer can undo changes little for it, so that the control is
the least to be expected; it cannot tell an edge from noise, which shows in TTF50.

AUC is that of a channelized Hotelling observer that knows shape and place of the insert; a human reader does
worse on noise of unusual texture, so that these figures are about information, not about comfort. In brackets
its 95 % interval; + and - mark a d' that differs from that of the noisy scan (95 % interval of the paired
difference; with 24 comparisons a method and phantom pair, one false mark is to be expected).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality.table import markdown
from scipy import ndimage, optimize

from medidiff.denoise import Denoiser, Settings
from medidiff.engines import EngineSettings, create
from medidiff.evaluation.nps import ensemble_noise
from medidiff.models import load
from medidiff.phantom import Design, Exposure, Findings, as_volume, measure, scan

NOISY, CONTROL, MODES = "noisy", "Gaussian control", ("mean", "natural")
Rows = list[tuple[float, str, Findings]]


def control_width(design: Design, noisy: NDArray[Any], denoised: NDArray[Any]) -> float:
    """SD in pixels of the Gaussian that leaves as much noise in the body as the denoiser did."""
    middle = slice(design.depth // 2, None, design.depth)
    inside = design.body
    noise = ensemble_noise(noisy[middle].astype(np.float32))
    goal = float(ensemble_noise(denoised[middle])[:, inside].std())
    few = noise[:: max(1, len(noise) // 20)]

    def excess(width: float) -> float:
        return float(ndimage.gaussian_filter(few, (0, width, width))[:, inside].std()) - goal

    return float(optimize.brentq(excess, 0.05, 12.0, xtol=0.01))


def run(design: Design, exposure: Exposure, denoiser: Denoiser, widths: dict[float, float]) -> Rows:
    """Findings of every arm at every dose; the uniform phantom fills `widths`, the other one uses them."""
    start = time.monotonic()
    scans = scan(design, exposure)
    rows: Rows = []
    for dose, noisy in zip(exposure.doses, scans.noisy, strict=True):
        before = measure(design, scans.truth, noisy)
        rows.append((dose, NOISY, before))
        for mode in MODES:
            result = denoiser.run(as_volume(noisy, design), Settings(mode=mode)).volume.array
            if mode == "mean" and design.background == "uniform":
                widths[dose] = control_width(design, noisy, result)
            rows.append((dose, mode, measure(design, scans.truth, result, before)))
        soft = ndimage.gaussian_filter(noisy.astype(np.float32), (0, widths[dose], widths[dose]))
        rows.append((dose, CONTROL, measure(design, scans.truth, soft, before)))
        elapsed = time.monotonic() - start
        print(f"{elapsed:6.0f} s  {design.background} {dose:.0%}", file=sys.stderr, flush=True)
    return rows


def mark(change: tuple[float, tuple[float, float]] | None) -> str:
    """+ or - where the paired interval leaves 0 out."""
    if change is None:
        return ""
    low, high = change[1]
    return " +" if low > 0 else " -" if high < 0 else ""


def detection_table(rows: Rows) -> str:
    """AUC with its interval, per insert."""
    heads = ["dose", "method", *(d.insert.label for d in rows[0][2].detections)]
    cells = []
    for dose, name, found in rows:
        line = [f"{dose:.0%}", name]
        for d in found.detections:
            low, high = d.found.auc_ci
            line.append(f"{d.found.auc:.3f} ({low:.3f}-{high:.3f}){mark(d.change)}")
        cells.append(line)
    return markdown(heads, cells)


def physics_table(rows: Rows) -> str:
    """TTF50 in lp/cm with its interval, and the noise."""
    heads = ["dose", "method", *(f"TTF50 {e.insert.contrast:g} HU" for e in rows[0][2].edges)]
    heads += ["noise SD HU", "NPS mean lp/cm", "shift %", "log-L1"]
    cells = []
    for dose, name, found in rows:
        line = [f"{dose:.0%}", name]
        for e in found.edges:
            ci = e.ttf.f50_ci
            line.append("-" if e.ttf.f50 is None else f"{e.ttf.f50:.2f}")
            line[-1] += "" if ci is None else f" ({ci[0]:.2f}-{ci[1]:.2f})"
        if found.noise is None:
            raise TypeError("the table is of the uniform phantom")
        line += [f"{found.noise.sd:.2f}", f"{found.noise.mean_frequency:.2f}"]
        shift, distance = found.texture if found.texture is not None else (None, None)
        line += [
            "-" if shift is None else f"{100 * shift:+.1f}",
            "-" if distance is None else f"{distance:.3f}",
        ]
        cells.append(line)
    return markdown(heads, cells)


def bias_table(rows: Rows) -> str:
    """Mean of result - truth in each insert, HU, with half its 95 % interval."""
    cells = [
        [f"{dose:.0%}", name, *(f"{v.bias:+.2f} ± {v.ci[1] - v.bias:.2f}" for v in found.levels)]
        for dose, name, found in rows
    ]
    return markdown(["dose", "method", *(v.insert.label for v in rows[0][2].levels)], cells)


def verdict(background: str, rows: Rows) -> str:
    """Where detection was lost or won against the noisy scan, method by method."""
    lines = []
    for method in (*MODES, CONTROL):
        told = []
        for word, sign in (("below", " -"), ("above", " +")):
            where = [
                f"{d.insert.label} at {dose:.0%} (d' {d.change[0]:+.2f})"
                for dose, name, found in rows
                for d in found.detections
                if name == method and d.change is not None and mark(d.change) == sign
            ]
            told.append(f"{word} the noisy scan: {', '.join(where) or 'nowhere'}")
        lines.append(f"* {background}, {method}: {'; '.join(told)}.")
    return "\n".join(lines)


def main() -> None:
    """Runs both phantoms and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="ct", help="model name or folder")
    parser.add_argument("--realisations", type=int, default=200)
    parser.add_argument("--depth", type=int, default=3, help="slices a realisation; 1: no neighbours")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bundle = load(options.bundle)
    denoiser = Denoiser(bundle, create("auto", bundle, EngineSettings(precision=options.precision)))
    exposure, widths = Exposure(), dict[float, float]()
    told: dict[str, list[dict[str, Any]]] = {}
    tables = []
    for background in ("uniform", "anatomical"):
        design = Design(background, options.realisations, options.depth)
        rows = run(design, exposure, denoiser, widths)
        told[background] = [{"dose": d, "method": name, **f.as_dict()} for d, name, f in rows]
        tables += [f"### Detectability, {background} background", detection_table(rows)]
        tables += [verdict(background, rows)]
        if background == "uniform":
            tables += ["### Sharpness and noise, uniform background", physics_table(rows)]
        tables += [f"### HU bias, {background} background", bias_table(rows)]
    gauss = ", ".join(f"{w:.2f} px at {d:.0%}" for d, w in widths.items())
    print(
        f"Model {bundle.name} {bundle.version} ({bundle.sha256[:12]}), {options.realisations} realisations "
        f"of {options.depth} slices, {exposure.sigma:g} HU at full dose, soft kernel. SD of the Gaussian: "
        f"{gauss}.\n"
    )
    print("\n\n".join(tables))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
