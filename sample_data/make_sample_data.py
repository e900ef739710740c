"""Makes sample_data/ct and sample_data/mr: synthetic scans with known truth. Takes some minutes.

    pip install -e ".[ct-sim]" && python sample_data/make_sample_data.py

The truth is free of noise. The noisy series carry all of the noise of their dose, not only what a full-dose
scan lacks: projection-domain quantum noise (behind a bow-tie filter) and electronic noise, through the
project's own `medidiff.noise`. Tube current modulation keeps the noise of a full-dose scan at 12 HU in the
soft tissue of every slice; slices are independent. Everything follows from the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from phantom_ct import HEIGHTS, PIXEL_MM, SLICE_MM, Body
from phantom_mr import HEIGHTS as MR_HEIGHTS
from phantom_mr import PIXEL_MM as MR_PIXEL_MM
from phantom_mr import SLICE_MM as MR_SLICE_MM
from phantom_mr import Head

from medidiff.noise import ct, mr
from medidiff.noise.projector import Backend
from medidiff.noise.spectrum import Kernel

Volume = np.ndarray[Any, np.dtype[np.float32]]

FULL_DOSE_SD = 12.0
"""HU in soft tissue at 100 % dose."""

DOSES = {"dose25": 0.25, "dose10": 0.10}
VIEWS = 600
ELECTRONIC = 10.0
"""Variance in photons squared."""

MR_NOISE = 0.06
"""Sigma over the 99th percentile of the head."""

NOISE_SEED = 7
ANY_HIGHER = 1e-6
"""A dose fraction so small that its source counts as noise-free: `combine` then gives the noise in full."""


def ct_truth(slices: int = len(HEIGHTS)) -> Volume:
    """HU ``[z, y, x]``, whole numbers, from the lowest slice up."""
    body = Body()
    planes = []
    for z in HEIGHTS[:slices]:
        planes.append(np.rint(np.clip(body.render(z), -1024.0, 3071.0)).astype(np.float32))
        print(f"  truth at {z:+.0f} mm", file=sys.stderr, flush=True)
    return np.stack(planes)


def ct_noise(
    truth: Volume, dose: float, seed: tuple[int, ...], backend: Backend = "astra", views: int = VIEWS
) -> Volume:
    """All of the noise of a scan at a fraction of full dose.

    Args:
        truth: noise-free slice ``[y, x]`` HU.
        dose: fraction of the dose that gives `FULL_DOSE_SD`.
        seed: of this slice.
        backend: projector; the committed files come from ASTRA.
        views: projection angles.
    """
    rng = np.random.default_rng(seed)
    bases = ct.bases(truth, PIXEL_MM, rng, views=views, bow_tie=True, backend=backend)
    quantum = ct.filter_padded(bases.quantum[0], PIXEL_MM, Kernel())
    photons = float(quantum[ct.soft_tissue(truth)].std() / FULL_DOSE_SD) ** 2
    scanner = ct.Scanner(
        photons=dose * photons / ANY_HIGHER, electronic=ELECTRONIC, kernel=Kernel(), bow_tie=True, views=views
    )
    return np.asarray(ct.combine(bases, ANY_HIGHER, scanner), np.float32)


def make_ct(folder: Path) -> None:
    """Truth and two noisy series."""
    from dicom_ct import write_series

    truth = ct_truth()
    write_series(
        folder / "truth", truth, HEIGHTS, PIXEL_MM, SLICE_MM, number=1, tube_ma=200,
        description="Truth without noise", comment="Computed phantom without noise",
    )  # fmt: skip
    for number, (name, dose) in enumerate(DOSES.items(), 2):
        noisy = np.stack([s + ct_noise(s, dose, (NOISE_SEED, number, k)) for k, s in enumerate(truth)])
        write_series(
            folder / name, noisy, HEIGHTS, PIXEL_MM, SLICE_MM, number=number, tube_ma=round(200 * dose),
            description=f"Noise of {dose:.0%} dose",
            comment=f"Computed phantom with the noise of {dose:.0%} dose",
        )  # fmt: skip
        print(f"  {name}: SD of all noise {np.std(noisy - truth):.1f} HU", file=sys.stderr, flush=True)


def mr_truth(slices: slice = slice(None)) -> Volume:
    """Intensities ``[z, y, x]``, whole numbers."""
    head = Head()
    return np.stack([np.rint(head.render(z)) for z in MR_HEIGHTS[slices]]).astype(np.float32)


def make_mr(folder: Path) -> None:
    """Truth and a Rician volume, both int16 NIfTI in mm."""
    truth = mr_truth()
    sigma = MR_NOISE * float(np.percentile(truth[truth > 50.0], 99.0))
    noisy, _ = mr.simulate(truth, mr.MRNoise(sigma), np.random.default_rng(NOISE_SEED))
    _write_nifti(folder / "truth.nii.gz", truth, "synthetic phantom, T1-like, no noise")
    _write_nifti(folder / "noisy.nii.gz", noisy, f"synthetic phantom, Rician, sigma {sigma:.2f}")
    print(f"  mr: sigma {sigma:.2f}", file=sys.stderr, flush=True)


def _write_nifti(path: Path, array: Volume, text: str) -> None:
    """Axial, stored left to right in RAS, with no time stamp in the gzip header."""
    import gzip

    import nibabel as nib

    data = np.rint(array).astype(np.int16).transpose(2, 1, 0)[::-1, ::-1]
    h, w = array.shape[1:]
    affine = np.diag([MR_PIXEL_MM, MR_PIXEL_MM, MR_SLICE_MM, 1.0])
    affine[:3, 3] = [-(w - 1) / 2.0 * MR_PIXEL_MM, -(h - 1) / 2.0 * MR_PIXEL_MM, MR_HEIGHTS[0]]
    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = text.encode()[:79]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), 9, mtime=0))
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    sidecar.write_text('{\n  "Modality": "MR"\n}\n')  # BIDS: NIfTI itself cannot say


def main() -> None:
    """Writes both studies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["ct", "mr"])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    if options.only != "mr":
        make_ct(options.output / "ct")
    if options.only != "ct":
        make_mr(options.output / "mr")


if __name__ == "__main__":
    main()
