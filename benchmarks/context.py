"""What the neighbour slices are worth to a model, on the validation patches of its recipe.

    python benchmarks/context.py ct [--config configs/ct.toml] [--cache FOLDER]
    python benchmarks/context.py mr

The same patches with and without their neighbours, of which 30 % are left out in either case, as in training.
Gain over the noisy patches in dB, mean over four quarters of the noise levels.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from medidiff.engines import EngineSettings, create
from medidiff.models import load as load_bundle
from medidiff.training.recipe import load
from medidiff.training.validation import Validator, predictor

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Prints two lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modality", choices=["ct", "mr"])
    parser.add_argument("--bundle", help="model name or folder (default: the shipped one)")
    parser.add_argument("--config", type=Path, help="default: configs/MODALITY.toml")
    parser.add_argument("--cache", help="folder of the CT noise cache, if not that of the configuration")
    options = parser.parse_args()
    config = load(options.config or ROOT / "configs" / f"{options.modality}.toml")
    config = replace(config, data=replace(config.data, cache=options.cache or config.data.cache))
    bundle = load_bundle(options.bundle or options.modality)
    engine = create("openvino", bundle, EngineSettings(precision="float32"))
    for context in (True, False):
        chosen = replace(config, data=replace(config.data, context=context))
        figures, _ = Validator.make(chosen).run(predictor(engine))
        quarters = ", ".join(f"{figures[f'gain_q{q}']:.2f}" for q in range(1, 5))
        word = "with" if context else "without"
        print(f"{bundle.name} {bundle.version}, {word} neighbours: {figures['gain']:.2f} dB ({quarters})")


if __name__ == "__main__":
    main()
