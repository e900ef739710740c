"""Broad signal that a model takes out of an MR scan: it should leave shading and large structures alone.

    python benchmarks/shading.py SCAN [--bundle mr] [--sigma 35.3]

The difference scan - result is low-passed (Gaussian, SD 6 pixels) inside the object, where the signal is
above four times the noise level and hardly has a Rician floor. Noise leaves little there; a percentile
far from zero is anatomy or shading that is gone.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

import medidiff

SMOOTH_PX, LEAST_SNR = 6.0, 4.0


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan", type=Path)
    parser.add_argument("--bundle", default="mr", help="model name or folder")
    parser.add_argument("--sigma", type=float, help="noise SD, a.u. (default: found)")
    options = parser.parse_args()
    bundle = medidiff.load(options.bundle)
    volume = replace(medidiff.read(medidiff.discover([options.scan]).items[0]), modality="MR", unit="a.u.")
    denoiser = medidiff.Denoiser(bundle, medidiff.create("auto", bundle))
    result = denoiser.run(volume, medidiff.Settings(sigma=options.sigma))
    inside = volume.array > LEAST_SNR * result.sigma
    removed = np.where(inside, volume.array - result.volume.array, 0.0)
    window = (0, SMOOTH_PX, SMOOTH_PX)
    weight = np.maximum(ndimage.gaussian_filter(inside.astype(np.float32), window), 0.3)
    low = (ndimage.gaussian_filter(removed, window) / weight)[inside]
    first, last = np.percentile(low, [1, 99])
    print(
        f"{bundle.name} {bundle.version} {bundle.sha256[:12]}, noise {result.sigma:.3g} a.u.: low-passed "
        f"removal SD {low.std():.2f}, 1st to 99th percentile {first:.1f} to {last:.1f} a.u."
    )


if __name__ == "__main__":
    main()
