"""Models: the network's shape, its conditioning, and the bundle that a trained one travels in.

`config` is the shape, `unet` and `blocks` the network in Keras. `processes` and `conditioning` say what a
network is given. `bundle` is a trained network with all that is needed to run it, `store` its files; `export`
writes the network as ONNX (`graph`), `tflite` for devices. Only `unet`, `blocks`, `export` and `tflite` need
Keras.
"""

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
