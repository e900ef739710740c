"""Turns a finished training run into a model bundle: weights, calibration, precision, card.

    python configs/release.py configs/ct.toml --card docs/cards/ct.md -o medidiff/models/zoo/ct

1. The averaged weights of the chosen checkpoint are exported to ONNX.
2. The variance head is calibrated on the validation patients (90 % intervals).
3. bfloat16 is allowed on OpenVINO if it costs at most 0.1 dB and 0.5 HU (MR: 0.1 % of p99) of mean bias
   at every noise level, on the same validation patches.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from medidiff.engines import EngineSettings, create
from medidiff.errors import EngineError, MedidiffError, OutputError, UsageError
from medidiff.models import Bundle, save
from medidiff.models.graph import STORAGES
from medidiff.training.calibration import calibrate
from medidiff.training.recipe import load
from medidiff.training.release import About, credits_of, pixel_sizes, release, trained_ranges
from medidiff.training.validation import QUARTERS, Validator, gains, predictor
from medidiff.volume import FloatArray

MAX_LOSS_DB, MAX_BIAS = 0.1, 0.001
"""Of bfloat16 against float32; the bias in network units (0.5 HU; 0.1 % of p99)."""

SLICES = 192
"""Slices for the calibration: four times those of validation, whose factors scatter by up to 10 %."""


def estimates(bundle: Bundle, precision: str, validator: Validator) -> FloatArray:
    """D of every patch ``[n, p, p]`` on OpenVINO."""
    engine = create("openvino", bundle, EngineSettings(precision=precision))
    return validator.run(predictor(engine))[1]


def choose_precision(bundle: Bundle, validator: Validator) -> dict[str, str]:
    """bfloat16 for OpenVINO if it is there and good enough in every quarter of the noise levels."""
    exact = estimates(bundle, "float32", validator)
    try:
        quick = estimates(bundle, "bfloat16", validator)
    except EngineError as error:
        print(f"bfloat16 was not measured: {error}")
        return {}
    quarters, bias = validator.quarters, (quick - exact).mean((1, 2))
    before, after = (gains(validator.ratios(D), quarters) for D in (exact, quick))
    loss = float((before - after).max())
    worst = max(abs(float(bias[quarters == q].mean())) for q in range(QUARTERS))
    good = loss <= MAX_LOSS_DB and worst <= MAX_BIAS
    print(
        f"bfloat16: by quarter of the noise levels at most {loss:.4f} dB lost and mean bias {worst:.2e}, "
        f"of a patch {np.abs(bias).max():.2e} (network units): {'yes' if good else 'no'}"
    )
    return {"openvino": "bfloat16" if good else "float32"}


def main() -> int:
    """Makes the bundle; an error becomes one sentence and an exit code."""
    try:
        make(arguments())
    except MedidiffError as error:
        print(f"release.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def arguments() -> argparse.Namespace:
    """What the user typed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--which", choices=["best", "last", "average"], default="last")
    parser.add_argument("--version", default="0.1")
    parser.add_argument("--licence", default="Apache-2.0", help="SPDX name of the licence of the weights")
    parser.add_argument("--runs", help="folder of runs, if not that of the configuration")
    parser.add_argument("--cache", help="folder of the noise cache, if not that of the configuration")
    parser.add_argument("--weights", choices=STORAGES, default="float32", help="how they lie in the file")
    parser.add_argument("--overwrite", action="store_true", help="replace the model at OUT")
    return parser.parse_args()


def make(options: argparse.Namespace) -> None:
    """Makes the bundle, which appears at its place when it is complete."""
    config = load(options.config)
    if options.out.exists() and not options.overwrite:
        raise OutputError("The folder exists already", where=options.out,
                          hint="Use another name, or --overwrite to replace a model.")  # fmt: skip
    if options.cache:
        config = replace(config, data=replace(config.data, cache=options.cache))
    try:
        card = options.card.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The model card cannot be read ({error})") from None
    trained = trained_ranges(config, pixel_sizes(config))
    about = About(card, trained, options.version, options.licence, credits_of(card))
    runs = Path(options.runs or config.output) / config.name
    with tempfile.TemporaryDirectory(prefix="medidiff-") as scratch:
        out = Path(scratch) / config.name
        bundle = release(config, runs, options.which, out=out, about=about, storage=options.weights)
    validator = Validator.make(config, slices=SLICES)
    precision = choose_precision(bundle, Validator.make(config))
    engine = create("openvino", bundle, EngineSettings(precision="float32"))
    table = calibrate(bundle, engine, validator.samples, own=validator.own)
    print("calibration:", ", ".join(f"{s:.4g}: {q:.2f}" for s, q in table))
    bundle = replace(bundle, precision=precision, uncertainty=table)
    save(bundle, options.out, overwrite=options.overwrite)
    print(bundle.name, bundle.version, bundle.sha256)


if __name__ == "__main__":
    sys.exit(main())
