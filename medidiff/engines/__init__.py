"""Engines: what runs the network. OpenVINO by default, TensorFlow as the reference."""

from medidiff.engines.agreement import Agreement, agreement
from medidiff.engines.base import Engine, EngineInfo, EngineSettings
from medidiff.engines.select import available, create

__all__ = ["Agreement", "Engine", "EngineInfo", "EngineSettings", "agreement", "available", "create"]
