"""Quality on held-out patients, beside other methods on the same slices in the same run.

    python benchmarks/quality.py ct [--bundle ct] [--slices 5] [--json FILE]
    python benchmarks/quality.py mr

CT: noise is inserted in the projection domain (360 views, fresh seeds) into slices of the `val` patients
down to a fraction of their dose. The slices are themselves noisy (their own level is printed): against
such a reference no estimate of the clean image can gain more than 10 log10((1-a)/a) dB (a: dose fraction),
so that `mean_ref` = (1-a) D + a y, the estimate of the noisy reference, is the figure to compare, and
`mean` is printed beside it. The rows "binned truth" use means of three slices binned two by two as truth,
whose own noise is small; there `mean` is the figure.

MR: Rician noise of a percentage of the foreground p99 on the `val` volumes. They are noisy too (T1 1-2 %,
FLAIR 4 %): `mean` is told the inserted level, `mean, sigma auto` finds the total, and `mean_ref` blends the
answer for the total with the scan as for CT, a from the volume's own level.

"all" rows are means over patients of their means over slices.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from peers import CT_PEERS, MR_PEERS, FloatArray, best

from medidiff.denoise import Denoiser, Settings
from medidiff.engines import EngineSettings, create
from medidiff.evaluation.bias import hu_bias
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.protocol import RMSE_CLIP_HU, WINDOWS, Protocol
from medidiff.intensity import Intensity
from medidiff.models import load
from medidiff.noise import ct, mr
from medidiff.noise.estimate_ct import global_noise_level
from medidiff.noise.spectrum import Kernel
from medidiff.training.mr_source import own_level
from medidiff.training.scans import Scan, data_root, list_scans, read_scan
from medidiff.volume import Volume


@dataclass(frozen=True)
class Case:
    """One noisy centre slice with its neighbours and its reference."""

    label: str
    patient: str
    level: str
    volume: Volume  # three slices
    reference: FloatArray  # [y, x]
    fraction: float  # a of mean_ref
    sigma: float
    total: float  # with the noise of the reference
    protocol: Protocol

    single: bool  # one slice only, no context


DOSES = (0.5, 0.25, 0.1)
MR_LEVELS = (0.03, 0.06, 0.09)
CHEST = ("4d_lung", "tcga_lu")
SEED = 4242


def ct_cases(count: int) -> Iterator[Case]:
    """Noisy slices of the CT validation patients."""
    for scan in list_scans(data_root("../shared/data"), "ct", "val"):
        for volume in read_scan(scan):
            window = WINDOWS["chest" if scan.source.startswith(CHEST) else "abdomen"]
            protocol = Protocol(window, rmse_clip=RMSE_CLIP_HU)
            hu = np.clip(volume.array, -1024.0, 3071.0)
            yield from _ct_doses(scan, volume, hu, count, protocol, binned=False)
            if len(hu) >= 9:
                slabs = hu[: len(hu) - len(hu) % 3].reshape(-1, 3, *hu.shape[1:]).mean(1)
                h, w = (n - n % 2 for n in slabs.shape[1:])
                small = (
                    slabs[:, :h, :w].reshape(len(slabs), h // 2, 2, w // 2, 2).mean((2, 4), dtype=np.float32)
                )
                yield from _ct_doses(scan, volume, small, count, protocol, binned=True)


def _ct_doses(
    scan: Scan, volume: Volume, hu: FloatArray, count: int, protocol: Protocol, binned: bool
) -> Iterator[Case]:
    """The slices of one scan at each dose; the level of a binned truth is that of the scan it is made of."""
    last = len(hu) - 1
    levels = [global_noise_level(s)[0] for s in volume.array[:: max(1, len(volume.array) // 12)]]
    own = float(np.nanmedian(levels))
    for k in np.unique(np.linspace(min(1, last), max(last - 1, 0), count).astype(int)):
        where = [k] if last < 2 else [k - 1, k, k + 1]
        noises = []
        for i in where:
            rng = np.random.default_rng([SEED, int(i), len(hu)])
            # Binned slices play small patients at the original pixel size, as in training.
            bases = ct.bases(hu[i], volume.pixel_mm, rng, views=360, scale=2.0 if binned else 1.0)
            noises.append(ct.combine(bases, 0.25, ct.Scanner(kernel=Kernel())))
        for dose in DOSES:
            inserted = own * float(np.sqrt((1.0 - dose) / dose)) if not binned else own / float(np.sqrt(dose))
            noisy = np.stack(
                [hu[i] + ct.scale_to(n, hu[i], inserted) for i, n in zip(where, noises, strict=True)]
            )
            noisy = np.clip(noisy, -1024.0, 3071.0).astype(np.float32)
            yield Case(
                label=f"{scan.source}{' binned truth' if binned else ''}",
                patient=scan.patient,
                level=f"{dose:.0%}",
                volume=Volume(noisy, volume.affine, "CT", "HU"),
                reference=hu[k],
                fraction=0.0 if binned else dose,
                sigma=inserted if binned else own / float(np.sqrt(dose)),
                total=inserted if binned else own / float(np.sqrt(dose)),
                protocol=protocol,
                single=len(where) == 1,
            )


def mr_cases(count: int) -> Iterator[Case]:
    """Noisy slices of the MR validation volumes."""
    for scan in list_scans(data_root("../shared/data"), "mr", "val"):
        for volume in read_scan(scan):
            scale = Intensity.for_volume("mr", volume).scale
            array = np.maximum(volume.array, 0.0)
            last = len(array) - 1
            top = float(np.percentile(array, 99.5))
            own = own_level(array)
            for k in np.linspace(0.25 * last, 0.75 * last, count).astype(int):
                for level in MR_LEVELS:
                    rng = np.random.default_rng([SEED, int(k), int(1000 * level)])
                    noisy, _ = mr.simulate(array[k - 1 : k + 2], mr.MRNoise(level * scale), rng)
                    yield Case(
                        label=f"{scan.label.split('/')[-1].split('.')[0]}",
                        patient=scan.patient,
                        level=f"{level:.0%}",
                        volume=Volume(noisy, volume.affine, "MR", "a.u."),
                        reference=array[k],
                        fraction=own**2 / (own**2 + (level * scale) ** 2),
                        sigma=level * scale,
                        total=float(np.hypot(own, level * scale)),
                        protocol=Protocol(None, data_range=top),
                        single=False,
                    )


def ours(case: Case, denoiser: Denoiser) -> dict[str, FloatArray]:
    """medidiff's answers; `auto` estimates the noise level from these three slices."""
    centre = 0 if case.single else 1
    y = case.volume.array[centre]
    found = {}
    for mode in ("mean", "natural"):
        result = denoiser.run(case.volume, Settings(mode=mode, sigma=case.sigma))
        found[mode] = result.volume.array[centre]
    found["mean, sigma auto"] = denoiser.run(case.volume, Settings()).volume.array[centre]
    if case.fraction:
        a = np.float32(case.fraction)
        D = denoiser.run(case.volume, Settings(sigma=case.total)).volume.array[centre]
        found["mean_ref"] = (1 - a) * D + a * y
    return found


def score(case: Case, image: FloatArray) -> dict[str, float]:
    """Figures of one answer."""
    reference, test = case.reference[None], np.asarray(image, np.float32)[None]
    figures = {
        "psnr": psnr(reference, test, case.protocol).mean,
        "ssim": ssim(reference, test, case.protocol).mean,
        "rmse": rmse(reference, test, case.protocol).mean,
    }
    if case.volume.modality == "CT":
        figures |= {f"bias_{b.name}": b.bias for b in hu_bias(reference, test) if b.bias is not None}
    return figures


Rows = dict[tuple[str, str, str], list[dict[str, float]]]


def overall(rows: Rows) -> Rows:
    """Means over patients; sets with another kind of truth apart."""
    groups: dict[tuple[str, str, str], dict[str, list[dict[str, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for (label, level, method), figures in rows.items():
        kind = "all, binned truth" if "binned" in label else "all"
        for figure in figures:
            groups[kind, level, method][str(figure["patient"])].append(figure)
    means: Rows = {}
    for key, patients in groups.items():
        means[key] = []
        for patient, figures in patients.items():
            names = {n for f in figures for n in f if n != "patient"}
            mean = {n: float(np.mean([f[n] for f in figures if n in f])) for n in names}
            means[key].append({"patient": patient, **mean})  # type: ignore[dict-item]
    return means


def table(rows: dict[tuple[str, str, str], list[dict[str, float]]], names: list[str]) -> str:
    """Markdown, mean over slices."""
    columns = sorted(
        {k for r in rows.values() for f in r for k in f}, key=lambda k: (k.startswith("bias"), k)
    )
    lines = ["| set | level | method | n | " + " | ".join(columns) + " |", "|---" * (4 + len(columns)) + "|"]
    for (label, level, method), figures in sorted(
        rows.items(), key=lambda r: (r[0][0], r[0][1], names.index(r[0][2]))
    ):
        cells = []
        for column in columns:
            values = [f[column] for f in figures if column in f]
            cells.append(f"{np.mean(values):.3f}" if values else "-")
        lines.append(f"| {label} | {level} | {method} | {len(figures)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Runs the table of one modality."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modality", choices=["ct", "mr"])
    parser.add_argument("--bundle", default=None, help="model name or folder (default: the shipped one)")
    parser.add_argument("--slices", type=int, default=4, help="slices of each series")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bundle = load(options.bundle or options.modality)
    denoiser = Denoiser(bundle, create("openvino", bundle, EngineSettings(precision=options.precision)))
    peers = {} if options.no_peers else (CT_PEERS if options.modality == "ct" else MR_PEERS)
    cases = ct_cases(options.slices) if options.modality == "ct" else mr_cases(options.slices)
    names = ["noisy", *peers, "mean", "mean, sigma auto", "mean_ref", "natural"]
    rows: dict[tuple[str, str, str], list[dict[str, float]]] = defaultdict(list)
    start = time.monotonic()
    for case in cases:
        centre = 0 if case.single else 1
        y = case.volume.array[centre]
        answers = {"noisy": y} | ours(case, denoiser)
        for name, method in peers.items():
            answers[name] = best(method, y, case.sigma, case.reference, np.ones(y.shape, bool))
        for name, image in answers.items():
            rows[case.label, case.level, name].append({"patient": case.patient} | score(case, image))
        print(f"{time.monotonic() - start:6.0f} s  {case.label} {case.level}", file=sys.stderr, flush=True)
    rows |= overall(rows)
    plain = {key: [{k: v for k, v in f.items() if k != "patient"} for f in r] for key, r in rows.items()}
    print(f"model {bundle.name} {bundle.sha256[:12]}, slices per series {options.slices}, seed {SEED}\n")
    print(table(plain, names))
    if options.json:
        options.json.write_text(
            json.dumps([{"key": list(k), "figures": r} for k, r in rows.items()], indent=1)
        )


if __name__ == "__main__":
    main()
