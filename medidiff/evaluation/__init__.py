"""Evaluation: figures that carry their protocol, for a result against a reference.

One unprocessed slice scores 30.7, 43.0 or 48.6 dB depending on the window alone, so that no number leaves
this package without the window, data range and mask that it was computed with.
"""

from medidiff.evaluation.bias import BinBias, hu_bias
from medidiff.evaluation.compare import Comparison, check_same_grid, compare
from medidiff.evaluation.haarpsi import haarpsi
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.protocol import WINDOWS, Protocol, Window, parse_window
from medidiff.evaluation.region import Region, body, region_of
from medidiff.evaluation.score import Score
from medidiff.evaluation.vif import vif

__all__ = [
    "WINDOWS",
    "BinBias",
    "Comparison",
    "Protocol",
    "Region",
    "Score",
    "Window",
    "body",
    "check_same_grid",
    "compare",
    "haarpsi",
    "hu_bias",
    "parse_window",
    "psnr",
    "region_of",
    "rmse",
    "ssim",
    "vif",
]
