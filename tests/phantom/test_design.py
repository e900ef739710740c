"""The phantom is where, as large and as bright as it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medidiff.errors import UsageError
from medidiff.noise.spectrum import Kernel
from medidiff.phantom.background import clustered_lumps
from medidiff.phantom.design import BODY_HU, PIXEL_MM, SIZE_PX, Design

MIDDLE = (SIZE_PX - 1) / 2


def distance(point: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    return np.hypot(y - point[0], x - point[1]) * PIXEL_MM


def test_inserts_have_their_contrast_their_area_and_an_empty_place_opposite() -> None:
    design = Design(realisations=1)
    image = design.truth(0)[1].astype(np.float64)
    assert [(i.diameter_mm, i.contrast) for i in design.inserts if i.use == "detect"] == [
        (10.0, 3.0), (5.0, 7.0), (7.0, 5.0), (3.0, 14.0),
    ]  # fmt: skip
    for insert in design.inserts:
        near = distance(insert.centre_yx) < insert.diameter_mm / 2 + 4.0
        inner = distance(insert.centre_yx) < insert.diameter_mm / 4
        if insert.diameter_mm >= 7:
            assert image[inner].mean() == pytest.approx(BODY_HU + insert.contrast, abs=0.02 * insert.contrast)
        # The kernel moves HU about but keeps their sum: contrast times area of the disk.
        total = (image[near] - BODY_HU).sum() * PIXEL_MM**2
        assert total == pytest.approx(insert.contrast * np.pi * insert.diameter_mm**2 / 4, rel=0.03)
        if insert.absent_yx is not None:
            np.testing.assert_allclose(np.add(insert.centre_yx, insert.absent_yx), 2 * MIDDLE)
            assert all(v == round(v) for v in insert.centre_yx)
            empty = distance(insert.absent_yx) < insert.diameter_mm / 2 + 4.0
            np.testing.assert_allclose(image[empty], BODY_HU, atol=0.3)


def test_no_insert_lies_in_the_patch_or_the_profile_of_another() -> None:
    from medidiff.phantom.measure import CHANNEL_WIDTH, PATCH_WIDTH

    inserts = Design(realisations=1).inserts
    for insert in inserts:
        places = [insert.centre_yx] if insert.absent_yx is None else [insert.centre_yx, insert.absent_yx]
        for place in places:
            assert np.hypot(place[0] - MIDDLE, place[1] - MIDDLE) * PIXEL_MM + insert.diameter_mm / 2 < 66.0
            for other in inserts:
                if other is insert:
                    continue
                apart = np.subtract(other.centre_yx, place) * PIXEL_MM
                if insert.use == "detect":
                    half = PATCH_WIDTH * CHANNEL_WIDTH * insert.diameter_mm + PIXEL_MM
                    outside = np.hypot(*np.maximum(np.abs(apart) - half, 0.0))
                    assert outside > other.diameter_mm / 2
                else:
                    assert np.hypot(*apart) > 1.75 * insert.diameter_mm / 2 + other.diameter_mm / 2


def test_an_anatomical_background_differs_each_time_and_its_neighbours_little() -> None:
    design = Design("anatomical", realisations=2, lumps=8.0)
    assert all(i.use == "detect" for i in design.inserts)
    first, second = (design.truth(k) for k in (0, 1))
    inside = design.body
    assert 5.0 < first[1][inside].std() < 11.0

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[inside], b[inside])[0, 1])

    assert alike(first[0], first[1]) == pytest.approx(0.9, abs=0.06)
    assert alike(first[1], second[1]) < 0.5
    np.testing.assert_array_equal(first, design.truth(0))
    assert not np.array_equal(first, Design("anatomical", realisations=2, lumps=8.0, seed=2).truth(0))


def test_slices_of_a_uniform_phantom_are_alike() -> None:
    truth = Design(realisations=3, depth=3).truth(2)
    assert truth.shape == (3, SIZE_PX, SIZE_PX)
    assert np.array_equal(truth[0], truth[2])
    assert Design(realisations=1, depth=1).truth(0).shape == (1, SIZE_PX, SIZE_PX)


def test_lumps_have_unit_sd_and_no_preferred_place() -> None:
    draws = np.stack([clustered_lumps((96, 120), np.random.default_rng(k)) for k in range(60)])
    assert draws.mean() == pytest.approx(0.0, abs=1e-6)
    assert draws.std() == pytest.approx(1.0, rel=0.05)
    quarters = [draws[:, y : y + 48, x : x + 60].std() for y in (0, 48) for x in (0, 60)]
    assert max(quarters) / min(quarters) < 1.12
    # Tissue-like: far more power at large scales than at small ones.
    power = np.mean(np.abs(np.fft.fft2(draws)) ** 2, axis=0)
    assert power[2, 2] > 50 * power[20, 20]


def test_a_design_survives_json() -> None:
    sharp = Design(kernel=Kernel(f50=float("inf"), boost=0.009))
    for design in (Design(), Design("anatomical", 7, 1, 9.5, Kernel(5.0, 4.0, 0.01), 3), sharp):
        assert Design.from_dict(json.loads(json.dumps(design.as_dict(), allow_nan=False))) == design


@pytest.mark.parametrize("wrong", [{"realisations": 0}, {"depth": 2}, {"lumps": 0.0}, {"background": "fog"}])
def test_a_design_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Design(**wrong)
