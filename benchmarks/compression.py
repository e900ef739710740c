"""What smaller weights cost: size, dB and bias of float16 and int8 storage against float32.

    python benchmarks/compression.py ct configs/ct.toml
    python benchmarks/compression.py ct configs/ct.toml --pack ct.pack

Judged on the validation patches of the recipe, in float32 arithmetic: PSNR lost in the worst quarter of the
noise levels, mean bias there in real-world units (MR: % of the foreground p99), milliseconds for one
512x512 slice, and whether every installed engine reads the file and agrees.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from medidiff.engines import EngineSettings, create
from medidiff.engines.select import ENGINES
from medidiff.errors import EngineError
from medidiff.models import Bundle, load
from medidiff.models.export import from_onnx, to_onnx
from medidiff.models.graph import STORAGES
from medidiff.training.recipe import load as load_config
from medidiff.training.validation import QUARTERS, Validator, gains, predictor

EXACT = EngineSettings(precision="float32")
MAX_LOSS_DB = 0.1
MAX_BIAS = {"ct": 0.5, "mr": 0.1}
"""HU, and % of the foreground p99: what configs/release.py asks of bfloat16 too."""


def milliseconds(bundle: Bundle) -> float:
    """Median time of one 512x512 slice on OpenVINO in float32."""
    engine, rng = create("openvino", bundle, EXACT), np.random.default_rng(0)
    planes = rng.standard_normal((1, bundle.config.planes, 512, 512), dtype=np.float32)
    condition = rng.standard_normal((1, bundle.config.condition), dtype=np.float32)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        engine(planes, condition)
        times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times[2:]))


def readers(bundle: Bundle) -> str:
    """Engines that read the file and agree with each other within 1e-4."""
    rng, outputs = np.random.default_rng(0), {}
    planes = rng.standard_normal((1, bundle.config.planes, 64, 96), dtype=np.float32)
    condition = rng.standard_normal((1, bundle.config.condition), dtype=np.float32)
    for name in ENGINES:
        try:
            outputs[name] = create(name, bundle, EXACT)(planes, condition)
        except EngineError as error:
            print(f"{name}: {error}")
    first = next(iter(outputs.values()))
    return ", ".join(n for n, o in outputs.items() if np.abs(o - first).max() < 1e-4 * np.abs(first).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name or folder of a bundle")
    parser.add_argument("config", type=Path, help="its recipe, for the validation patches")
    parser.add_argument("--cache", help="folder of the noise cache, if not that of the recipe")
    parser.add_argument("--pack", help="packed data to read instead of the scans")
    options = parser.parse_args()
    bundle, config = load(options.model), load_config(options.config)
    data = replace(config.data, cache=options.cache or config.data.cache, pack=options.pack or "")
    validator = Validator.make(replace(config, data=data))
    weights, quarters = from_onnx(bundle.network), validator.quarters
    unit, scale = ("HU", 500.0) if bundle.modality == "ct" else ("% of p99", 100.0)
    print(f"| storage | MB | dB lost, worst quarter | bias, {unit}, worst quarter | ms | holds | read by |")
    print("|---|---|---|---|---|---|---|")
    exact, best = np.zeros(0, np.float32), np.zeros(0)
    for storage in STORAGES:
        stored = replace(bundle, network=to_onnx(bundle.config, weights, storage=storage))
        _, found = validator.run(predictor(create("openvino", stored, EXACT)))
        gained = gains(validator.ratios(found), quarters)
        if storage == "float32":
            exact, best = found, gained
        lost = float((best - gained).max())
        patch = (found - exact).mean((1, 2))
        bias = scale * max(abs(float(patch[quarters == q].mean())) for q in range(QUARTERS))
        holds = lost <= MAX_LOSS_DB and bias <= MAX_BIAS[bundle.modality]
        print(
            f"| {storage} | {len(stored.network) / 1e6:.2f} | {lost:.4f} | {bias:.4f} | "
            f"{milliseconds(stored):.0f} | {'yes' if holds else 'no'} | {readers(stored)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
