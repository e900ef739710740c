"""The conditioning vector: what the network is told stays within what it was trained on."""

from __future__ import annotations

import numpy as np

from medidiff.models.conditioning import Condition, vector


def test_neighbours_noisier_than_ever_seen_are_told_as_the_noisiest() -> None:
    """The last step of a sampler goes below a tenth of the scan's level, training did not."""
    ten, sixteen = (vector(Condition(0.1, neighbour_ratio=r)) for r in (10.0, 16.0))
    np.testing.assert_array_equal(ten, sixteen)
    assert (vector(Condition(0.1, neighbour_ratio=5.0)) != ten).any()
