"""Denoiser: a model bundle on an engine, applied to volumes."""

from __future__ import annotations

from collections.abc import Callable

from medidiff.denoise.consistency import gain_of
from medidiff.denoise.counter import Progress
from medidiff.denoise.result import Result
from medidiff.denoise.run import Run
from medidiff.denoise.settings import Settings
from medidiff.engines.base import Engine
from medidiff.errors import ModelError, UsageError
from medidiff.models.bundle import Bundle
from medidiff.volume import Volume


class Denoiser:
    """Applies one model.

    Args:
        bundle: the model.
        engine: runs its network.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine

    def run(
        self,
        volume: Volume,
        settings: Settings | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Result:
        """Denoises a volume.

        Padding, NaN and values outside the model's intensity range come back untouched. The same volume,
        model, engine and settings give the same values.

        Args:
            volume: noisy scan.
            settings: mode, strength, noise level, seed.
            progress: called with slices done and slices in all.
            cancelled: asked before each network evaluation.

        Raises:
            ModelError: the model is for another modality.
            UsageError: guidance for a model that has used the scan already, or several coils for a scan that
                is no MR.
            NoiseLevelError: the noise level cannot be estimated.
            CancelledError: `cancelled` said so.
        """
        settings = settings or Settings()
        expected = {"ct": "CT", "mr": "MR"}[self.bundle.modality]
        if volume.modality not in (expected, "OT"):
            raise ModelError(
                f"The model {self.bundle.name!r} is for {expected}",
                received=f"a {volume.modality} scan",
                hint="Choose another model.",
            )
        gain_of(self.bundle, settings.guidance)
        if settings.coils > 1 and self.bundle.modality != "mr":
            raise UsageError(
                "Only MR images have coils", received=f"{settings.coils} coils", hint="Leave out --coils."
            )
        if settings.strength == 0.0:
            if progress:
                progress(len(volume.array), len(volume.array))
            return Result(volume, notes=("strength 0: the scan itself",))
        return Run(self.bundle, self.engine, volume, settings, cancelled).all(progress)
