"""Windows of k-space: the filters by which scanners trade resolution and ringing for noise.

Nearly every product sequence multiplies the samples with a window before the transform, and many leave out
the corners of k-space. Noise and image then lose the same high frequencies: the noise is no longer white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import UsageError


@dataclass(frozen=True)
class Window:
    """Attenuation of the acquired samples, 1 in the centre.

    A raised cosine from `flat` of the acquired half-width on: Hann (0, 0), Hamming (0, 0.08), Tukey
    (flat, 0), and close to Fermi and Gaussian windows.

    Attributes:
        flat: share of the half-width within which nothing is attenuated; 1 attenuates nothing.
        edge: what passes at the edge of the acquired samples.
        elliptical: samples are weighted by their distance from the centre, and none is acquired in the
            corners; else the window is a product of one along each axis.
    """

    flat: float = 0.0
    edge: float = 0.0
    elliptical: bool = False

    def __post_init__(self) -> None:
        for name, value in (("flat", self.flat), ("edge", self.edge)):
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"MR noise: {name} of a window must lie in [0, 1]", received=value)

    def values(self, shape: tuple[int, ...], zero_fill: tuple[float, float]) -> NDArray[np.float32]:
        """The window ``[y, x]`` in the order of the transform; what lies beyond the acquired box is not 0.

        Args:
            shape: ``(y, x)`` of the image matrix.
            zero_fill: image matrix over acquired matrix along ``(y, x)``.
        """
        y, x = (2.0 * z * np.abs(np.fft.fftfreq(n)) for n, z in zip(shape, zero_fill, strict=True))
        if self.elliptical:
            r = np.hypot(y[:, None], x[None, :])
            return np.where(r <= 1.0, self._fall(r), 0.0).astype(np.float32)
        return np.outer(self._fall(y), self._fall(x)).astype(np.float32)

    def _fall(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(fall(r, self.flat, self.edge, np))


def fall(r: Any, flat: Any, edge: Any, xp: Any) -> Any:
    """A raised cosine, 1 up to `flat`, `edge` from 1 on.

    Args:
        r: distance from the centre of k-space over that of the last sample.
        flat, edge: as in `Window`.
        xp: ``numpy`` or ``jax.numpy``.
    """
    angle = np.pi * (xp.clip(r, flat, 1.0) - flat) / xp.maximum(1.0 - flat, 1e-6)
    return edge + (1.0 - edge) * 0.5 * (1.0 + xp.cos(angle))


NAMED = {
    "elliptical": Window(flat=1.0, elliptical=True),
    "tukey": Window(flat=0.6),
    "hamming": Window(edge=0.08),
    "hann": Window(),
}
"""Windows by name, from the weakest on."""


MOST_EDGE, ELLIPTICAL = 0.6, 0.4
"""Of the windows of the training: most that passes at the edge, and the share that leave out the corners."""


def draw_window(rng: np.random.Generator) -> Window:
    """Draws the window of one training sample.

    Args:
        rng: the only source of randomness.
    """
    flat, edge = float(rng.uniform(0.0, 1.0)), float(MOST_EDGE * rng.uniform(0.0, 1.0) ** 2)
    return Window(flat, edge, elliptical=bool(rng.random() < ELLIPTICAL))
