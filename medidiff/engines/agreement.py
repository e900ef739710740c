"""How far two engines differ, in the terms that decide whether reduced precision is good enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medidiff.diffusion.precondition import H_MAX, H_MIN
from medidiff.engines.base import Engine


@dataclass(frozen=True)
class Agreement:
    """Difference of an engine from a reference engine on the same inputs.

    Attributes:
        relative_rms: RMS of the difference of F over the RMS of the reference F.
        largest: largest absolute difference of F.
        bias: mean difference of F; times c_out and `Intensity.scale` it is a bias in HU.
        loss_db: PSNR lost against the reference. With a target: from the two errors. Without: predicted,
            10 log10(1 + mean d^2 / mean e^h), the difference d being error on top of the posterior variance
            that the network itself predicts (both in units of c_out).
    """

    relative_rms: float
    largest: float
    bias: float
    loss_db: float

    def bias_in_units(self, c_out: float, scale: float) -> float:
        """Mean bias of the denoised image in real-world units (D = c_skip x + c_out F)."""
        return self.bias * c_out * scale


def agreement(
    reference: Engine,
    other: Engine,
    planes: NDArray[np.float32],
    condition: NDArray[np.float32],
    target: NDArray[np.float32] | None = None,
) -> Agreement:
    """Runs both engines and compares F.

    Args:
        reference: float32 engine.
        other: the engine to judge.
        planes: ``[n, 4, h, w]``.
        condition: ``[n, K]``.
        target: F that a perfect denoiser would give, ``[n, h, w]``, (x - c_skip y) / c_out; None if unknown.
    """
    a = reference(planes, condition).astype(np.float64)
    b = other(planes, condition).astype(np.float64)
    difference = b[:, 0] - a[:, 0]
    if target is None:
        ratio = 1.0 + np.mean(difference**2) / np.mean(np.exp(np.clip(a[:, 1], H_MIN, H_MAX)))
    else:
        ratio = np.mean((b[:, 0] - target) ** 2) / np.mean((a[:, 0] - target) ** 2)
    return Agreement(
        relative_rms=float(np.sqrt(np.mean(difference**2) / np.mean(a[:, 0] ** 2))),
        largest=float(np.abs(difference).max()),
        bias=float(difference.mean()),
        loss_db=float(10.0 * np.log10(ratio)),
    )
