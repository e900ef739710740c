"""What the residual-structure test has found, as JSON and in words: counts, the worst patch, the rules."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.evaluation.edges import EdgeCorrelation
from medidiff.evaluation.structure import Patch, ResidualTest, SliceResidual


@pytest.fixture
def found() -> ResidualTest:
    """Two slices of which 4 patches were tested and 2 flagged, both in the first."""
    z = np.array([[1.0, 6.5], [5.0, np.nan]], np.float32)
    edges = EdgeCorrelation(0.25, 7.0, 900)
    slices = (SliceResidual(3, z, z, edges), SliceResidual(8, np.where(z > 4, np.nan, 0.5 * z), z, None))
    flagged = (Patch(3, 0, 16, 6.5, 4.0), Patch(3, 16, 0, 5.0, 3.0))
    return ResidualTest(slices, 4.25, 1.5, 4, flagged, 11.0, 0.07, "HU")


def test_json_counts_slice_by_slice(found: ResidualTest) -> None:
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    first, second = content["slices"]
    assert (first["slice"], first["tested"], first["flagged"], first["max_z"]) == (3, 3, 2, 6.5)
    assert (second["slice"], second["tested"], second["flagged"], second["max_z"]) == (8, 1, 0, 0.5)
    assert first["edges"] == {"value": 0.25, "z": 7.0, "surrogates": 900}
    assert second["edges"] is None
    assert content["flagged"][0] == {"slice": 3, "row": 0, "column": 16, "z": 6.5, "amplitude": 4.0}
    assert content["flagged_share"] == found.share == 0.5


def test_words_carry_the_rules(found: ResidualTest) -> None:
    for part in ("32x32 patches", "stride 16", "1.5 and 6 px", "above z 4.25", "20 series", "1.5 HU (10%"):
        assert part in found.text
