"""Seconds and peak memory of `medidiff denoise` against the number of slices and the matrix size.

    python benchmarks/scale.py [--modes mean natural] [--slices 10 50 256 1000] [--markdown FILE]

Every point is a process of its own (start, read DICOM, denoise, write DICOM) on an analytic phantom with
white noise, its level told; content does not change the time. Checked: time linear in slices and in pixels
(fixed part and slope by least squares, each point within 25 %), peak memory that does not grow with slices
(within 20 %), 512 x 512 x 256 in `mean` under two minutes and in `natural` under eight.
BM3D's time for one slice is measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import measured
import speed
from peers import Given
from quality.gates import MET, NOT_MET
from quality.table import markdown

LIMITS = {"mean": 120.0, "natural": 480.0}
"""Seconds for 512 x 512 x 256."""

GATE = (256, 512)
SIDE, FEW = 512, 50
OFF, GROWTH = 0.25, 0.20


@dataclass(frozen=True)
class Point:
    """One process.

    Attributes:
        mode: of medidiff.
        slices: number of slices.
        side: rows and columns.
        seconds: wall time.
        peak_mb: peak memory.
    """

    mode: str
    slices: int
    side: int
    seconds: float
    peak_mb: float


def plan(modes: Sequence[str], slices: Sequence[int], sides: Sequence[int]) -> list[tuple[str, int, int]]:
    """The points: slices at 512 x 512, sides at 50 slices, each once, the cheap ones first."""
    shapes = {(n, SIDE) for n in slices} | {(FEW, side) for side in sides}
    return [(mode, n, side) for n, side in sorted(shapes, key=lambda s: s[0] * s[1] ** 2) for mode in modes]


def measure(points: Iterable[tuple[str, int, int]], bundle: str) -> list[Point]:
    """Runs every point; the series of a shape is written once."""
    found: list[Point] = []
    with tempfile.TemporaryDirectory() as scratch:
        source, shape = Path(scratch) / "series", (0, 0)
        for number, (mode, n, side) in enumerate(points):
            if shape != (n, side):
                source, shape = Path(scratch) / f"series-{n}-{side}", (n, side)
                speed.write_series(source, speed.phantom(n, np.random.default_rng(1), (side, side)))
            out = Path(scratch) / f"out-{number}"
            arguments = ["denoise", str(source), "-o", str(out), "--mode", mode, "--sigma", "30"]
            arguments += ["--model", bundle, "--progress", "none", "--overwrite"]
            seconds, peak = measured.run("medidiff", arguments)
            found.append(Point(mode, n, side, seconds, peak))
            print(f"{mode} {n} x {side}: {seconds:.1f} s, {peak:.0f} MB", file=sys.stderr, flush=True)
    return found


def line_through(x: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Fixed part, slope and largest relative residual of seconds over x (least relative squares)."""
    t = np.asarray(seconds)
    basis = np.stack([np.ones(len(t)), np.asarray(x)], 1)
    fixed, slope = np.linalg.lstsq(basis / t[:, None], np.ones(len(t)), rcond=None)[0]
    return float(fixed), float(slope), float(np.abs((fixed + slope * np.asarray(x)) / t - 1.0).max())


def checks(points: Sequence[Point]) -> list[list[str]]:
    """Lines of the table of checks."""
    lines = []
    for mode in dict.fromkeys(p.mode for p in points):
        mine = [p for p in points if p.mode == mode]
        along = sorted((p for p in mine if p.side == SIDE), key=lambda p: p.slices)
        across = sorted((p for p in mine if p.slices == FEW), key=lambda p: p.side)
        for what, some, x in (
            ("slices", along, [float(p.slices) for p in along]),
            ("pixels", across, [p.side**2 / SIDE**2 * FEW for p in across]),
        ):
            if len(some) < 3:
                continue
            fixed, slope, off = line_through(x, [p.seconds for p in some])
            text = f"{fixed:.1f} s + {1000 * slope:.0f} ms a 512 x 512 slice, off by at most {off:.0%}"
            verdict = MET if off <= OFF else NOT_MET
            lines.append([f"`{mode}`: time linear in {what}", text, verdict])
        if len(along) > 1:
            growth = along[-1].peak_mb / along[0].peak_mb - 1.0
            each = (along[-1].peak_mb - along[0].peak_mb) / (along[-1].slices - along[0].slices)
            text = (
                f"{along[0].peak_mb:.0f} MB at {along[0].slices}, {along[-1].peak_mb:.0f} MB at "
                f"{along[-1].slices} slices: {each:.2f} MB a slice"
            )
            verdict = MET if growth <= GROWTH else NOT_MET
            lines.append([f"`{mode}`: memory flat in slices", text, verdict])
        for p in mine:
            if (p.slices, p.side) == GATE and mode in LIMITS:
                verdict = MET if p.seconds < LIMITS[mode] else NOT_MET
                lines.append(
                    [f"`{mode}`: 512 x 512 x 256 under {LIMITS[mode]:g} s", f"{p.seconds:.1f} s", verdict]
                )
    return lines


def bm3d_seconds() -> float | None:
    """Seconds of BM3D for one 512 x 512 slice; None if it is not installed."""
    from peers.block_matching import bm3d_white

    image = speed.phantom(1, np.random.default_rng(1))[0].astype(np.float32)
    start = time.perf_counter()
    try:
        next(bm3d_white(Given(image[None], 0, 30.0)))
    except ImportError:
        return None
    return time.perf_counter() - start


def plot(points: Sequence[Point], path: Path) -> None:
    """Time and memory against slices and against matrix size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(8.6, 6.4), layout="constrained")
    for row, (value, label) in enumerate((("seconds", "seconds"), ("peak_mb", "peak memory, MB"))):
        for column, (x, fixed, title) in enumerate(
            (("slices", ("side", SIDE), "slices of 512 x 512"), ("side", ("slices", FEW), "rows and columns"))
        ):
            panel = axes[row, column]
            for mode in dict.fromkeys(p.mode for p in points):
                mine = [p for p in points if p.mode == mode and getattr(p, fixed[0]) == fixed[1]]
                mine.sort(key=lambda p: getattr(p, x))
                panel.plot(
                    [getattr(p, x) for p in mine], [getattr(p, value) for p in mine], "-o", ms=3, label=mode
                )
            panel.set_xlabel(f"{title}{'' if column == 0 else f' ({FEW} slices)'}")
            panel.set_ylabel(label)
            panel.set_ylim(bottom=0)
            panel.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    """Prints the points and the checks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modes", nargs="+", default=["mean", "natural", "sample"])
    parser.add_argument("--slices", type=int, nargs="+", default=[10, 50, 256, 1000])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 768, 1024])
    parser.add_argument("--bundle", default="ct", help="model name or folder")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    points = measure(plan(options.modes, options.slices, options.sides), options.bundle)
    bm3d = bm3d_seconds()
    rows = [
        [p.mode, str(p.slices), f"{p.side} x {p.side}", f"{p.seconds:.1f}",
         f"{p.seconds / p.slices:.3f}", f"{p.peak_mb:.0f}"]
        for p in sorted(points, key=lambda p: (p.mode, p.side, p.slices))
    ]  # fmt: skip
    heads = ["mode", "slices", "matrix", "s", "s a slice", "peak MB"]
    beside = "BM3D is not installed." if bm3d is None else f"BM3D, one 512 x 512 slice: {bm3d:.1f} s."
    text = (
        f"{os.cpu_count()} cores, {platform.machine()}. {beside}\n\n{markdown(heads, rows)}\n\n"
        f"{markdown(['check', 'found', 'verdict'], checks(points))}\n"
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")
    if options.json:
        entries = {"points": [asdict(p) for p in points], "bm3d_seconds": bm3d}
        options.json.write_text(json.dumps(entries, indent=1))
    if options.plot:
        plot(points, options.plot)


if __name__ == "__main__":
    main()
