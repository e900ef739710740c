"""The diffusion core: forward processes, preconditioning, objective and samplers.

Framework-neutral: everything is written with array operators, so NumPy, TensorFlow and JAX arrays pass
through alike. Where a function of an array is needed (log, exp, clip, where, sum) it comes from a namespace
`xp`, by default NumPy; ``keras.ops`` and ``jax.numpy`` serve as well. Symbols in all of it:
x clean, y scan, t noise SD of a state, D network estimate of E[x | state], v variance of x about D.
"""

from medidiff.diffusion.guidance import guided
from medidiff.diffusion.objective import NoisyTarget, bias_loss, nll, weighted_square
from medidiff.diffusion.other_processes import Bridge, Mixing, VariancePreserving
from medidiff.diffusion.precondition import Precondition
from medidiff.diffusion.process import Coefficients, Matched, Process
from medidiff.diffusion.samplers import Estimate, mean, natural, sample
from medidiff.diffusion.schedules import geo, grid, karras, quad, uniform

__all__ = [
    "Bridge",
    "Coefficients",
    "Estimate",
    "Matched",
    "Mixing",
    "NoisyTarget",
    "Precondition",
    "Process",
    "VariancePreserving",
    "bias_loss",
    "geo",
    "grid",
    "guided",
    "karras",
    "mean",
    "natural",
    "nll",
    "quad",
    "sample",
    "uniform",
    "weighted_square",
]
