"""Engines: what runs the network. OpenVINO by default, TensorFlow as the reference.

`base` is the protocol, each other file one engine, imported when `select` chooses it. `agreement` compares
two of them. To add an engine: write its file and name it in `select.ENGINES`.
"""

from medidiff.engines.agreement import Agreement, agreement
from medidiff.engines.base import Engine, EngineInfo, EngineSettings
from medidiff.engines.select import available, create

__all__ = ["Agreement", "Engine", "EngineInfo", "EngineSettings", "agreement", "available", "create"]
