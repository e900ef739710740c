"""Evaluation: figures that carry their protocol, for a result against a reference.

One unprocessed slice scores 30.7, 43.0 or 48.6 dB depending on the window alone, so that no number leaves
this package without the window, data range and mask that it was computed with (`protocol`, `score`).

Against a reference: `compare` gathers `metrics` (PSNR, SSIM, RMSE), `vif`, `haarpsi` and `bias` (of HU by
tissue). `removed` tells how much of the noise is gone, `uncertainty` whether the stated SD covers the error.
`cohort` and `bootstrap` say what holds over patients.

Against nothing but the scan itself: `before_after` gathers `noise_level`, `drift` of means by `kinds` of
tissue, `texture`, and `residual` with `structure` (was anatomy removed?), into a `noref.NoReference`; `flags`
says what to look at.

On phantoms: `nps` (noise texture), `ttf` (sharpness) and `cho` (detectability). `region` says
which pixels count.
"""

from medidiff.evaluation.before_after import before_after
from medidiff.evaluation.bias import BinBias, hu_bias
from medidiff.evaluation.bootstrap import Interval, bootstrap, paired
from medidiff.evaluation.cohort import Arm, Case, Cohort, Difference, Summary, cohort
from medidiff.evaluation.compare import Comparison, check_same_grid, compare
from medidiff.evaluation.haarpsi import haarpsi
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.noref import Flag, NoReference
from medidiff.evaluation.protocol import WINDOWS, Protocol, Window, parse_window
from medidiff.evaluation.region import Region, body, region_of
from medidiff.evaluation.removed import RemovedNoise, removed_noise
from medidiff.evaluation.score import Score
from medidiff.evaluation.uncertainty import Reliability, reliability
from medidiff.evaluation.vif import vif

__all__ = [
    "WINDOWS",
    "Arm",
    "BinBias",
    "Case",
    "Cohort",
    "Comparison",
    "Difference",
    "Flag",
    "Interval",
    "NoReference",
    "Protocol",
    "Region",
    "Reliability",
    "RemovedNoise",
    "Score",
    "Summary",
    "Window",
    "before_after",
    "body",
    "bootstrap",
    "check_same_grid",
    "cohort",
    "compare",
    "haarpsi",
    "hu_bias",
    "paired",
    "parse_window",
    "psnr",
    "region_of",
    "reliability",
    "removed_noise",
    "rmse",
    "ssim",
    "vif",
]
