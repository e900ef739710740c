"""Retrains a network of the comparison on the project's own samples.

    python benchmarks/learned/train.py redcnn --steps 19000 --width 32
    python benchmarks/learned/train.py dncnn --modality mr --steps 20000
    python benchmarks/learned/train.py ddpm --steps 19000 --resume

NAME is dncnn, redcnn (one step), ddpm, mixing, bridge (ten steps; the U-Net of medidiff with the scan as a
further plane). Samples, patches, batch, optimiser, schedule, moving average and loss weights are those of
configs/ct.toml and configs/mr.toml, so that N steps see as many patches as medidiff's N steps. For CT, dncnn
and redcnn are trained at one dose (every slice at 25 % of its own), for MR at all levels (--levels).
Targets are corrected for their own noise like medidiff's. CT shares the cache of noise bases with
`medidiff train` (made first if it is not there). Weights stay outside of the repository (--out), where
benchmarks/quality looks for them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from learned.spec import PLAIN, RATES, TITLES, WIDTHS, Spec
from medidiff.training.recipe import load

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Trains one network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(TITLES))
    parser.add_argument("--modality", choices=["ct", "mr"], default="ct")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps in all")
    parser.add_argument("--config", type=Path, help="default: configs/MODALITY.toml")
    parser.add_argument("--levels", choices=["one", "all"], help="noise levels of the training slices")
    parser.add_argument("--width", type=int, help="channels of dncnn (64) and redcnn (96)")
    parser.add_argument("--norm", action="store_true", help="batch normalisation in dncnn")
    parser.add_argument("--batch", type=int, help="default: that of the configuration")
    parser.add_argument("--rate", type=float, help="learning rate")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", help="folder of scans (MEDIDIFF_DATA wins)")
    parser.add_argument("--cache", help="folder of the CT noise cache")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    config = load(options.config or ROOT / "configs" / f"{options.modality}.toml")
    data = replace(
        config.data, root=options.data or config.data.root, cache=options.cache or config.data.cache
    )
    optimiser = replace(
        config.optimiser,
        steps=options.steps,
        batch=options.batch or config.optimiser.batch,
        rate=options.rate or RATES[options.name],
        precision=options.precision,
    )
    config = replace(config, seed=options.seed, data=data, optimiser=optimiser)
    one = options.modality == "ct" and options.name in PLAIN
    spec = Spec(
        options.name,
        options.modality,
        options.levels or ("one" if one else "all"),
        width=options.width or WIDTHS.get(options.name, 0),
        norm=options.norm,
        channels=config.network.channels,
        blocks=config.network.blocks,
        unshuffle=config.network.unshuffle,
        sigma_data=config.sigma_data,
    )
    from learned.training import train

    def report(step: int, loss: float, seconds: float) -> None:
        print(f"{spec.title} {step}/{options.steps}  loss {loss:.4f}  {seconds:.2f} s a step", flush=True)

    if options.modality == "ct":
        from medidiff.training.ct_cache import prepare

        prepare(config, "train")
    try:
        train(spec, config, options.out, resume=options.resume, report=report)
    except (FileExistsError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
