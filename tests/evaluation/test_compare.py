"""compare(): same place or an error, padding out, one protocol for all figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from medidiff.errors import GeometryError, PixelError, UsageError
from medidiff.evaluation import Protocol, compare, parse_window, psnr
from medidiff.volume import Volume


def volume(array: np.ndarray, modality: str = "CT", unit: str = "HU") -> Volume:
    affine = np.diag([0.7, 0.7, 3.0, 1.0])
    affine[:3, 3] = [-179.3, -170.1, -800.0]
    return Volume(array.astype(np.float32), affine, modality, unit)  # type: ignore[arg-type]


@pytest.fixture
def reference(rng: np.random.Generator) -> Volume:
    return volume(40 + 10 * rng.normal(size=(4, 32, 40)))


def test_ct_default_is_the_abdomen_window_with_bias(reference: Volume) -> None:
    result = compare(reference, reference.with_array(reference.array + 4))
    assert result.psnr.mean == pytest.approx(20 * np.log10(100), abs=1e-4)
    assert result.rmse.mean == pytest.approx(4.0, abs=1e-5)
    assert result.rmse.unit == "HU"
    assert result.excluded == 0.0
    assert result.bias is not None
    soft = result.bias[2]
    assert (soft.name, soft.pixels) == ("soft", reference.array.size)
    assert soft.bias == pytest.approx(4.0, abs=1e-5)
    assert result.protocol == result.psnr.protocol == result.ssim.protocol == result.rmse.protocol
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert "padding excluded" in json.loads(text)["protocol_text"]


def test_identical_volumes_still_make_valid_json(reference: Volume) -> None:
    result = compare(reference, reference)
    assert result.psnr.mean == float("inf")
    assert result.ssim.mean == pytest.approx(1.0)
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["psnr"]["mean"] is None


def test_mr_has_no_window_no_bias_and_a_printed_range(rng: np.random.Generator) -> None:
    reference = volume(rng.uniform(0, 800, (2, 16, 16)), "MR", "a.u.")
    result = compare(reference, reference.with_array(reference.array + 8))
    top = np.percentile(reference.array, 99.5)
    assert result.psnr.mean == pytest.approx(20 * np.log10(top / 8), abs=1e-4)
    assert result.bias is None
    assert result.protocol.rmse_clip is None
    assert f"data range {top:g} (99.5th percentile of the reference)," in str(result.protocol)
    given = compare(
        reference,
        reference.with_array(reference.array + 8),
        Protocol.for_volume(reference, "none", data_range=1000.0),
    )
    assert given.psnr.mean == pytest.approx(20 * np.log10(125), abs=1e-4)
    assert "data range 1000," in str(given.protocol)


def test_window_none_for_ct_is_twelve_bit(reference: Volume) -> None:
    result = compare(
        reference, reference.with_array(reference.array + 4), Protocol.for_volume(reference, "none")
    )
    assert result.psnr.mean == pytest.approx(20 * np.log10(1024), abs=1e-3)
    assert "W 4096" in str(result.protocol)
    with pytest.raises(UsageError, match="data range"):
        Protocol.for_volume(reference, "chest", data_range=5.0)


def test_padding_of_either_volume_is_excluded(reference: Volume) -> None:
    padding = np.zeros(reference.array.shape, bool)
    padding[:, :, :10] = True
    array = reference.array.copy()
    array[padding] = -2000.0
    padded = replace(reference, array=array, padding=padding)
    test = reference.with_array(reference.array + 4)  # its values under the padding are far off
    for a, b in ((padded, test), (test, padded)):
        result = compare(a, b)
        assert result.rmse.mean == pytest.approx(4.0, abs=1e-5)
        assert result.excluded == pytest.approx(0.25)
        assert result.bias is not None
        assert sum(x.pixels for x in result.bias) == (~padding).sum()
    counted = compare(padded, test, replace(Protocol.for_volume(padded), exclude_padding=False))
    assert counted.excluded == 0.0
    assert counted.rmse.mean > 100
    assert "padding included" in str(counted.protocol)


def test_numbers_that_are_none(reference: Volume) -> None:
    holes = reference.array.copy()
    holes[0, :5] = np.nan
    result = compare(reference.with_array(holes), reference)
    assert result.excluded == pytest.approx(5 * 40 / reference.array.size)
    with pytest.raises(PixelError, match="not numbers"):
        compare(reference, reference.with_array(holes))
    everything = replace(reference, padding=np.ones(reference.array.shape, bool))
    with pytest.raises(PixelError, match="everything is padding"):
        compare(everything, reference)


def test_other_shapes_and_places_are_refused(reference: Volume) -> None:
    with pytest.raises(GeometryError, match="different shapes"):
        compare(reference, reference.with_array(reference.array[:, :, :-1]))
    for change in ([0, 3, 0.5], [2, 3, -3.0], [0, 0, 0.01]):  # shift x, shift z, scale x
        affine = reference.affine.copy()
        affine[int(change[0]), int(change[1])] += change[2]
        with pytest.raises(GeometryError, match="same place"):
            compare(reference, replace(reference, affine=affine))
    flipped = reference.affine.copy()
    flipped[:, 0] *= -1
    with pytest.raises(GeometryError, match="same place"):
        compare(reference, replace(reference, affine=flipped))
    rounded = reference.affine.astype(np.float32).astype(np.float64)
    compare(reference, replace(reference, affine=rounded))


def test_figures_do_not_depend_on_how_they_are_reached(reference: Volume, rng: np.random.Generator) -> None:
    test = reference.with_array(reference.array + rng.normal(0, 20, reference.array.shape).astype(np.float32))
    protocol = Protocol.for_volume(reference, "50,400")
    assert protocol.window == parse_window("50,400")
    assert compare(reference, test, protocol).psnr == psnr(reference.array, test.array, protocol)
