"""From a noisy `Volume` to a denoised one: `Denoiser` runs a model bundle slice by slice."""

from medidiff.denoise.denoiser import Denoiser
from medidiff.denoise.result import Result
from medidiff.denoise.settings import MODES, Roi, Settings

__all__ = ["MODES", "Denoiser", "Result", "Roi", "Settings"]
