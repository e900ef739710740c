"""How faint a lesion may be that a denoiser wiped out, for the residual-structure test to flag it.

    python benchmarks/residual_sensitivity.py SCAN RESULT [--slices 20]

SCAN is a CT series, RESULT what `medidiff denoise` made of it. A disk is added to scan - result at a random
place in soft tissue of each slice, as if the scan had shown it and the result did not; found is what has a
flagged patch over its centre.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from medidiff.batch.single import read_one
from medidiff.evaluation import body
from medidiff.evaluation.residual import ResidualSum
from medidiff.evaluation.structure import PATCH_PX
from medidiff.noise.estimate import estimate

RADII_PX, CONTRASTS_HU = (3, 6, 10), (10, 15, 20, 30, 50)


def main() -> None:
    """Prints one row for each radius."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--slices", type=int, default=20)
    args = parser.parse_args()
    scan, result = read_one(args.scan, "The scan"), read_one(args.result, "The result")
    sigma, inside = estimate(scan).sigma, body(scan).inside
    shown = np.unique(np.linspace(0.1, 0.9, args.slices) * len(scan.array)).astype(int)
    y, x = np.mgrid[: scan.array.shape[1], : scan.array.shape[2]]
    print(f"{args.slices} slices, {scan.pixel_mm:.2f} mm pixels, noise SD {sigma:.1f} HU")
    for radius in RADII_PX:
        cells = []
        for contrast in CONTRASTS_HU:
            rng = np.random.default_rng(0)
            total, places = ResidualSum(), {}
            for k in shown:
                soft = inside[k] & (np.abs(ndimage.gaussian_filter(result.array[k], 3) - 60) < 80)
                centres = np.argwhere(ndimage.binary_erosion(soft, iterations=radius + 4))
                removed = scan.array[k] - result.array[k]
                if len(centres):
                    places[int(k)] = centre = centres[rng.integers(len(centres))]
                    distance = np.hypot(y - centre[0], x - centre[1])
                    removed = removed + contrast * np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
                total.add(int(k), removed, result.array[k], inside[k])
            test = total.result(sigma, "HU")
            assert test is not None
            found = {
                p.slice
                for p in test.flagged
                if p.slice in places
                and 0 <= places[p.slice][0] - p.row < PATCH_PX
                and 0 <= places[p.slice][1] - p.column < PATCH_PX
            }
            cells.append(f"{contrast} HU {len(found)}/{len(places)}")
        print(f"diameter {2 * radius * scan.pixel_mm:4.1f} mm: {', '.join(cells)}")


if __name__ == "__main__":
    main()
