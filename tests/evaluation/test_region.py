"""The body is found, holes filled, table off; masks are what is not 0; both are named in the protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medidiff.errors import GeometryError, PixelError
from medidiff.evaluation import Region, body, compare, region_of
from medidiff.volume import Volume


def volume(array: np.ndarray, modality: str = "CT", unit: str = "HU") -> Volume:
    return Volume(array.astype(np.float32), np.diag([0.8, 0.8, 3.0, 1.0]), modality, unit)  # type: ignore[arg-type]


def disk(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) < radius


@pytest.fixture
def trunk(rng: np.random.Generator) -> tuple[Volume, np.ndarray]:
    """Trunk with a lung, a table below it, noise; and where the body is."""
    shape = (160, 176)
    inside = disk(shape, (75, 88), 55)
    image = np.full(shape, -1000.0)
    image[inside] = 40.0
    image[disk(shape, (70, 70), 18)] = -850.0
    image[140:143, 10:166] = 200.0
    return volume(image + rng.normal(0, 30, (5, *shape))), inside


def test_body_of_a_ct(trunk: tuple[Volume, np.ndarray]) -> None:
    scan, inside = trunk
    found = body(scan)
    assert "-500 HU" in found.text
    for image in found.inside:
        assert image[70, 70]  # the lung is inside
        assert not image[138:].any()  # the table is not
        assert (image != inside).mean() < 0.03


def test_two_legs_are_both_body_and_a_cable_is_not(rng: np.random.Generator) -> None:
    shape = (128, 192)
    image = np.full(shape, -1000.0)
    for centre, radius in (((64, 50), 30), ((64, 130), 27), ((110, 180), 5)):
        image[disk(shape, centre, radius)] = 40.0
    found = body(volume(np.stack([image] * 3) + rng.normal(0, 20, (3, *shape)))).inside
    assert found[1, 64, 50]
    assert found[1, 64, 130]
    assert not found[1, 110, 180]


def test_body_of_an_mr(rng: np.random.Generator) -> None:
    shape = (120, 120)
    inside = disk(shape, (60, 60), 40)
    clean = np.where(inside, 300.0, 0.0)
    clean[disk(shape, (60, 50), 8)] = 30.0  # a ventricle
    noisy = np.abs(clean + rng.normal(0, 20, (4, *shape)) + 1j * rng.normal(0, 20, (4, *shape)))
    found = body(volume(noisy, "MR", "a.u."))
    assert (found.inside[2] != inside).mean() < 0.04
    assert found.inside[2, 60, 50]
    assert "half the Otsu threshold" in found.text


def test_padding_is_no_body_and_air_has_none(trunk: tuple[Volume, np.ndarray]) -> None:
    scan, _ = trunk
    padding = np.zeros(scan.array.shape, bool)
    padding[:, :80] = True
    found = body(replace(scan, padding=padding)).inside
    assert not found[padding].any()
    assert found.any()
    with pytest.raises(PixelError, match="No body"):
        body(volume(np.full((2, 40, 40), -1000.0)))


def test_figures_in_a_region_are_those_of_its_pixels_and_say_so(trunk: tuple[Volume, np.ndarray]) -> None:
    scan, inside = trunk
    array = scan.array.copy()
    array[:, inside] += 4
    array[:, ~inside] += 100
    test = scan.with_array(array)
    region = Region(np.broadcast_to(inside, scan.array.shape), "mask liver.nii.gz")
    found = compare(scan, test, region=region)
    assert "SSIM, HaarPSI: low end outside" in str(found.protocol)  # what a reader must know to compare
    assert found.rmse.mean == pytest.approx(4.0, abs=1e-3)
    assert found.excluded == pytest.approx(1 - inside.mean())
    assert "mask liver.nii.gz only" in str(found.protocol)
    assert "mask liver.nii.gz only" in found.as_dict()["protocol_text"]
    assert {s.protocol for s in found.scores} == {found.protocol}
    both = region & Region(np.zeros(scan.array.shape, bool), "body")
    assert both.text == "mask liver.nii.gz and body"
    with pytest.raises(PixelError, match="outside the mask"):
        compare(scan, test, region=both)
    with pytest.raises(GeometryError, match="mask"):
        compare(scan, test, region=Region(np.ones((1, 160, 176), bool), "mask"))


def test_a_mask_is_what_is_not_0() -> None:
    labels = np.zeros((1, 8, 8), np.float32)
    labels[0, 2:4, 2:4], labels[0, 5, 5], labels[0, 0, 0] = 3.0, -1.0, np.nan
    region = region_of(volume(labels, "OT", "a.u."), "m.nii")
    assert region.inside.sum() == 5
    with pytest.raises(PixelError, match="marks no pixel"):
        region_of(volume(np.zeros((1, 8, 8)), "OT", "a.u."), "m.nii")
