"""Small phantoms with synthetic noise, for tests that need many realisations but no projector."""

from __future__ import annotations

from typing import Any

import numpy as np

from medidiff.noise.spectrum import radial_frequency, synthesise
from medidiff.phantom import Design, Exposure, Scans
from medidiff.phantom.design import PIXEL_MM, SIZE_PX


def synthetic_scan(design: Design, exposure: Exposure, *_: Any) -> Scans:
    """As `phantom.scan`, with stationary noise of the kernel's spectrum instead of a scanner's."""
    f = radial_frequency((SIZE_PX, SIZE_PX), PIXEL_MM)
    amplitude = np.sqrt(f) * design.kernel.response(f)
    rng = np.random.default_rng(design.seed)
    clean = np.concatenate([design.truth(k) for k in range(design.realisations)])
    truth = np.rint(clean).astype(np.int16)
    noisy = []
    for dose in exposure.doses:
        noise = np.stack([synthesise((SIZE_PX, SIZE_PX), amplitude, rng) for _ in clean])
        noisy.append(np.rint(clean + exposure.sigma / np.sqrt(dose) * noise).astype(np.int16))
    return Scans(truth, tuple(noisy), tuple(1e5 * d for d in exposure.doses))
