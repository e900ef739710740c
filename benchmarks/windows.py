"""MR noise as scanners leave it: windowed and interpolated, added to scans; and scans' own noise.

    python benchmarks/windows.py [--slices 1] [--levels 3 9] [--bundle mr] [--peer BM4D] [--markdown FILE]

The first table adds noise that went through a window of k-space or was zero-filled; the reference is the scan
at the same resolution, and only cases count whose reference has at most 15 % of the noise variance itself.
Gain: PSNR in tissue over that of the noisy slice, dB, mean over slices; methods get the true SD and no
spectrum.

The second table looks at scans as they are. Nobody has their truth; but if D is the mean and v the variance
of the clean scan given the noisy one, then rms(y - D)^2 + mean v = sigma^2, in tissue.
Less means that a network takes a part of the scan's noise for structure and leaves it.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from peers import best, peers_for
from quality.averages import order_of_levels
from quality.case import Case
from quality.mr_cases import LARGEST_SHARE, mr_slots
from quality.scoring import score
from quality.sets import fractions
from quality.table import markdown

from medidiff.denoise import Denoiser, Settings
from medidiff.engines import EngineSettings, create
from medidiff.errors import NoiseLevelError
from medidiff.models import load
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.noise.kspace import NAMED
from medidiff.noise.mr import MRNoise
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.volume import Volume

ACQUISITIONS = {
    "none (white)": MRNoise(0.0),
    "elliptical": MRNoise(0.0, window=NAMED["elliptical"]),
    "Tukey 0.4": MRNoise(0.0, window=NAMED["tukey"]),
    "Hamming": MRNoise(0.0, window=NAMED["hamming"]),
    "zero-filled 1.4": MRNoise(0.0, zero_fill=(1.4, 1.4)),
    "zero-filled 1.4, Hamming": MRNoise(0.0, zero_fill=(1.4, 1.4), window=NAMED["hamming"]),
}

PEERS = ("TV", "NLM")


def measure(case: Case, denoiser: Denoiser, peers: Sequence[str]) -> dict[str, float]:
    """Gain in tissue of every method, and what the blind estimate finds over the true level."""
    before = score(case, case.noisy)["psnr_tissue"]
    found = {}
    for peer in peers_for("mr"):
        if peer.name in peers and not peer.missing:
            found[peer.name] = score(case, best(peer.run, case.given(), case.reference).image)["psnr_tissue"]
    for mode in ("mean", "natural"):
        told = denoiser.run(case.volume, Settings(mode=mode, sigma=case.total))
        found[f"medidiff {mode}"] = score(case, told.volume.array[case.centre])["psnr_tissue"]
    gains = {name: value - before for name, value in found.items()}
    try:
        blind = denoiser.run(case.volume, Settings())
    except NoiseLevelError:
        return gains
    gains["mean, sigma auto"] = score(case, blind.volume.array[case.centre])["psnr_tissue"] - before
    return gains | {"found / true": blind.sigma / case.total}


def added(denoiser: Denoiser, count: int, levels: Sequence[float], peers: Sequence[str]) -> str:
    """The table of added noise."""
    lines: list[list[str]] = []
    heads = [*peers, "medidiff mean", "medidiff natural", "mean, sigma auto", "found / true"]
    for name, acquisition in ACQUISITIONS.items():
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for slot in mr_slots(count, levels, acquisition):
            for case in map(slot.make, slot.levels):
                if case.own**2 <= LARGEST_SHARE * case.total**2:
                    print(name, case.id, file=sys.stderr, flush=True)
                    found[case.level].append(measure(case, denoiser, peers))
        for level in order_of_levels(found):
            gains = found[level]
            values = [[g[h] for g in gains if h in g] for h in heads]
            cells = [f"{np.mean(v):.2f}" if v else "-" for v in values]
            lines.append([name, level, str(len(gains)), *cells])
    return markdown(["window", "level", "slices", *heads], lines)


def as_they_are(denoiser: Denoiser) -> str:
    """The table of the scans' own noise."""
    lines = []
    for scan in list_scans(data_root("../shared/data"), "mr", "val"):
        for volume in read_scan(scan):
            array = np.maximum(volume.array, np.float32(0.0))
            middle = slice(len(array) // 2 - 2, len(array) // 2 + 3)
            slab = Volume(np.ascontiguousarray(array[middle]), volume.affine, "MR", volume.unit)
            # Without the other planes, of which a slab shows too little.
            result = denoiser.run(slab, Settings(tier="fast", uncertainty=True))
            assert result.uncertainty is not None
            tissue = result.volume.array > GAUSSIAN_SNR * result.sigma
            removed = np.mean((slab.array - result.volume.array)[tissue] ** 2) / result.sigma**2
            left = np.mean(result.uncertainty[tissue] ** 2) / result.sigma**2
            top = denoiser.bundle.intensity(slab).scale
            figures = [f"{np.sqrt(removed):.2f}", f"{np.sqrt(left):.2f}", f"{removed + left:.2f}"]
            lines.append([scan.label.split("/")[-1], f"{100 * result.sigma / top:.2f}", *figures])
    heads = [
        "scan, five slices",
        "level found, % of p99",
        "rms(y - D) / sigma",
        "SD / sigma",
        "sum of squares",
    ]
    return markdown(heads, lines)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="mr", help="model name or folder")
    parser.add_argument("--slices", type=int, default=1, help="slices of each volume")
    parser.add_argument("--levels", nargs="+", default=["3", "9"], metavar="PERCENT")
    parser.add_argument("--peer", action="append", default=[], help=f"beside {', '.join(PEERS)}")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    bundle = load(options.bundle)
    denoiser = Denoiser(bundle, create("openvino", bundle, EngineSettings()))
    levels = fractions(options.levels) or []
    text = (
        f"Model {bundle.name} {bundle.version} ({bundle.sha256[:12]}), held-out patients, {options.slices} "
        f"slices of each volume and of each binned two by two.\n\n"
        f"{added(denoiser, options.slices, levels, (*PEERS, *options.peer))}\n\n"
        f"Scans as they are, `--sigma auto`:\n\n{as_they_are(denoiser)}\n"
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
