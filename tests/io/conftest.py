"""Fixtures for the I/O tests."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from medidiff.io import Derivation


@pytest.fixture
def derivation() -> Derivation:
    return Derivation(
        model_id="ct-test",
        model_sha256="0123456789abcdef" * 4,
        version="0.1.0",
        seed=3,
        sigma_text="23.4 HU (auto)",
        created=datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
    )


@pytest.fixture(scope="session")
def io_data(shared_data: Path) -> Path:
    return shared_data / "io"
