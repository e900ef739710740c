"""The diffusion core: forward processes, preconditioning, objective and samplers.

Framework-neutral: everything is written with array operators, so NumPy, TensorFlow and JAX arrays pass
through alike. Where a function of an array is needed (log, exp, clip, where, sum) it comes from a namespace
`xp`, by default NumPy; ``keras.ops`` and ``jax.numpy`` serve as well. Symbols are those of the design:
x clean, y scan, t noise SD of a state, D network estimate of E[x | state], v its variance.
"""

from medidiff.diffusion.guidance import Guard, guard, guided, preserve_dc
from medidiff.diffusion.objective import NoisyTarget, bias_loss, nll, tissue_weight, weighted_square
from medidiff.diffusion.other_processes import Bridge, Mixing, VariancePreserving
from medidiff.diffusion.precondition import Precondition
from medidiff.diffusion.process import Coefficients, Matched, Process
from medidiff.diffusion.samplers import (
    SAMPLERS,
    Estimate,
    Sampler,
    Step,
    mean,
    mean_ref,
    natural,
    sample,
    strength,
)
from medidiff.diffusion.schedules import geo, grid, karras, quad, stop_at, uniform

__all__ = [
    "SAMPLERS",
    "Bridge",
    "Coefficients",
    "Estimate",
    "Guard",
    "Matched",
    "Mixing",
    "NoisyTarget",
    "Precondition",
    "Process",
    "Sampler",
    "Step",
    "VariancePreserving",
    "bias_loss",
    "geo",
    "grid",
    "guard",
    "guided",
    "karras",
    "mean",
    "mean_ref",
    "natural",
    "nll",
    "preserve_dc",
    "quad",
    "sample",
    "stop_at",
    "strength",
    "tissue_weight",
    "uniform",
    "weighted_square",
]
