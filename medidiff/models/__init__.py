"""Models: the network's shape, its conditioning, and the bundle that a trained one travels in."""

from medidiff.models.bundle import Bundle, Trained
from medidiff.models.conditioning import Condition, vector
from medidiff.models.config import UNetConfig
from medidiff.models.store import list_bundles, load, save, verify

__all__ = [
    "Bundle",
    "Condition",
    "Trained",
    "UNetConfig",
    "list_bundles",
    "load",
    "save",
    "vector",
    "verify",
]
