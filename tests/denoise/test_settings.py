"""Settings of the wrong type: one sentence instead of a TypeError from some comparison."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.denoise.settings import Settings
from medidiff.errors import UsageError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1.5), ("seed", "1"), ("seed", None), ("seed", True), ("strength", "1"), ("strength", None),
        ("sigma", "auto"), ("sigma", [3.0]), ("sigma", True), ("sigma", np.array(["3"])), ("steps", 2.0),
        ("samples", "8"), ("coils", 1.5), ("coils", None), ("tile", "512"), ("guidance", "1"),
        ("mode", ["mean"]), ("tier", []), ("tier", None),
    ],
)  # fmt: skip
def test_a_wrong_type_is_a_usage_error_that_names_setting_and_value(name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", np.int64(3)), ("strength", 1), ("strength", np.float32(0.5)), ("sigma", 20),
        ("sigma", np.float32(20)), ("sigma", np.full((2, 3, 4), 20, np.int16)), ("tile", np.int32(512)),
        ("guidance", 0), ("guidance", None), ("steps", None),
    ],
)  # fmt: skip
def test_numbers_of_any_kind_are_taken(name: str, value: object) -> None:
    assert getattr(Settings(**{name: value}), name) is value  # type: ignore[arg-type]
