"""From a noisy `Volume` to a denoised one: `Denoiser` runs a model bundle slice by slice.

The way through it: `settings` is what a user asks for, `denoiser` takes a volume, `run` takes it slice by
slice through the samplers of `medidiff.diffusion`, `result` comes back.

What the network is asked, and how: `evaluator` puts its inputs together (`context`: neighbour slices,
`noise_model` and `level`: how noisy the scan is, `surround`: where it shows nothing). It asks in pieces
(`tiles`), in several views (`orientations`) and, for cubic voxels, in three planes (`planes`).

What is done with the answer: `spread` states its uncertainty, `texture` measures the noise that is put back,
`consistency` pulls networks without a scan towards it, `untouched` keeps what is no image, `familiar` warns
of scans unlike those of the training.
"""

from medidiff.denoise.denoiser import Denoiser
from medidiff.denoise.result import Result
from medidiff.denoise.settings import MODES, Roi, Settings

__all__ = ["MODES", "Denoiser", "Result", "Roi", "Settings"]
