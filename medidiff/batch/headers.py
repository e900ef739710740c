"""Headers: what those of an output say about how it was made."""

from __future__ import annotations

import hashlib

import numpy as np

from medidiff import __version__
from medidiff.batch.request import Bounds, Request
from medidiff.denoise import Denoiser, Result, Settings
from medidiff.denoise.consistency import gain_of
from medidiff.io import Derivation


def derivation_of(denoiser: Denoiser, settings: Settings, result: Result, request: Request) -> Derivation:
    """What the headers say of a denoised scan."""
    bundle, engine = denoiser.bundle, denoiser.engine
    return Derivation(
        model_id=f"{bundle.name}-{bundle.version}",
        model_sha256=bundle.sha256,
        version=__version__,
        mode=settings.mode,
        tier=settings.tier,
        steps=settings.evaluations,
        samples=settings.draws,
        coils=settings.coils,
        seed=settings.seed,
        sigma_text=result.sigma_text,
        sigma_setting=_sigma_setting(settings),
        strength=settings.strength,
        guidance=gain_of(bundle, settings.guidance),
        window="-1024 to 3071 HU" if bundle.modality == "ct" else "0 to 4 x foreground p99",
        engine=f"{engine.name} {engine.precision}",
        context=result.context,
        planes=result.planes,
        roi=_roi_text(request.roi),
        synthetic_data=request.synthetic_data,
    )


def _roi_text(roi: Bounds | None) -> str:
    """A region for people: ``i 10:20, j 0:512, k 5:6``."""
    return "" if roi is None else ", ".join(f"{a} {roi[2 * n]}:{roi[2 * n + 1]}" for n, a in enumerate("ijk"))


def copied(request: Request) -> Derivation:
    """What the headers of an unchanged scan say."""
    return Derivation(
        "none", version=__version__, strength=0.0, context=0, operation="copy",
        synthetic_data=request.synthetic_data,
    )  # fmt: skip


def _sigma_setting(settings: Settings) -> str:
    """The noise level that was asked for, as text that tells any two apart."""
    if settings.sigma is None:
        return "auto"
    if isinstance(settings.sigma, np.ndarray):
        return f"map {hashlib.sha256(np.ascontiguousarray(settings.sigma).tobytes()).hexdigest()[:16]}"
    return repr(float(settings.sigma))
