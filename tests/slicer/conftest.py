"""The stand-ins for 3D Slicer, and a scene of its own for every test."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE.parents[1] / "plugins" / "slicer" / "MediDiffDenoise"
sys.path[:0] = [str(p) for p in (HERE, MODULE) if str(p) not in sys.path]
