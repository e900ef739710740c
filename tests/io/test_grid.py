"""What stands in the grid where an image has no number."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.io.grid import without_gaps


@pytest.mark.parametrize(
    ("rest", "stand_in"), [((342.0, 400.0), 0.0), ((-1024.0, 40.0), -1024.0)], ids=["masked MR", "CT"]
)
def test_beyond_a_mask_there_is_no_signal(rest: tuple[float, float], stand_in: float) -> None:
    """A denoiser that saw tissue there, the smallest of it, left twice the noise in a masked head."""
    array, gaps = without_gaps(np.array([[[np.nan, *rest, np.inf]]], np.float32))
    np.testing.assert_array_equal(array, np.array([[[stand_in, *rest, stand_in]]], np.float32))
    assert gaps is not None
    np.testing.assert_array_equal(gaps, [[[True, False, False, True]]])


def test_without_gaps_nothing_is_changed() -> None:
    array, gaps = without_gaps(np.full((1, 2, 2), 342.0, np.float32))
    assert gaps is None
    assert (array == 342.0).all()


def test_an_image_of_gaps_alone() -> None:
    array, gaps = without_gaps(np.full((1, 2, 2), np.nan, np.float32))
    assert gaps is not None
    assert gaps.all()
    assert (array == 0.0).all()
