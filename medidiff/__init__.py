"""medidiff: diffusion denoising of CT and MR scans. Research use only. Not a medical device.

The public names; each is imported when it is first used, so that ``import medidiff`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medidiff.denoise import Denoiser, Result, Settings
    from medidiff.engines import EngineSettings, create
    from medidiff.errors import MedidiffError
    from medidiff.evaluation import Protocol
    from medidiff.evaluation.compare import compare
    from medidiff.io import Derivation, discover, read, write
    from medidiff.models import Bundle, list_bundles, load
    from medidiff.noise.estimate import estimate
    from medidiff.volume import Volume

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "models",
    "Denoiser": "denoise",
    "Derivation": "io",
    "EngineSettings": "engines",
    "MedidiffError": "errors",
    "Protocol": "evaluation",
    "Result": "denoise",
    "Settings": "denoise",
    "Volume": "volume",
    "compare": "evaluation",
    "create": "engines",
    "discover": "io",
    "estimate": "noise.estimate",
    "list_bundles": "models",
    "load": "models",
    "read": "io",
    "write": "io",
}

__all__ = [
    "Bundle",
    "Denoiser",
    "Derivation",
    "EngineSettings",
    "MedidiffError",
    "Protocol",
    "Result",
    "Settings",
    "Volume",
    "__version__",
    "compare",
    "create",
    "discover",
    "estimate",
    "list_bundles",
    "load",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'medidiff' has no attribute {name!r}")
    return getattr(import_module(f"medidiff.{_HOMES[name]}"), name)
