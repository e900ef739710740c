"""What the tiers are worth on whole MR volumes of cubic voxels, which are looked at in three planes.

    python benchmarks/planes.py [--levels 3 9] [--tiers fast standard best] [--slices 96] [--markdown FILE]

The cubic ones of the `val` volumes (`medidiff.denoise.planes`), with Rician noise in every slice. All tiers
are told the noise level. PSNR in the body against the scan as it was, which has noise of its own; coverage as
in benchmarks/intervals.py. One volume has one interval: no bootstrap over patients.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from quality.case import SEED
from quality.table import markdown

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.planes import has_planes
from medidiff.denoise.settings import TIERS
from medidiff.engines import EngineSettings, create
from medidiff.evaluation.uncertainty import reliability
from medidiff.intensity import Intensity
from medidiff.models import load
from medidiff.noise import mr
from medidiff.training.mr_stacks import foreground, own_level
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.volume import Volume

NOMINAL = 0.9


def volumes(slices: int) -> Iterator[tuple[str, Volume]]:
    """Cubic validation volumes, their middle slices."""
    for scan in list_scans(data_root("../shared/data"), "mr", "val"):
        for volume in read_scan(scan):
            if has_planes(volume):
                first = max(0, (len(volume.array) - slices) // 2)
                array = np.maximum(volume.array[first : first + slices], 0.0)
                yield scan.label, replace(volume, array=array, padding=None, adjacent=None, source=None)


def rows(label: str, volume: Volume, level: float, tiers: list[str], denoiser: Denoiser) -> list[list[str]]:
    """One line a tier."""
    scale = Intensity.for_volume("mr", volume).scale
    own, sigma = own_level(volume.array), level * scale
    rng = np.random.default_rng([SEED, int(round(1000 * level))])
    noisy = volume.with_array(mr.simulate(volume.array, mr.MRNoise(sigma), rng)[0])
    body = np.stack([foreground(s / np.float32(scale)) for s in volume.array])
    top = float(np.percentile(volume.array, 99.5))
    total = float(np.hypot(own, sigma))
    a = np.float32((own / total) ** 2)

    def psnr(image: np.ndarray) -> float:
        return float(20 * np.log10(top / np.sqrt(np.mean((image - volume.array)[body] ** 2))))

    lines = [[label, f"{level:.0%}", "noisy", f"{psnr(noisy.array):.2f}", "", "", ""]]
    for tier in tiers:
        start = time.perf_counter()
        result = denoiser.run(noisy, Settings(sigma=total, tier=tier))
        seconds = time.perf_counter() - start
        # A run of its own: the time is that of the image alone.
        stated = denoiser.run(noisy, Settings(sigma=total, tier=tier, uncertainty=True)).uncertainty
        assert stated is not None
        image = result.volume.array
        figures = reliability(
            volume.array,
            (1 - a) * image + a * noisy.array,
            (1 - a) * stated,
            body,
            float(np.sqrt(1 - a)) * own,
            volume.unit,
            "body",
        )
        covered = figures.observed[figures.levels.index(NOMINAL)]
        lines.append(
            [
                label,
                f"{level:.0%}",
                f"mean, tier {tier}",
                f"{psnr(image):.2f}",
                f"{psnr((1 - a) * image + a * noisy.array):.2f}",
            ]
            + [f"{covered:.3f}", f"{seconds:.1f}"]
        )
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", type=float, nargs="+", default=[3, 6, 9, 15], help="percent of the p99")
    parser.add_argument("--tiers", nargs="+", choices=list(TIERS), default=["fast", "standard"])
    parser.add_argument("--slices", type=int, default=96)
    parser.add_argument("--model", default="mr")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    bundle = load(options.model)
    denoiser = Denoiser(bundle, create("openvino", bundle, EngineSettings()))
    lines = []
    for label, volume in volumes(options.slices):
        for level in options.levels:
            lines += rows(label, volume, level / 100.0, options.tiers, denoiser)
            print(lines[-1], file=sys.stderr, flush=True)
    heads = ["volume", "noise", "", "PSNR, dB", "`mean_ref`", "90 % interval holds", "seconds"]
    text = f"Model {bundle.name} {bundle.version}, {options.slices} slices.\n\n{markdown(heads, lines)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
