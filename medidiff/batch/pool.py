"""Pool: the models of a run, each loaded and started once."""

from __future__ import annotations

from medidiff.denoise import Denoiser
from medidiff.engines.base import Engine, EngineSettings
from medidiff.models.bundle import Bundle


class Pool:
    """Loads bundles and starts engines on demand and keeps them.

    Args:
        engine: name of the engine, or ``"auto"``.
        settings: threads and precision.
    """

    def __init__(self, engine: str = "auto", settings: EngineSettings | None = None) -> None:
        self._engine = engine
        self._settings = settings or EngineSettings()
        self._bundles: dict[str, Bundle] = {}
        self._denoisers: dict[str, Denoiser] = {}

    def bundle(self, name: str) -> Bundle:
        """The verified bundle of that name or folder.

        Raises:
            ModelError: unknown or damaged.
        """
        if name not in self._bundles:
            from medidiff.models.store import load

            self._bundles[name] = load(name)
        return self._bundles[name]

    def denoiser(self, name: str) -> Denoiser:
        """A denoiser with that model on the engine of the run.

        Raises:
            ModelError: unknown or damaged model.
            EngineError: the engine is not installed or does not load.
        """
        if name not in self._denoisers:
            from medidiff.engines.select import create

            bundle = self.bundle(name)
            self._denoisers[name] = Denoiser(bundle, create(self._engine, bundle, self._settings))
        return self._denoisers[name]

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Bundles loaded so far."""
        return tuple(self._bundles.values())

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Engines started so far."""
        return tuple(d.engine for d in self._denoisers.values())
