"""What the tiers are worth on whole MR volumes of cubic voxels, which are looked at in three planes.

    python benchmarks/planes.py [--levels 3 9] [--tiers fast standard best] [--slices 96] [--side 96] [--bm4d]
                                [--markdown FILE]

The cubic ones of the `val` volumes (`medidiff.denoise.planes`), or the middle of them, with Rician noise in
every slice. All methods are told the noise level with the scan's own. PSNR in the body and in tissue
(benchmarks/quality) against the scan as it was, which has noise of its own; coverage as in
benchmarks/intervals.py. BM4D gets the whole volume too; of its four answers (variance-stabilised, or with
three corrections of the floor) the one nearest to the scan as it was counts. One volume has one interval: no
bootstrap over patients.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from peers import Given, best
from peers.block_matching import bm4d_whole
from peers.rician import corrected
from quality.case import SEED
from quality.table import markdown
from scipy import ndimage

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.planes import has_planes
from medidiff.denoise.settings import TIERS
from medidiff.engines import EngineSettings, create
from medidiff.evaluation.uncertainty import reliability
from medidiff.intensity import Intensity
from medidiff.models import load
from medidiff.noise import mr
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.training.mr_stacks import foreground, own_level
from medidiff.training.scans import data_root, list_scans, read_scan
from medidiff.volume import BoolArray, FloatArray, Volume

NOMINAL = 0.9
HEADS = (
    "volume",
    "noise",
    "",
    "PSNR, dB",
    "tissue",
    "`mean_ref`",
    "tissue",
    "90 % interval holds",
    "seconds",
)


@dataclass(frozen=True, eq=False)
class Noisy:
    """A volume with noise, and the scan it was.

    Attributes:
        volume: with noise.
        clean: the scan as it was ``[z, y, x]``.
        body: pixels of the patient ``[z, y, x]``.
        tissue: those of them where the scan has no floor of its own noise.
        own: noise SD of the scan as it was.
        total: that of the volume.
        top: range of the PSNR.
    """

    volume: Volume
    clean: FloatArray
    body: BoolArray
    tissue: BoolArray
    own: float
    total: float
    top: float

    @property
    def share(self) -> np.float32:
        """Share a of the noise variance that the scan had before; `mean_ref` keeps it."""
        return np.float32((self.own / self.total) ** 2)

    def blended(self, image: FloatArray) -> FloatArray:
        """`mean_ref`: the answer with as much of the noise as the scan had."""
        return np.asarray((1 - self.share) * image + self.share * self.volume.array, np.float32)

    def figures(self, image: FloatArray) -> list[str]:
        """PSNR in body and tissue, of the image and as `mean_ref`.

        Of the volume as a whole, as BM4D sees it; `medidiff.evaluation.psnr` is a mean over slices.
        """
        return [
            f"{20 * np.log10(self.top / np.sqrt(np.mean((x - self.clean)[where] ** 2))):.2f}"
            for x in (image, self.blended(image))
            for where in (self.body, self.tissue)
        ]


def volumes(slices: int, side: int | None = None) -> Iterator[tuple[str, Volume]]:
    """Cubic validation volumes, their middle slices, and the middle of these."""
    for scan in list_scans(data_root("../shared/data"), "mr", "val"):
        for volume in read_scan(scan):
            if not has_planes(volume):
                continue
            array = np.maximum(volume.array, 0.0)
            for axis, length in enumerate((slices, side, side)):
                if length is not None:
                    first = max(0, (array.shape[axis] - length) // 2)
                    array = array.take(range(first, min(first + length, array.shape[axis])), axis)
            yield scan.label, replace(volume, array=array, padding=None, adjacent=None, source=None)


def made_noisy(volume: Volume, level: float) -> Noisy:
    """The volume with Rician noise of a share of its foreground p99."""
    clean = volume.array
    scale = Intensity.for_volume("mr", volume).scale
    own, sigma = own_level(clean), level * scale
    rng = np.random.default_rng([SEED, int(round(1000 * level))])
    body = np.stack([foreground(s / np.float32(scale)) for s in clean])
    smooth = np.stack([ndimage.gaussian_filter(s, 2.0) for s in clean])
    return Noisy(
        volume.with_array(mr.simulate(clean, mr.MRNoise(sigma), rng)[0]),
        clean,
        body,
        body & (smooth > GAUSSIAN_SNR * own),
        own,
        float(np.hypot(own, sigma)),
        float(np.percentile(clean, 99.5)),
    )


def of_tier(noisy: Noisy, tier: str, denoiser: Denoiser) -> list[str]:
    """The figures of a tier: quality, coverage, seconds."""
    start = time.perf_counter()
    image = denoiser.run(noisy.volume, Settings(sigma=noisy.total, tier=tier)).volume.array
    seconds = time.perf_counter() - start
    # A run of its own: the time is that of the image alone.
    stated = denoiser.run(noisy.volume, Settings(sigma=noisy.total, tier=tier, uncertainty=True)).uncertainty
    assert stated is not None
    held = reliability(
        noisy.clean,
        noisy.blended(image),
        (1 - noisy.share) * stated,
        noisy.body,
        float(np.sqrt(1 - noisy.share)) * noisy.own,
        noisy.volume.unit,
        "body",
    )
    covered = held.observed[held.levels.index(NOMINAL)]
    return [*noisy.figures(image), f"{covered:.3f}", f"{seconds:.1f}"]


def of_bm4d(noisy: Noisy) -> list[str]:
    """The figures of BM4D; the seconds are those of one of its two runs."""
    given = Given(noisy.volume.array, 0, noisy.total, noisy.volume.pixel_mm, "mr")
    answer = best(corrected(bm4d_whole), given, noisy.clean)
    return [*noisy.figures(answer.image), "", f"{answer.seconds:.1f}"]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", type=float, nargs="+", default=[3, 6, 9, 15], help="percent of the p99")
    parser.add_argument("--tiers", nargs="+", choices=list(TIERS), default=["fast", "standard"])
    parser.add_argument("--slices", type=int, default=96)
    parser.add_argument("--side", type=int, help="rows and columns of the middle; all without it")
    parser.add_argument("--bm4d", action="store_true", help="BM4D beside the tiers (pip install bm4d)")
    parser.add_argument("--model", default="mr")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    bundle = load(options.model)
    denoiser = Denoiser(bundle, create("openvino", bundle, EngineSettings()))
    lines: list[list[str]] = []
    for label, volume in volumes(options.slices, options.side):
        for level in options.levels:
            noisy, head = made_noisy(volume, level / 100.0), [label, f"{level:g}%"]
            lines.append([*head, "noisy", *noisy.figures(noisy.volume.array)[:2], "", "", "", ""])
            for tier in options.tiers:
                lines.append([*head, f"mean, tier {tier}", *of_tier(noisy, tier, denoiser)])
                print(lines[-1], file=sys.stderr, flush=True)
            if options.bm4d:
                lines.append([*head, "BM4D", *of_bm4d(noisy)])
                print(lines[-1], file=sys.stderr, flush=True)
    middle = f", {options.side} rows and columns" if options.side else ""
    table = markdown(list(HEADS), lines)
    text = f"Model {bundle.name} {bundle.version}, {options.slices} slices{middle}.\n\n{table}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
