"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples in every run, so that no failure depends on luck; HYPOTHESIS_PROFILE=default searches on.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans, outside the repository; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MEDIDIFF_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / "ct" / "manifest.csv").is_file():
        pytest.skip("real scans are not at hand: set MEDIDIFF_DATA to the data folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20240)
